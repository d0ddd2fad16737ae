"""Draws drawn_15bit.j2k: 48 rows, 56 columns, value (row * 607 + column * 311) mod 32768, lossless.

Needs Pillow with OpenJPEG. The tests compute the same values and compare exactly.
"""

from pathlib import Path

import numpy as np
from PIL import Image

rows, columns = np.mgrid[0:48, 0:56]
values = ((rows * 607 + columns * 311) % 32768).astype("<u2")
target = Path(__file__).with_name("drawn_15bit.j2k")
image = Image.frombytes("I;16", (56, 48), values.tobytes())
image.save(target, format="JPEG2000", irreversible=False, no_jp2=True)
print(target, target.stat().st_size, "bytes")
