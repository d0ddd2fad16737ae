#!/usr/bin/env python3
"""An independent second opinion on the quantizer's arithmetic, in numpy: tests/data/quantize/reference.json.

  quantize_reference.py        compute the file again

weights: for rows of weights [outputs, inputs, taps], the smallest scale at which no weight exceeds 127 and no two neighbouring
input channels (2j, 2j + 1) of one tap and one sign exceed 128 together; and the integers of least error, each input channel
counted by its energy, over scales of 1.0 to 0.5 times that. values: the mean squared error of rounding samples to
multiples of a step between 0 and 255 times it, computed sample by sample. pip install numpy
"""

import json
import pathlib

import numpy as np

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests" / "data" / "quantize" / "reference.json"
SHARES = [1.0, 0.97, 0.94, 0.91, 0.88, 0.85, 0.82, 0.79, 0.76, 0.73, 0.7, 0.65, 0.6, 0.5]


def full_scale(row):
    """row [inputs, taps]"""
    need = [np.abs(row).max() / 127]
    for a, b in zip(row[0::2], row[1::2]):
        for sign in (1, -1):
            need.append((np.maximum(sign * a, 0) + np.maximum(sign * b, 0)).max() / 128)
    return max(need)


def integers(row, scale, energy):
    q = np.clip(np.rint(row / scale), -127, 127).astype(int)
    for j in range(0, len(row) - 1, 2):
        for t in range(row.shape[1]):
            a, b = q[j, t], q[j + 1, t]
            excess = abs(a + b) - 128
            if np.sign(a) * np.sign(b) > 0 and excess > 0:
                # Every way of sharing the cut; the best one, in integers.
                ways = [(energy[j] * k**2 + energy[j + 1] * (excess - k) ** 2, k) for k in range(excess + 1)]
                k = min(ways)[1]
                q[j, t] -= np.sign(a) * k
                q[j + 1, t] -= np.sign(b) * (excess - k)
    return q


def weights(random, outputs, inputs, taps, heavy):
    w = random.standard_normal((outputs, inputs, taps))
    if heavy:
        w = w**3
    w = w.astype(np.float32)
    energy = random.random(inputs) * 3 + 0.01
    scales, errors = [], []
    for row in w.astype(np.float64):
        full = full_scale(row)
        tried = []
        for share in SHARES:
            q = integers(row, full * share, energy)
            tried.append(float((energy[:, None] * (row - q * full * share) ** 2).sum()))
        scales.append(full)
        errors.append(min(tried))
    return {
        "outputs": outputs, "inputs": inputs, "taps": taps, "weights": [float(v) for v in w.ravel()],
        "energy": [float(v) for v in energy], "full_scales": scales, "least_errors": errors,
    }


def values(random):
    samples = np.array([round(float(v), 4) for v in np.maximum(random.standard_normal(4000) * 2 - 0.5, 0)])
    cases = []
    for share in (1.0, 0.6, 0.3, 6.0):
        step = samples.max() / 255 * share
        rounded = np.clip(np.rint(samples / step), 0, 255) * step
        cases.append({"step": float(step), "error": float(np.mean((samples - rounded) ** 2))})
    return {"samples": samples.tolist(), "cases": cases}


def main():
    random = np.random.default_rng(7)
    cases = [
        weights(random, 6, 8, 1, False), weights(random, 6, 7, 1, True),
        weights(random, 4, 6, 9, False), weights(random, 4, 5, 9, True),
    ]
    text = json.dumps({"made_with": {"numpy": np.__version__}, "weights": cases, "values": values(random)}, indent=0)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(text + "\n")
    print(f"{OUT.name}: {len(text)} bytes")


if __name__ == "__main__":
    main()
