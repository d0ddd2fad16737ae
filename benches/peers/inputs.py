"""Films, and what a network sees of them, for every engine the same.

Formulas are written again from the manifest (see src/input.rs): reduce to detail x detail by area means, enlarge bilinearly
to size x size, (grey - mean) / std.
"""

import pathlib

import numpy as np
import pydicom
from PIL import Image
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless

DETAIL, MEAN, STD = 128, 0.5, 0.25


def films(folder):
    """Picture files of a folder, sorted."""
    found = sorted(p for p in pathlib.Path(folder).iterdir() if p.suffix.lower() in (".png", ".jpg", ".jpeg"))
    if not found:
        raise SystemExit(f"{folder}: no PNG or JPEG films in it")
    return found


def matrix(source, target):
    """[target, source]: area means downwards, linear interpolation between pixel centres upwards."""
    scale = source / target
    out = np.zeros((target, source))
    if source > target:
        for o in range(target):
            low = np.maximum(np.arange(source), o * scale)
            high = np.minimum(np.arange(1, source + 1), (o + 1) * scale)
            out[o] = np.maximum(high - low, 0) / scale
    else:
        centre = np.clip((np.arange(target) + 0.5) * scale - 0.5, 0, source - 1)
        for o, c in enumerate(centre):
            low = int(c)
            high = min(low + 1, source - 1)
            out[o, low] += 1 - (c - low)
            out[o, high] += c - low
    return out


def network_input(path, size):
    """[1, 1, size, size] in f32."""
    grey = np.asarray(Image.open(path).convert("L"), dtype=np.float64) / 255
    square = matrix(grey.shape[0], DETAIL) @ grey @ matrix(grey.shape[1], DETAIL).T
    square = matrix(DETAIL, size) @ square @ matrix(DETAIL, size).T
    return ((square - MEAN) / STD).astype(np.float32)[None, None]


def full_size(source, folder):
    """Films of full size from a real one: enlarged, with the noise of a detector (8 of 4,096 steps; 2 of 256)."""
    rng = np.random.default_rng(1)
    picture = Image.open(source).convert("L").convert("F")

    def enlarged(width, height, top, noise):
        grey = np.asarray(picture.resize((width, height), Image.Resampling.LANCZOS), dtype=np.float64) / 255
        return np.clip(np.round((0.05 + 0.85 * grey) * top + rng.normal(0, noise, grey.shape)), 0, top)

    deep = enlarged(2048, 2500, 4095, 8).astype("<u2")
    for name, syntax in (("native.dcm", ExplicitVRLittleEndian), ("jpeg2000.dcm", JPEG2000Lossless)):
        data = dicom(deep)
        if syntax != ExplicitVRLittleEndian:
            data.compress(syntax)
        data.save_as(folder / name, enforce_file_format=True)
    Image.fromarray(enlarged(3000, 2500, 255, 2).astype(np.uint8)).save(folder / "film.png")
    return [folder / name for name in ("native.dcm", "jpeg2000.dcm", "film.png")]


def dicom(samples):
    """An uncompressed DX film of 12 bits stored in 16."""
    data = pydicom.Dataset()
    data.SOPClassUID, data.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1.1", "2.25.1"
    data.Modality, data.BodyPartExamined, data.ViewPosition, data.PatientAge = "DX", "CHEST", "PA", "050Y"
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.Rows, data.Columns = samples.shape
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
    data.file_meta = pydicom.dataset.FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.PixelData = samples.tobytes()
    data["PixelData"].VR = "OW"
    return data
