#!/usr/bin/env python3
"""Compares an exported model in onnxruntime with what libtorch computed for the same input.

    check_onnx.py CHECK_DIR [MODEL]

CHECK_DIR holds f32.onnx and libtorch.json as `chexbox train export` writes them (snapshots/NAME/check);
MODEL, a shipped model.onnx, is loaded too, and its distance from f32 is printed. Exit code 1 unless
logits and features of f32.onnx agree with libtorch to 1e-4. Needs numpy and onnxruntime.
"""
import json
import pathlib
import sys

import numpy as np
import onnxruntime

TOLERANCE = 1e-4


def probe(side):
    """The input that src/train/probe.rs describes, [1, 1, side, side]."""
    y, x = np.mgrid[0:side, 0:side].astype(np.float64)
    return (np.sin(0.37 * y) * np.cos(0.23 * x)).astype(np.float32)[None, None]


def run(path, image):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert [i.name for i in session.get_inputs()] == ["image"]
    return session.run(["logits", "features"], {"image": image})


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1])
    reference = json.loads((folder / "libtorch.json").read_text())
    image = probe(reference["size"])
    plain = run(folder / "f32.onnx", image)
    worst = 0.0
    for name, found in zip(("logits", "features"), plain):
        want = np.array(reference[name], dtype=np.float32).reshape(found.shape)
        apart = float(np.abs(found - want).max())
        worst = max(worst, apart)
        print(f"{name} {list(found.shape)}: onnxruntime and libtorch differ by at most {apart:.2e}")
    twice = run(folder / "f32.onnx", np.concatenate([image, image]))
    assert twice[0].shape[0] == 2, "the batch is not free"
    if len(sys.argv) == 3:
        packed = run(sys.argv[2], image)
        said = packed[0] != 0  # an untrained head is silent in the shipped file
        apart = float(np.abs(packed[0] - plain[0])[said].max())
        print(f"int8 logits of {said.sum()} heads differ from f32 by at most {apart:.3f}")
    if worst > TOLERANCE:
        sys.exit(f"more than {TOLERANCE}")


if __name__ == "__main__":
    main()
