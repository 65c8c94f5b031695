"""What reading an image may take, as its header tells, beside what it takes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SIDE = 2600
# Run as a program, since what a process once took can only be read of a fresh one.
PROGRAM = """
import io, json, re, sys
from pathlib import Path
from PIL import Image
import numpy as np
from rscovlm.rasters import PixelLimits, open_image
from tests.rasters.test_memory import bomb

def taken():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024

kind, backend = sys.argv[1:3]
data = bomb(kind, 300)
warm = open_image(data, limits=PixelLimits(small=2**14), backend=backend)
warm.read((0, 0, 100, 100)), warm.overview(10_000)
data = bomb(kind)
Path("/proc/self/clear_refs").write_text("5")
before = taken()
image = open_image(data, limits=PixelLimits(small=2**22), backend=backend)
estimate, opened = image.memory(1008 * 1008), taken() - before
image.overview(1008 * 1008)
image.read((SIDE // 2, SIDE // 2, SIDE // 2 + 600, SIDE // 2 + 600))
print(json.dumps({"estimate": estimate, "opened": opened, "taken": taken() - before}))
""".replace("SIDE", str(SIDE))


def bomb(kind: str, side: int = SIDE) -> bytes:
    """A picture of one colour, a few bytes as a file."""
    import io

    import numpy as np
    from PIL import Image

    memory = io.BytesIO()
    name, _, variant = kind.partition("-")
    grey = Image.new("P", (side, side), 3)
    grey.putpalette([value for value in range(256) for _ in "rgb"])  # without one, Pillow before 13 writes a broken BMP
    if kind == "webp-frames":
        Image.new("RGB", (side, side)).save(
            memory,
            "WEBP",
            lossless=True,
            method=0,
            quality=0,
            save_all=True,
            append_images=[Image.new("RGB", (side, side), (9, 9, 9))],
        )
    elif kind == "webp-turned":
        held = Image.Exif()
        held[274] = 6
        Image.new("RGB", (side, side)).save(memory, "WEBP", lossless=True, method=0, quality=0, exif=held)
    elif name == "webp":
        mode = "RGBA" if variant == "alpha" else "RGB"
        colour = (1, 2, 3, 4)[: len(mode)]
        Image.new(mode, (side, side), colour).save(memory, "WEBP", lossless=True, method=0, quality=0)
    elif kind == "png-16":
        Image.fromarray(np.full((side, side), 7, np.uint16)).save(memory, "PNG")
    elif kind == "png-interlaced":
        memory.write(interlaced(side))
    elif name == "png":
        Image.new("RGBA" if variant == "alpha" else "RGB", (side, side)).save(memory, "PNG")
    elif name == "jpeg":
        Image.new("RGB", (side, side)).save(memory, "JPEG", progressive=variant == "progressive")
    elif kind == "gif-frames":
        grey.save(memory, "GIF", save_all=True, append_images=[Image.new("P", (side, side), 5)] * 3, transparency=3)
    elif name == "tiff":
        import tifffile

        dtype = {"": np.uint8, "16": np.uint16, "double": np.float64}[variant]
        array = np.zeros((side, side, 3), dtype)
        tifffile.imwrite(memory, array, photometric="rgb", compression="zlib", rowsperstrip=side)
    else:
        grey.convert("RGB" if name == "jp2" else "P").save(memory, {"jp2": "JPEG2000"}.get(name, name.upper()))
    return memory.getvalue()


def interlaced(side: int) -> bytes:
    """A PNG in seven passes, which Pillow does not write: 16 bits a channel, with alpha."""
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packed = zlib.compressobj()
    data = b""
    for x, y, across, down in (
        (0, 0, 8, 8),
        (4, 0, 8, 8),
        (0, 4, 4, 8),
        (2, 0, 4, 4),
        (0, 2, 2, 4),
        (1, 0, 2, 2),
        (0, 1, 1, 2),
    ):
        row = bytes(1 + 8 * (-(-(side - x) // across)))
        for _ in range(-(-(side - y) // down)):
            data += packed.compress(row)
    head = struct.pack(">IIBBBBB", side, side, 16, 6, 0, 0, 1)
    data += packed.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


KINDS = (
    "webp", "webp-alpha", "webp-frames", "webp-turned", "png", "png-alpha", "png-16", "png-interlaced", "jpeg", "jpeg-progressive", "gif",
    "gif-frames", "bmp", "jp2", "tiff", "tiff-16", "tiff-double",
)  # fmt: skip


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="what a process took is read from /proc")
@pytest.mark.parametrize(
    ("kind", "backend"),
    [
        (kind, backend)
        for kind in KINDS
        for backend in ("auto", "plain")
        if backend == "auto" or kind[:3] in ("png", "jp2", "tif")
    ],
)
def test_reading_takes_no_more_than_the_header_tells(kind: str, backend: str) -> None:
    # Freed blocks go back at once, so that one read's garbage is not the next one's peak.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": "1048576", "MALLOC_ARENA_MAX": "1"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, kind, backend],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env=environment,
    )
    found = json.loads(done.stdout)
    pixels = SIDE**2
    assert found["opened"] < 2**23, "opening decodes"
    assert found["taken"] <= found["estimate"], found
    # An estimate far above what is taken would lock out honest pictures.
    assert found["estimate"] < 8 * found["taken"] + 2**25, found
    assert pixels < found["estimate"]
