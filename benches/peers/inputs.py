"""Films, and what a network sees of them, for every engine the same: the binary's reader makes it, so that a film that is
stored inverted is turned for all of them.
"""

import pathlib
import subprocess

import numpy as np
import pydicom
from PIL import Image
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless


def films(folder):
    """Picture files of a folder, sorted."""
    found = sorted(p for p in pathlib.Path(folder).iterdir() if p.suffix.lower() in (".png", ".jpg", ".jpeg"))
    if not found:
        raise SystemExit(f"{folder}: no PNG or JPEG films in it")
    return found


def network_input(binary, model, film, size, folder):
    """The file of the input [1, 1, size, size] in f32 that the binary's network sees of this film; made once.

    A film that the binary refuses ends the run: it would be measured on nothing that anybody reads.
    """
    kept = pathlib.Path(folder) / "inputs"
    kept.mkdir(exist_ok=True)
    path = kept / f"{model}.{pathlib.Path(film).name}.{size}.f32"
    if not path.exists():
        command = [binary, "bench", "--model", model, "--size", size, "--runs", 1, "--film", film, "--save-input", path]
        done = subprocess.run([*map(str, command)], capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"{film}: {done.stderr.strip()[-500:]}")
    return path


def image(path, size):
    """[1, 1, size, size] from such a file."""
    return np.fromfile(path, dtype="<f4").reshape(1, 1, size, size)


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
