#!/usr/bin/env python3
"""An independent second opinion on decoding: films encoded by dcmtk, GDCM, CharLS and OpenJPEG, decoded by pydicom.

  codecs.py draw               draw and encode tests/data/codecs again, with what other decoders make of each file
  codecs.py draw DIR SIDE      the same films at SIDE x SIDE pixels into DIR
  codecs.py compare BIN PATH.. for each DICOM file: `BIN pixels` against pydicom and against dcmtk

Nothing here is shared with the Rust code. Debian packages dcmtk and libgdcm-tools;
pip install numpy pydicom pillow pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg pyjpegls
"""

import hashlib
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import pydicom
from PIL import Image
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000, JPEG2000Lossless, JPEGLSLossless, JPEGLSNearLossless

ROOT = pathlib.Path(__file__).resolve().parent.parent
FILMS = ROOT / "tests" / "data" / "codecs"
SIDES = (49, 51)
# Depths that are committed in few ways, to keep the repository small.
FEW = (10, 14, 15)

# --- the films ---------------------------------------------------------------------------------


def drawn(rows, columns, bits, signed):
    """A bright frame, two dark lungs, a spine, noise of a sixty-fourth, a collimated border, both extremes."""
    y, x = np.mgrid[0:rows, 0:columns]
    x, y = x / columns, y / rows
    lung = sum((((x - c) / 0.17) ** 2 + ((y - 0.5) / 0.36) ** 2 < 1).astype(float) for c in (0.28, 0.72))
    grey = np.where(lung > 0, 0.2 + 0.1 * np.abs(np.sin(12 * y)), 0.65 + 0.25 * y) + 0.08 * (np.abs(x - 0.5) < 0.05)
    grey += np.random.default_rng(20 + bits).normal(0, 1 / 64, grey.shape)
    top = (1 << bits) - 1
    film = np.clip(np.round(grey * top), 0, top).astype(np.int64)
    film[:, : columns // 12] = 0
    film[-2:, :] = top
    film[rows // 2, columns // 2 : columns // 2 + 4] = [0, top, 0, top]
    return film - (1 << (bits - 1)) if signed else film


def film(path, bits, signed=False, side=None, channels=1):
    rows, columns = (side, side) if side else SIDES
    data = pydicom.Dataset()
    data.file_meta = pydicom.dataset.FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
    # One identity for a drawing: the same bytes at every run.
    data.SOPInstanceUID = data.StudyInstanceUID = data.SeriesInstanceUID = f"2.25.{bits}{int(signed)}{channels}"
    data.file_meta.MediaStorageSOPClassUID, data.file_meta.MediaStorageSOPInstanceUID = data.SOPClassUID, data.SOPInstanceUID
    data.Modality, data.BodyPartExamined, data.ViewPosition, data.PatientAge = "CR", "CHEST", "PA", "060Y"
    data.PatientName = data.PatientID = data.PatientBirthDate = data.StudyDate = ""
    samples = drawn(rows, columns, bits, signed)
    data.Rows, data.Columns, data.SamplesPerPixel = rows, columns, channels
    data.PhotometricInterpretation = "MONOCHROME2" if channels == 1 else "RGB"
    if channels == 3:
        samples, data.PlanarConfiguration = np.stack([samples] * 3, axis=-1), 0
    data.BitsAllocated = 8 if bits == 8 else 16
    data.BitsStored, data.HighBit, data.PixelRepresentation = bits, bits - 1, int(signed)
    data["PixelData"] = pydicom.DataElement(0x7FE00010, "OB" if bits == 8 else "OW", b"")
    raw = samples.astype("<i8").astype("<u1" if bits == 8 else "<u2").tobytes()
    data.PixelData = raw + b"\0" * (len(raw) % 2)
    data.save_as(path, enforce_file_format=True)


def tool(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}: {done.stderr}")


def compressed(source, out, syntax, **options):
    data = pydicom.dcmread(source)
    data.compress(syntax, generate_instance_uid=False, **options)
    data.save_as(out)


def encoded(work, folder, side):
    """Encodes each film in each way it is met with; yields the name of each file and whether it lost nothing."""
    for bits, signed in [(8, False), (10, False), (12, False), (14, False), (15, False), (16, False), (12, True), (16, True)]:
        label = f"{bits}{'_signed' if signed else ''}"
        source = work / f"{label}.dcm"
        film(source, bits, signed, side)

        def way(name, lossless, *command):
            tool(*command, source, folder / f"{name}_{label}.dcm")
            return f"{name}_{label}", lossless

        keep = ["+un"]
        yield way("jpegls", True, "dcmcjpls", "+el", *keep)
        yield way("jpeg_sv1", True, "dcmcjpeg", "+e1", *keep)
        if side is None and bits in FEW:
            continue
        yield way("big_endian", True, "dcmconv", "+tb")
        yield way("deflated", True, "dcmconv", "+td")
        yield way("rle", True, "dcmcrle", *keep)
        if not signed:
            yield way("jpegls_cooked", True, "dcmcjpls", "+el", "+pc", *keep)
        if bits in (12, 16):
            for predictor in range(1, 8) if not signed else [4, 7]:
                yield way(f"jpeg_predictor{predictor}", True, "dcmcjpeg", "+el", "+sv", predictor, *keep)
        if bits in (8, 12) and not signed:
            yield way("jpeg_extended", False, "dcmcjpeg", "+ee", "+q", 95, *keep)
        if bits == 8:
            yield way("jpeg_baseline", False, "dcmcjpeg", "+eb", "+q", 95, *keep)
        if bits == 12 and not signed:
            yield way("jpeg_extended_coarse", False, "dcmcjpeg", "+ee", "+q", 40, *keep)
            yield way("jpegls_tuned", True, "dcmcjpls", "+el", "+t1", 9, "+t2", 40, "+t3", 100, "+rs", 31, *keep)
            yield way("jpegls_fragments", True, "dcmcjpls", "+el", "+fs", 1, *keep)
        if not signed:
            for near in (1, 3) if bits in (8, 16) else (2,):
                yield way(f"jpegls_near{near}", False, "dcmcjpls", "+en", "+md", near, *keep)
            yield way("gdcm_jpegls", True, "gdcmconv", "--jpegls")
            yield way("gdcm_jpeg", True, "gdcmconv", "--jpeg")
            yield way("gdcm_j2k", True, "gdcmconv", "--j2k")
            name = f"j2k_lossy_{label}"
            compressed(source, folder / f"{name}.dcm", JPEG2000, j2k_cr=[4])
            yield name, False
        for name, syntax in [("charls", JPEGLSLossless), ("openjpeg", JPEG2000Lossless)]:
            compressed(source, folder / f"{name}_{label}.dcm", syntax)
            yield f"{name}_{label}", True
        if not signed and bits in (12, 16):
            compressed(source, folder / f"charls_near9_{label}.dcm", JPEGLSNearLossless, jls_error=9)
            yield f"charls_near9_{label}", False
    source = work / "rgb.dcm"
    film(source, 8, False, side, channels=3)
    for name, lossless, command in [
        ("rgb_jpegls_line", True, ["dcmcjpls", "+el", "+il"]),
        ("rgb_jpegls_sample", True, ["dcmcjpls", "+el", "+is"]),
        ("rgb_jpegls_none", True, ["dcmcjpls", "+el", "+in"]),
        ("rgb_jpegls_near", False, ["dcmcjpls", "+en", "+is"]),
        ("rgb_jpeg_lossless", True, ["dcmcjpeg", "+e1"]),
        ("rgb_jpeg_baseline", False, ["dcmcjpeg", "+eb", "+s4", "+q", 95]),
        ("rgb_rle", True, ["dcmcrle"]),
    ]:
        tool(*command, "+un", source, folder / f"{name}.dcm")
        yield name, lossless


# --- what others decode ------------------------------------------------------------------------


def by_pydicom(path):
    """Stored samples, raised by 32,768 where signed, colours as their luma; by pydicom's plugins."""
    data = pydicom.dcmread(path)
    colours = data.SamplesPerPixel == 3
    samples = pydicom.pixels.pixel_array(data, raw=not colours).astype(np.int64)
    if colours:
        samples = np.round(samples @ [0.299, 0.587, 0.114]).astype(np.int64)
    return samples + 32_768 if data.PixelRepresentation else samples


def by_dcmtk(path):
    """The same by dcmtk's decoders; None where it has none."""
    uid = str(pydicom.dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID)
    decoder = {"1.2.840.10008.1.2.5": "dcmdrle", "1.2.840.10008.1.2.4.80": "dcmdjpls", "1.2.840.10008.1.2.4.81": "dcmdjpls"}.get(uid)
    if decoder is None:
        if uid in ("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"):
            return None
        decoder = "dcmdjpeg" if uid.startswith("1.2.840.10008.1.2.4.") else "dcmconv"
    with tempfile.TemporaryDirectory() as folder:
        plain = pathlib.Path(folder) / "plain.dcm"
        done = subprocess.run([decoder, "+te", path, plain], capture_output=True)
        if done.returncode:
            return None
        return by_pydicom(plain)


def draw(folder, side):
    folder.mkdir(parents=True, exist_ok=True)
    reference = []
    with tempfile.TemporaryDirectory() as work:
        for name, lossless in encoded(pathlib.Path(work), folder, side):
            path = folder / f"{name}.dcm"
            data = pydicom.dcmread(path)
            stored = drawn(data.Rows, data.Columns, data.BitsStored, bool(data.PixelRepresentation))
            stored = stored + 32_768 if data.PixelRepresentation else stored
            others = {"pydicom": by_pydicom(path), "dcmtk": by_dcmtk(path)}
            entry = {"file": path.name, "transfer_syntax": data.file_meta.TransferSyntaxUID, "lossless": lossless,
                     "bits": data.BitsStored, "signed": bool(data.PixelRepresentation)}
            # Whoever decodes JPEG-LS finds the same samples, lossless or not.
            exact = lossless or name.startswith(("jpegls", "charls"))
            samples = stored if lossless else others["pydicom"]
            for who, theirs in others.items():
                if theirs is not None and exact and not np.array_equal(theirs, samples):
                    raise SystemExit(f"{name}: {who} decodes other samples")
                if theirs is not None and not exact:
                    entry[who] = f"{name}.{who}.png"
                    Image.fromarray(theirs.astype(np.uint16)).save(folder / entry[who], optimize=True)
            if exact:
                entry["sha256"] = hashlib.sha256(samples.astype("<u2").tobytes()).hexdigest()
            reference.append(entry)
    (folder / "reference.json").write_text(json.dumps(reference, indent=0) + "\n")
    print(f"{len(reference)} films, {sum(f.stat().st_size for f in folder.iterdir())} bytes")


def compare(binary, paths):
    for path in paths:
        with tempfile.TemporaryDirectory() as folder:
            png = pathlib.Path(folder) / "out.png"
            done = subprocess.run([binary, "pixels", path, "--out", png], capture_output=True, text=True)
            if done.returncode:
                print(f"{pathlib.Path(path).name}: {done.stderr.strip().splitlines()[0]}")
                continue
            ours = np.asarray(Image.open(png)).astype(np.int64)
        words = []
        for who, read in (("pydicom", by_pydicom), ("dcmtk", by_dcmtk)):
            try:
                theirs = read(path)
            except Exception as fault:
                words.append(f"{who} cannot ({type(fault).__name__})")
                continue
            if theirs is None:
                words.append(f"{who} cannot")
            elif theirs.shape != ours.shape:
                words.append(f"{who} has {theirs.shape}, we {ours.shape}")
            else:
                words.append(f"{who} differs by at most {np.abs(theirs - ours).max()}")
        print(f"{pathlib.Path(path).name}: {', '.join(words)}")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["draw"]:
            draw(FILMS, None)
        case ["draw", folder, side]:
            draw(pathlib.Path(folder), int(side))
        case ["compare", binary, *paths]:
            compare(binary, paths)
        case _:
            raise SystemExit(__doc__)
