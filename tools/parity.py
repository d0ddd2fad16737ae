#!/usr/bin/env python3
"""An independent second opinion on preprocessing and logits: pydicom, Pillow, numpy, onnxruntime.

  parity.py draw BINARY        draw the test films again (the binary draws, pydicom and Pillow wrap them)
  parity.py reference          compute tests/data/parity/reference.json from the committed films
  parity.py logits LIST OUT    for each path in the file LIST: plane and logits, as JSON lines in OUT
  parity.py spread LIST        how far onnxruntime's logits of these films differ with its graph optimizations and without

Nothing here is shared with the Rust code: formulas are written again from DICOM PS3.3 C.11 and from
the models' manifests. pip install pydicom Pillow numpy onnxruntime pylibjpeg pylibjpeg-openjpeg
"""

import json
import pathlib
import subprocess
import sys
import tomllib

import numpy as np
import onnxruntime
import pydicom
from PIL import Image, ImageOps

ROOT = pathlib.Path(__file__).resolve().parent.parent
FILMS = ROOT / "tests" / "data" / "parity"
MODELS = ROOT / "models"


# --- from a file to greys in [0, 1] -----------------------------------------------------------


def greys(path):
    """[rows, columns] in f64, 0 black (air), 1 white (bone)."""
    with open(path, "rb") as f:
        head = f.read(132)
    return dicom_greys(path) if head[128:132] == b"DICM" else picture_greys(path)


def picture_greys(path):
    picture = ImageOps.exif_transpose(Image.open(path))
    if picture.mode in ("RGB", "RGBA"):
        # A grey film stored in colour: its channels are equal, up to the rounding of JPEG's colour transform.
        return np.asarray(picture.convert("RGB"), dtype=np.float64).mean(axis=2) / 255.0
    if picture.mode == "LA":
        picture = picture.convert("L")
    samples = np.asarray(picture)
    if samples.dtype == np.uint8:
        return samples / 255.0
    samples = samples.astype(np.float64)
    low, high = samples.min(), samples.max()
    return (samples - low) / (high - low)


def dicom_greys(path):
    data = pydicom.dcmread(path, force=True)
    stored = data.pixel_array.astype(np.float64)
    value = stored * float(data.get("RescaleSlope", 1)) + float(data.get("RescaleIntercept", 0))
    if "WindowCenter" in data:
        first = lambda v: float(v[0]) if isinstance(v, pydicom.multival.MultiValue) else float(v)
        grey = window(value, first(data.WindowCenter), first(data.WindowWidth), data.get("VOILUTFunction", "LINEAR"))
    elif data.BitsStored == 8:
        grey = stored / 255.0
    else:
        inside = value[stored != data.PixelPaddingValue] if "PixelPaddingValue" in data else value
        grey = np.clip((value - inside.min()) / (inside.max() - inside.min()), 0, 1)
    inverse = data.PhotometricInterpretation == "MONOCHROME1" or data.get("PresentationLUTShape") == "INVERSE"
    return 1.0 - grey if inverse else grey


def window(x, center, width, function):
    """PS3.3 C.11.2.1.2 and C.11.2.1.3, output 0 to 1."""
    if function == "LINEAR":
        return np.clip((x - (center - 0.5)) / (width - 1) + 0.5, 0, 1)
    if function == "LINEAR_EXACT":
        return np.clip((x - center) / width + 0.5, 0, 1)
    if function == "SIGMOID":
        return 1 / (1 + np.exp(-4 * (x - center) / width))
    raise ValueError(function)


# --- from greys to the network's input --------------------------------------------------------


def matrix(source, target):
    """[target, source]: area means downwards, linear interpolation between pixel centres upwards."""
    scale = source / target
    out = np.zeros((target, source))
    if source > target:
        edges = np.arange(target + 1) * scale
        for o in range(target):
            low = np.maximum(np.arange(source), edges[o])
            high = np.minimum(np.arange(1, source + 1), edges[o + 1])
            out[o] = np.maximum(high - low, 0) / scale
    else:
        centre = np.clip((np.arange(target) + 0.5) * scale - 0.5, 0, source - 1)
        for o, c in enumerate(centre):
            low = int(np.floor(c))
            high = min(low + 1, source - 1)
            out[o, low] += 1 - (c - low)
            out[o, high] += c - low
    return out


def plane(grey, spec):
    """Greys of the network's input before mean and standard deviation: [S, S]."""
    detail, size = spec["detail"], spec["size"]
    square = matrix(grey.shape[0], detail) @ grey @ matrix(grey.shape[1], detail).T
    return square if size == detail else matrix(detail, size) @ square @ matrix(detail, size).T


class Model:
    def __init__(self, name, level=onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL):
        folder = MODELS / name
        self.manifest = tomllib.loads((folder / "manifest.toml").read_text())
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.graph_optimization_level = level
        self.session = onnxruntime.InferenceSession(str(folder / self.manifest["file"]["name"]), options)

    def logits(self, square):
        spec = self.manifest["input"]
        image = ((square - spec["mean"]) / spec["std"]).astype(np.float32)[None, None]
        return [float(v) for v in self.session.run(["logits"], {"image": image})[0][0]]


