"""The tables of results.jsonl, in Markdown: medians over the rounds, the range of the rounds beside them."""

import json
import pathlib
import platform
import statistics
import subprocess
from collections import defaultdict
from importlib.metadata import version

MEASURED = ("median_ms", "min_ms", "max_ms", "load_ms", "rss_mb", "kernel")
# Multiply-adds of DenseNet121 with one input channel at 224 x 224; they grow with the square of the side.
MULTIPLY_ADDS_224 = 2.83e9
PACKAGES = ("onnxruntime", "openvino", "nncf", "pydicom", "pillow", "pylibjpeg-openjpeg", "numpy")


def tables(results, binary):
    records = [json.loads(line) for line in pathlib.Path(results).read_text().splitlines()] if pathlib.Path(results).exists() else []
    text = [machine(binary, records)]
    for kind, title in (("network", "The network alone"), ("capped", "The network alone, chexbox and OpenVINO capped to AVX2")):
        chosen = [r for r in records if r["kind"] == kind]
        if chosen:
            text += [f"### {title}", network(chosen, records), agreement(chosen)]
    if any(r["kind"] == "whole" for r in records):
        text += ["### A whole reading of a full-size film", whole([r for r in records if r["kind"] == "whole"])]
    if any(r["kind"] == "folder" for r in records):
        text += ["### A folder of films", folder([r for r in records if r["kind"] == "folder"])]
    return "\n\n".join(text) + "\n"


def machine(binary, records):
    name = next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), platform.processor())
    ours = subprocess.run([binary, "--version"], capture_output=True, text=True).stdout.strip()
    versions = ", ".join(f"{p} {version(p)}" for p in PACKAGES)
    times = [r["at"] for r in records] or ["-"]
    load = max((r["load_before"] for r in records), default=0)
    return f"{name}; {ours}; Python {platform.python_version()}, {versions}. Measured {min(times)} to {max(times)}, load average up to {load:.1f}."


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def grouped(records, *keys):
    groups = defaultdict(list)
    for r in records:
        groups[tuple(r[k] for k in keys)].append(r)
    return groups


def spread(values, digits=1):
    middle = statistics.median(values)
    return f"{middle:.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def network(records, every):
    # The best of all tries: other programs only take from it.
    peaks = {k: max(r["giga_operations"] for r in g) for (k,), g in grouped([r for r in every if r["kind"] == "peak"], "precision").items()}
    medians = {k: statistics.median(r["median_ms"] for r in g)
               for k, g in grouped(records, "precision", "size", "threads", "engine").items()}
    rows = []
    for (precision, size, threads, engine), group in sorted(grouped(records, "precision", "size", "threads", "engine").items(),
                                                            key=lambda item: (item[0][0] != "int8", *item[0][1:3], item[0][3])):
        mine = medians[precision, size, threads, engine]
        peers = [v for k, v in medians.items() if k[:3] == (precision, size, threads) and k[3] != "chexbox"]
        ratio = f"{mine / min(peers):.2f}" if engine == "chexbox" and peers else ""
        operations = 2 * MULTIPLY_ADDS_224 * (size / 224) ** 2
        peak = f"{operations / (mine / 1e3) / (peaks[precision] * 1e9 * threads):.0%}" if precision in peaks else ""
        middle = lambda key: f"{statistics.median(r[key] for r in group):.0f}"
        name = f"{engine} ({group[-1]['form']})" if engine != "chexbox" else f"chexbox ({group[-1]['kernel']})"
        rows.append([precision, str(size), str(threads), name, spread([r["median_ms"] for r in group], 2), ratio, peak,
                     middle("rss_mb"), middle("load_ms"), str(len(group))])
    head = ["precision", "px", "threads", "engine", "median ms (range of rounds)", "to best peer", "of peak", "MB", "load ms", "rounds"]
    return table(head, rows)


def agreement(records):
    """How far the engines' logits lie apart on the same film: the same network was measured."""
    furthest = defaultdict(float)
    for (precision, size, film), group in grouped(records, "precision", "size", "film").items():
        reference = [r["logits"] for r in group if r["engine"] == "chexbox"]
        for r in group if reference else ():
            apart = max(abs(a - b) for a, b in zip(r["logits"], reference[0]))
            furthest[precision, r["engine"]] = max(furthest[precision, r["engine"]], apart)
    parts = [f"{engine} {precision} {d:.4f}" for (precision, engine), d in sorted(furthest.items()) if engine != "chexbox"]
    return "Largest difference of a logit from chexbox's on the same film: " + ", ".join(parts) + "."


def whole(records):
    names = ["open", "decode", "gate", "prepare", "network", "heat_maps", "pictures", "record"]
    medians = {k: statistics.median(r["total"]["median_ms"] for r in g) for k, g in grouped(records, "film", "threads", "engine").items()}
    rows = []
    for (film, threads, engine), group in sorted(grouped(records, "film", "threads", "engine").items()):
        found = defaultdict(list)
        for r in group:
            for s in r["stages"]:
                found[s["stage"]].append(s["median_ms"])
        stages = [f"{statistics.median(found[n]):.1f}" if n in found else "-" for n in names]
        peer = medians.get((film, threads, "python"))
        ratio = f"{medians[film, threads, engine] / peer:.2f}" if engine == "chexbox" and peer else ""
        totals = [r["total"]["median_ms"] for r in group]
        rows.append([film, str(threads), engine, *stages, spread(totals), ratio, f"{statistics.median(r['rss_mb'] for r in group):.0f}",
                     str(len(group))])
    return table(["film", "threads", "engine", *names, "total ms (range)", "to Python", "MB", "rounds"], rows)


def folder(records):
    rates = {k: statistics.median(r["films"] / r["seconds"] for r in g) for k, g in grouped(records, "engine", "threads").items()}
    rows = []
    for (engine, threads), group in sorted(grouped(records, "engine", "threads").items()):
        alone, peer = rates.get((engine, 1)), rates.get(("python", threads))
        rows.append([engine, str(threads), spread([r["films"] / r["seconds"] for r in group]),
                     f"{rates[engine, threads] / alone:.2f}" if alone else "",
                     f"{rates[engine, threads] / peer:.2f}" if peer and engine == "chexbox" else "",
                     f"{group[-1]['read']} of {group[-1]['films']}", str(len(group))])
    return table(["engine", "threads", "films a second (range)", "to one thread", "to Python", "read", "rounds"], rows)
