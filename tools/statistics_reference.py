#!/usr/bin/env python3
"""The reference that the program's statistics are tested against: scikit-learn, statsmodels, scipy, numpy.

  python3 -m venv VENV && VENV/bin/pip install -r tools/statistics_reference.requirements.txt
  VENV/bin/python tools/statistics_reference.py        writes tests/data/statistics/reference.json

Nothing here is shared with the Rust code. A figure that is not defined (one class alone, no call) is null. Scores are
written as the f32 that the program sees, so that ties are the same ties.
"""

import json
import math
import pathlib
import warnings

import numpy as np
from sklearn import metrics
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint
from scipy import stats

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests" / "data" / "statistics" / "reference.json"
warnings.simplefilter("ignore")


def number(value):
    value = float(value)
    return value if math.isfinite(value) else None


def delong(scores, truths):
    """Variance of the AUC by the covariance of placement values, through midranks (Sun and Xu 2014)."""
    x, y = scores[truths], scores[~truths]
    m, n = len(x), len(y)
    if m < 2 or n < 2:
        return None
    both = stats.rankdata(np.concatenate([x, y]), method="average")
    area = (both[:m].sum() - m * (m + 1) / 2) / (m * n)
    v10 = (both[:m] - stats.rankdata(x, method="average")) / n
    v01 = 1 - (both[m:] - stats.rankdata(y, method="average")) / m
    spread = math.sqrt(np.cov(v10) / m + np.cov(v01) / n)
    z = stats.norm.ppf(0.975)
    return [number(area), number(max(0, area - z * spread)), number(min(1, area + z * spread))]


def share(part, whole):
    if whole == 0:
        return None
    low, high = proportion_confint(part, whole, alpha=0.05, method="wilson")
    return [part / whole, number(max(0, low)), number(min(1, high))]


def ece(scores, truths, bins=10):
    edges = np.linspace(0, 1, bins + 1)
    at = np.digitize(scores, edges[1:-1])
    total = 0.0
    for b in range(bins):
        inside = at == b
        if inside.any():
            total += inside.mean() * abs(truths[inside].mean() - scores[inside].mean())
    return total


def case(name, scores, truths, threshold):
    narrow = np.asarray(scores, np.float32)
    s, t = narrow.astype(np.float64), np.asarray(truths, bool)
    calls = narrow >= np.float32(threshold)
    both = t.any() and not t.all()
    tn, fp, fn, tp = metrics.confusion_matrix(t, calls, labels=[False, True]).ravel().tolist()
    fpr, tpr, _ = metrics.roc_curve(t, s, drop_intermediate=False) if both else ([], [], [])
    precision, recall, cuts = metrics.precision_recall_curve(t, s) if both else ([], [], [])
    defined = lambda whole, f: number(f(t, calls, zero_division=np.nan)) if whole else None
    youden = max((a - b for a, b in zip(tpr, fpr)), default=None)
    f1s = [metrics.f1_score(t, s >= c) for c in np.unique(s)] if both else []
    return {
        "name": name,
        "scores": [float(str(v)) for v in narrow],
        "truths": t.tolist(),
        "threshold": threshold,
        "auc": number(metrics.roc_auc_score(t, s)) if both else None,
        "delong": delong(s, t) if both else None,
        "average_precision": number(metrics.average_precision_score(t, s)) if both else None,
        "roc": [[float(a), float(b)] for a, b in zip(fpr, tpr)],
        "precision_recall": [[float(r), float(p)] for p, r in zip(precision[:-1], recall[:-1])][::-1],
        "counts": {"true_positives": tp, "false_positives": fp, "true_negatives": tn, "false_negatives": fn},
        "f1": defined(2 * tp + fp + fn, metrics.f1_score),
        "precision": share(tp, tp + fp),
        "recall": share(tp, tp + fn),
        "specificity": share(tn, tn + fp),
        "negative_predictive_value": share(tn, tn + fn),
        "accuracy": share(tp + tn, len(t)),
        "precision_of_sklearn": defined(tp + fp, metrics.precision_score),
        "recall_of_sklearn": defined(tp + fn, metrics.recall_score),
        "brier": number(metrics.brier_score_loss(t, s)) if both else number(np.mean((s - t) ** 2)),
        "ece": number(ece(s, t)),
        "best_f1": max(f1s, default=None),
        "youden": number(youden) if youden is not None else None,
    }