def models():
    return {p.parent.name: Model(p.parent.name) for p in sorted(MODELS.glob("findings*/manifest.toml"))}


# --- the committed films ----------------------------------------------------------------------


def draw(binary):
    FILMS.mkdir(parents=True, exist_ok=True)
    for old in list(FILMS.glob("*.png")) + list(FILMS.glob("*.dcm")):
        old.unlink()
    deep = FILMS / "grey16.png"
    subprocess.run([binary, "test-film", "--out", str(deep), "--width", "150", "--height", "170", "--seed", "7"], check=True)
    samples = np.asarray(Image.open(deep)).astype(np.uint16)
    eight = (samples >> 8).astype(np.uint8)
    Image.fromarray(eight).save(FILMS / "grey8.png", optimize=True)
    Image.fromarray(np.dstack([eight] * 3 + [np.full_like(eight, 255)]), "RGBA").save(FILMS / "rgba8.png", optimize=True)
    twelve = (samples >> 4).astype(np.uint16)
    save("mono2_8bit", eight, 8)
    save("mono2_12bit", twelve, 12)
    save("mono1_12bit", 4095 - twelve, 12, PhotometricInterpretation="MONOCHROME1")
    save("rescaled_signed", twelve.astype(np.int16) - 2048, 12, RescaleSlope="0.5", RescaleIntercept="-100", PixelRepresentation=1)
    save("window_linear", twelve, 12, WindowCenter="2200", WindowWidth="3000")
    save("window_exact", twelve, 12, WindowCenter="2100", WindowWidth="3300", VOILUTFunction="LINEAR_EXACT")
    save("window_sigmoid", twelve, 12, WindowCenter="2000", WindowWidth="2600", VOILUTFunction="SIGMOID")
    save("mono1_rescaled_window", 4095 - twelve, 12, PhotometricInterpretation="MONOCHROME1",
         RescaleSlope="2", RescaleIntercept="10", WindowCenter="4000", WindowWidth="7000")


def save(name, samples, bits, **attributes):
    data = pydicom.Dataset()
    data.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    data.SOPInstanceUID = f"2.25.{sum(name.encode()) + 1000}"
    data.Modality, data.BodyPartExamined, data.ViewPosition = "DX", "CHEST", "PA"
    data.PatientName, data.PatientID, data.PatientAge = "Drawn^Film", "DRAWN", "050Y"
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.Rows, data.Columns = samples.shape
    data.BitsAllocated = 8 if bits == 8 else 16
    data.BitsStored, data.HighBit, data.PixelRepresentation = bits, bits - 1, 0
    for key, value in attributes.items():
        setattr(data, key, value)
    data.PixelData = samples.tobytes()
    data["PixelData"].VR = "OB" if bits == 8 else "OW"
    data.file_meta = pydicom.dataset.FileMetaDataset()
    data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    data.save_as(FILMS / f"{name}.dcm", enforce_file_format=True)


def reference():
    found = models()
    specs = {json.dumps(m.manifest["input"], sort_keys=True): m.manifest["input"] for m in found.values()}
    films = {}
    for path in sorted(list(FILMS.glob("*.png")) + list(FILMS.glob("*.dcm"))):
        if path.name.endswith(".plane.png"):
            continue
        grey = greys(path)
        entry = {}
        for name, model in found.items():
            entry[name] = {"logits": model.logits(plane(grey, model.manifest["input"]))}
        # One plane a film, 16 bit: the same for every model with the same input.
        if len(specs) == 1:
            square = plane(grey, next(iter(specs.values())))
            Image.fromarray(np.round(square * 65535).astype(np.uint16)).save(FILMS / f"{path.name}.plane.png", optimize=True)
        films[path.name] = entry
    versions = {"pydicom": pydicom.__version__, "onnxruntime": onnxruntime.__version__, "numpy": np.__version__}
    digests = {name: model.manifest["file"]["sha256"] for name, model in found.items()}
    text = json.dumps({"made_with": versions, "model_sha256": digests, "films": films}, indent=1)
    (FILMS / "reference.json").write_text(text + "\n")
    print(f"{len(films)} films, {len(found)} models")


def logits(listing, out):
    found = models()
    with open(out, "w") as f:
        for line in pathlib.Path(listing).read_text().splitlines():
            grey = greys(line)
            for name, model in found.items():
                square = plane(grey, model.manifest["input"])
                record = {"file": line, "model": name, "logits": model.logits(square), "plane": np.round(square, 5).ravel().tolist()}
                f.write(json.dumps(record) + "\n")


def spread(listing):
    for name, model in models().items():
        literal = Model(name, onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL)
        squares = [plane(greys(line), model.manifest["input"]) for line in pathlib.Path(listing).read_text().splitlines()]
        apart = [np.abs(np.subtract(model.logits(s), literal.logits(s))).max() for s in squares]
        print(f"{name}: {len(apart)} films, furthest logit apart: median {np.median(apart):.4f}, most {max(apart):.4f}")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["draw", binary]:
            draw(binary)
        case ["reference"]:
            reference()
        case ["logits", listing, out]:
            logits(listing, out)
        case ["spread", listing]:
            spread(listing)
        case _:
            sys.exit(__doc__)
