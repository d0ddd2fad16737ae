"""The reading of a film as a Python programmer would put it together: pydicom, Pillow, numpy, OpenVINO. The same work as
`chexbox bench --whole` times, without a gate, captions and colour scale: it does less.

  pipeline.py whole MODEL FILE.onnx|xml HEAD.onnx FILM THREADS RUNS     stages, as `chexbox bench --whole --json` prints them
  pipeline.py folder MODEL FILE.onnx|xml HEAD.onnx FOLDER PROCESSES     one JSON record a film

HEAD is the f32 file of the same model: heat maps need the classifier's weights.
"""

import io
import json
import math
import multiprocessing
import pathlib
import resource
import statistics
import sys
import time
import tomllib

import numpy as np
import pydicom
from PIL import Image

import engine

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
DISPLAY_SIDE = 1024
# The heat scale and how it covers the film: see src/report/colour.rs; a coarser scale costs the same.
INFERNO = [(0, 0, 4), (33, 12, 74), (87, 16, 109), (137, 34, 106), (187, 55, 85), (227, 89, 50), (249, 141, 10), (249, 202, 50),
           (252, 255, 164)]
CLEAR, FULL, COVER = 0.15, 0.75, 0.55


class Reader:
    def __init__(self, model, file, head, threads):
        self.manifest = tomllib.loads((ROOT / "models" / model / "manifest.toml").read_text())
        self.run = engine.openvino_engine(file, threads)
        self.head = head_weights(head)
        heat = np.linspace(0, 1, 256)
        at = np.linspace(0, 1, len(INFERNO))
        colour = np.stack([np.interp(heat, at, [c[i] for c in INFERNO]) for i in range(3)], axis=1)
        t = np.clip((heat - CLEAR) / (FULL - CLEAR), 0, 1)
        cover = (COVER * t * t * (3 - 2 * t))[:, None, None]
        # The colour over each grey at each heat: a lookup for each pixel instead of arithmetic.
        over = np.arange(256)[None, :, None] * (1 - cover) + colour[:, None, :] * cover
        self.over = np.rint(over).astype(np.uint8).reshape(-1, 3)

    def read(self, path, pictures=True):
        """Findings, overlays, seconds of each stage."""
        marks, stages = [time.perf_counter()], []

        def mark(name):
            marks.append(time.perf_counter())
            stages.append((name, marks[-1] - marks[-2]))

        grey = decode(path)
        mark("decode")
        spec = self.manifest["input"]
        film = Image.fromarray(grey)
        square = film.resize((spec["detail"],) * 2, Image.Resampling.BOX)
        if spec["size"] != spec["detail"]:
            square = square.resize((spec["size"],) * 2, Image.Resampling.BILINEAR)
        image = (np.asarray(square) - np.float32(spec["mean"])) / np.float32(spec["std"])
        mark("prepare")
        logits, features = self.run(image[None, None])
        logits, features = np.array(logits[0]), np.array(features[0])
        mark("network")
        findings = self.findings(logits)
        trained = [i for i, f in enumerate(self.manifest["finding"]) if f["trained"]]
        maps = np.maximum(np.einsum("fk,kyx->fyx", self.head[trained], features), 0)
        peaks = maps.max(axis=(1, 2), keepdims=True)
        maps = np.divide(maps, peaks, out=np.zeros_like(maps), where=peaks > 0)
        mark("heat_maps")
        overlays = [] if not pictures else self.overlays(film, maps)
        mark("pictures")
        record = json.dumps({"file": str(path), "status": "read", "findings": findings})
        mark("record")
        return record, overlays, stages

    def findings(self, logits):
        out = []
        for logit, spec in zip(logits, self.manifest["finding"]):
            if not spec["trained"]:
                out.append({"id": spec["id"], "trained": False})
                continue
            o = spec["operating"]
            p = 1 / (1 + math.exp(-(o["slope"] * float(logit) + o["intercept"])))
            out.append({"id": spec["id"], "trained": True, "probability": p, "positive": p >= o["threshold"]})
        return out

    def overlays(self, film, maps):
        factor = min(1, DISPLAY_SIDE / max(film.size))
        size = tuple(round(s * factor) for s in film.size)
        grey = np.rint(np.asarray(film.resize(size, Image.Resampling.BOX)) * np.float32(255)).astype(np.uint16)
        out = []
        for heat in maps:
            steps = np.asarray(Image.fromarray(heat).resize(size, Image.Resampling.BILINEAR))
            steps = np.rint(steps * 255).astype(np.uint16)
            file = io.BytesIO()
            Image.fromarray(np.take(self.over, steps * 256 + grey, axis=0)).save(file, "PNG", compress_level=1)
            out.append(file.getvalue())
        return out


def decode(path):
    """Greys in [0, 1], f32."""
    if path.suffix == ".dcm":
        data = pydicom.dcmread(path)
        samples = data.pixel_array
        low, high = int(samples.min()), int(samples.max())
        grey = (samples.astype(np.float32) - np.float32(low)) * np.float32(1 / (high - low))
        return 1 - grey if data.PhotometricInterpretation == "MONOCHROME1" else grey
    return np.asarray(Image.open(path).convert("L")).astype(np.float32) * np.float32(1 / 255)


def head_weights(path):
    import onnx

    file = onnx.load(path)
    gemm = next(n for n in file.graph.node if "logits" in n.output)
    return next(onnx.numpy_helper.to_array(t) for t in file.graph.initializer if t.name == gemm.input[1])


def whole(model, file, head, film, threads, runs):
    begun = time.perf_counter()
    reader = Reader(model, file, head, threads)
    load_ms = (time.perf_counter() - begun) * 1e3
    totals, stages = [], {}
    for run in range(runs + 1):
        begun = time.perf_counter()
        _, overlays, timed = reader.read(pathlib.Path(film))
        total = time.perf_counter() - begun
        if run > 0:
            totals.append(total * 1e3)
            for name, seconds in timed:
                stages.setdefault(name, []).append(seconds * 1e3)
    described = lambda ms: {"median_ms": statistics.median(ms), "min_ms": min(ms), "max_ms": max(ms)}
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    print(json.dumps({"stages": [{"stage": n, **described(ms)} for n, ms in stages.items()], "total": described(totals),
                      "overlays": len(overlays), "picture_bytes": sum(map(len, overlays)), "load_ms": load_ms, "rss_mb": rss}))


def start(model, file, head):
    global READER
    READER = Reader(model, file, head, 1)


def one(path):
    try:
        return READER.read(path, pictures=False)[0]
    except Exception as error:  # a film that cannot be read has a record too
        return json.dumps({"file": str(path), "status": "refused", "why": str(error)})


def folder(model, file, head, films, processes):
    paths = sorted(pathlib.Path(films).iterdir())
    with multiprocessing.get_context("spawn").Pool(processes, start, (model, file, head)) as pool:
        for record in pool.imap(one, paths, chunksize=8):
            print(record)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["whole", model, file, head, film, threads, runs]:
            whole(model, file, head, film, int(threads), int(runs))
        case ["folder", model, file, head, films, processes]:
            folder(model, file, head, films, int(processes))
        case _:
            sys.exit(__doc__)
