#!/usr/bin/env python3
"""Draws the JPEG 2000 codestreams beside it: a small grey picture in every coding that films come in; names say which.

Needs Pillow with OpenJPEG. The tests decode each with both decoders and compare.
"""

from pathlib import Path

import numpy as np
from PIL import Image

CODINGS = {
    "lossless_lrcp": dict(progression="LRCP"),
    "lossless_rlcp": dict(progression="RLCP", num_resolutions=4),
    "lossless_rpcl": dict(progression="RPCL", num_resolutions=3, precinct_size=(32, 32), codeblock_size=(16, 16)),
    "lossless_pcrl": dict(progression="PCRL", num_resolutions=3, precinct_size=(32, 32), codeblock_size=(8, 16)),
    "lossless_cprl": dict(progression="CPRL", num_resolutions=4, precinct_size=(64, 32), codeblock_size=(32, 4)),
    "lossless_one_resolution": dict(num_resolutions=1),
    "lossless_tiles": dict(tile_size=(40, 33), num_resolutions=3),
    "lossless_offsets": dict(offset=(5, 3), tile_offset=(2, 1), tile_size=(37, 50), num_resolutions=3),
    "layers": dict(quality_mode="rates", quality_layers=[20, 8, 3], num_resolutions=4),
    "lossy": dict(irreversible=True, quality_mode="rates", quality_layers=[6]),
    "lossy_tiles": dict(irreversible=True, quality_mode="rates", quality_layers=[12, 4], tile_size=(48, 41), num_resolutions=4),
    "lossy_all_planes": dict(irreversible=True, progression="RPCL", num_resolutions=2),
}

rows, columns = np.mgrid[0:71, 0:90]
rng = np.random.default_rng(2)
# A body with an edge, a label, the noise of a detector: smooth parts, steps and bits without a pattern.
values = 9_000 + 4_000 * np.sin(rows / 9) * np.cos(columns / 13) + rng.normal(0, 40, rows.shape)
values[:, :11] = 40
values[5:14, 60:80] = 32_000
deep = np.clip(values, 0, 32_767).astype("<u2")
here = Path(__file__).parent
for name, options in CODINGS.items():
    for suffix, samples, mode in (("", deep, "I;16"), ("_8bit", (deep >> 7).astype("u1"), "L")):
        image = Image.frombytes(mode, (90, 71), samples.tobytes())
        image.save(here / f"{name}{suffix}.j2k", format="JPEG2000", no_jp2=True, **options)