def pair(name, a, b):
    a, b = np.asarray(a, bool), np.asarray(b, bool)
    table = [[int((a & b).sum()), int((a & ~b).sum())], [int((~a & b).sum()), int((~a & ~b).sum())]]
    return {
        "name": name,
        "table": table,
        "kappa": number(metrics.cohen_kappa_score(a, b)),
        "mcnemar": number(mcnemar(table, exact=True).pvalue),
        "binomial": number(stats.binomtest(table[0][1], table[0][1] + table[1][0]).pvalue) if table[0][1] + table[1][0] else 1.0,
    }


def main():
    rng = np.random.default_rng(20260101)
    cases = []
    for name, n, rate, digits in [
        ("plain", 400, 0.2, None),
        ("ties of two digits", 300, 0.3, 2),
        ("heavy ties of one digit", 500, 0.1, 1),
        ("rare", 600, 0.01, 3),
        ("few", 9, 0.4, 1),
    ]:
        truths = rng.random(n) < rate
        truths[:2], truths[2:4] = True, False
        logits = rng.normal(-1.5, 1.2, n) + 1.1 * truths
        scores = 1 / (1 + np.exp(-logits))
        scores = scores if digits is None else np.round(scores, digits)
        cases.append(case(name, scores, truths, 0.3))
    truths = rng.random(50) < 0.4
    cases += [
        case("constant scores", np.full(50, 0.5), truths, 0.5),
        case("constant scores below the threshold", np.full(50, 0.25), truths, 0.5),
        case("positives alone", rng.random(20), np.ones(20, bool), 0.5),
        case("negatives alone", rng.random(20), np.zeros(20, bool), 0.5),
        case("perfect", np.r_[np.full(10, 0.9), np.full(15, 0.1)], np.r_[np.ones(10, bool), np.zeros(15, bool)], 0.5),
        case("reversed", np.r_[np.full(10, 0.1), np.full(15, 0.9)], np.r_[np.ones(10, bool), np.zeros(15, bool)], 0.5),
        case("one positive", [0.9, 0.3, 0.5, 0.2], [True, False, False, False], 0.5),
        case("edges of bins", [0.0, 0.125, 0.25, 0.5, 0.75, 1.0, 0.5, 1.0], [0, 0, 1, 1, 0, 1, 0, 1], 0.5),
    ]
    pairs = []
    for name, n, share_a, flip in [("alike", 200, 0.3, 0.1), ("unlike", 200, 0.5, 0.5), ("many", 20000, 0.2, 0.15), ("few", 6, 0.5, 0.4)]:
        a = rng.random(n) < share_a
        pairs.append(pair(name, a, a ^ (rng.random(n) < flip)))
    pairs += [
        pair("one-sided", [1] * 12 + [0] * 3, [0] * 12 + [0] * 3),
        pair("the same", [1, 0, 1, 0], [1, 0, 1, 0]),
        pair("one answer throughout", [1] * 5, [1] * 5),
        pair("opposite", [1, 0, 1, 0], [0, 1, 0, 1]),
    ]
    shares = [{"successes": k, "trials": n, "wilson": share(k, n)} for k, n in [(0, 1), (1, 1), (0, 10), (10, 10), (3, 7), (81, 263), (1, 100000)]]
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps({"cases": cases, "pairs": pairs, "shares": shares}, separators=(",", ":")) + "\n")
    print(f"{OUT}: {len(cases)} cases, {len(pairs)} pairs, {len(shares)} shares, {OUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()
