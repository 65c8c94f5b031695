"""Time and memory of overviews and crops of very large files, beside Pillow and (where it is installed) pyvips.

    python -m tests.benchmarks.bench_rasters [--width 27000 --height 20000] [--quick]

Files are generated in a temporary folder (about 1 GB) and removed. Every case runs in a process of its own; "growth" is
its peak resident memory above that of the process before the file is opened.
"""

from __future__ import annotations

import argparse
import importlib
import io
import json
import os
import platform
import struct
import subprocess
import sys
import tempfile
import time
import warnings
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

BUDGET = 1008 * 1008
CROPS = 30
TILE = 512


def texture(size: int = 2048) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Colours at several scales, about as hard to compress as an aerial picture."""
    rng = np.random.default_rng(0)
    out = np.zeros((size, size, 3))
    for cells, weight in ((8, 60), (64, 40), (512, 25), (size, 10)):
        noise = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        out += weight / 128 * (np.asarray(noise.resize((size, size), Image.Resampling.BICUBIC)) - 127.5)
    return (out + 128).clip(0, 255).astype(np.uint8)


def make(path: Path, width: int, height: int, *, jpeg: bool, overviews: bool, sparse: bool = False) -> None:
    """Write a tiled RGB GeoTIFF in seconds: its texture repeats, so that a few encoded tiles are stored many times."""
    picture = Image.fromarray(texture())
    with path.open("wb") as out:
        out.write(struct.pack("<2sHI", b"II", 42, 0))
        link = 4  # where the place of the next directory is to be written
        for level in range(6 if overviews else 1):
            size = (-(-width // 2**level), -(-height // 2**level))
            shrunk = np.asarray(picture.reduce(2**level))
            tiles = encoded(np.tile(shrunk, (*(max(TILE // len(shrunk), 1),) * 2, 1)), jpeg)
            places, lengths = [], []
            for tile in stored(tiles, size, sparse):
                places.append(out.tell() if tile else 0)
                lengths.append(len(tile))
                out.write(tile)
            tags: list[tuple[int, str, Any]] = [
                (254, "I", [int(level > 0)]),
                (256, "I", [size[0]]),
                (257, "I", [size[1]]),
                (258, "H", [8, 8, 8]),
                (259, "H", [7 if jpeg else 8]),
                (262, "H", [6 if jpeg else 2]),
                (277, "H", [3]),
                (284, "H", [1]),
                (322, "I", [TILE]),
                (323, "I", [TILE]),
                (324, "I", places),
                (325, "I", lengths),
            ]
            tags += [(530, "H", [2, 2])] if jpeg else []
            if not level:
                tags += [
                    (33550, "d", [0.3, 0.3, 0.0]),
                    (33922, "d", [0.0, 0.0, 0.0, 400_000.0, 5_000_000.0, 0.0]),
                    (34735, "H", [1, 1, 0, 2, 1024, 0, 1, 1, 3072, 0, 1, 32633]),
                ]
            link = directory(out, tags, link)


def directory(out: BinaryIO, tags: list[tuple[int, str, Any]], link: int) -> int:
    """Append a TIFF directory, point to it from `link`, and return where the next one is to be linked."""
    entries = b""
    for tag, kind, values in tags:
        data = struct.pack(f"<{len(values)}{kind}", *values)
        if len(data) > 4:
            out.write(bytes(out.tell() % 2))
            data, place = struct.pack("<I", out.tell()), data
            out.write(place)
        entries += struct.pack("<HHI", tag, {"H": 3, "I": 4, "d": 12}[kind], len(values)) + data.ljust(4, b"\0")
    out.write(bytes(out.tell() % 2))
    here = out.tell()
    out.write(struct.pack("<H", len(tags)) + entries + bytes(4))
    end = out.tell()
    out.seek(link)
    out.write(struct.pack("<I", here))
    out.seek(end)
    return end - 4


def encoded(pixels: np.ndarray[Any, np.dtype[np.uint8]], jpeg: bool) -> list[list[bytes]]:
    """Encode a picture's tiles, row by row."""
    rows = []
    for y in range(0, len(pixels), TILE):
        row = []
        for x in range(0, len(pixels), TILE):
            tile = np.ascontiguousarray(pixels[y : y + TILE, x : x + TILE])
            memory = io.BytesIO()
            if jpeg:
                Image.fromarray(tile).save(memory, format="JPEG", quality=85, subsampling="4:2:0")
            row.append(memory.getvalue() if jpeg else zlib.compress(tile.tobytes(), 6))
        rows.append(row)
    return rows


def stored(tiles: list[list[bytes]], size: tuple[int, int], sparse: bool) -> Iterator[bytes]:
    """Give the tiles of a whole level; a sparse file has one in a hundred."""
    for y in range(-(-size[1] // TILE)):
        for x in range(-(-size[0] // TILE)):
            yield b"" if sparse and (x + 7 * y) % 97 else tiles[y % len(tiles)][x % len(tiles)]


def memory(name: str) -> int:
    """Return VmRSS (now) or VmHWM (highest) of this process in MB."""
    return next((int(line.split()[1]) // 1024 for line in _lines("/proc/self/status") if line.startswith(name)), 0)


def crops(width: int, height: int) -> list[tuple[int, int, int, int]]:
    """Windows of 1008 x 1008 anywhere in the image."""
    rng = np.random.default_rng(1)
    corners = [(int(rng.integers(width - 1008)), int(rng.integers(height - 1008))) for _ in range(CROPS)]
    return [(x, y, x + 1008, y + 1008) for x, y in corners]


class Timings:
    """Wall and processor time of named steps."""

    def __init__(self) -> None:
        self.base = memory("VmRSS")
        self.steps: dict[str, list[tuple[float, float]]] = {}

    def time(self, name: str, step: Callable[[], object]) -> Any:
        """Run a step and note how long it took, in ms."""
        wall, processor = time.perf_counter(), time.process_time()
        result = step()
        spent = (1e3 * (time.perf_counter() - wall), 1e3 * (time.process_time() - processor))
        self.steps.setdefault(name, []).append(spent)
        return result

    def result(self) -> dict[str, list[float]]:
        """Return median and 95th percentile of wall and of processor time of each step; growth of memory last."""
        spread = {name: np.percentile(times, (50, 95), axis=0).T.ravel().tolist() for name, times in self.steps.items()}
        return {**spread, "growth MB": [memory("VmHWM") - self.base]}


def case_ours(path: str, backend: str) -> dict[str, list[float]]:
    """Overview, crops and windows of any scale through `open_image`."""
    from rscovlm.rasters import open_image

    open_image(np.zeros((64, 64, 3), dtype=np.uint8)).overview()
    if backend != "plain":
        import rasterio  # noqa: F401
    clock = Timings()
    way: Any = backend
    raster = clock.time("open", lambda: open_image(path, backend=way))
    clock.time("first overview", lambda: raster.overview(BUDGET))
    layered = len(raster._reader.levels) > 1

    def pair(image: Any, window: tuple[int, int, int, int]) -> None:
        image.overview(BUDGET)
        image.read(window)

    for window in crops(raster.width, raster.height):
        clock.time("crop", lambda: raster.read(window))  # noqa: B023
        clock.time("overview + crop", lambda: pair(raster, window))  # noqa: B023
        if layered:
            clock.time("open + overview + crop", lambda: pair(open_image(path, backend=way), window))  # noqa: B023
    rng = np.random.default_rng(2)
    for _ in range(CROPS if layered else 0):
        side = int(np.exp(rng.uniform(np.log(64), np.log(min(raster.width, raster.height)))))
        x, y = int(rng.integers(raster.width - side + 1)), int(rng.integers(raster.height - side + 1))
        clock.time("window of any scale", lambda: raster.read((x, y, x + side, y + side), BUDGET))  # noqa: B023
    return clock.result()


def case_pillow(path: str, _: str) -> dict[str, list[float]]:
    """What a script does: open, shrink; open, crop."""
    Image.MAX_IMAGE_PIXELS = None
    clock = Timings()
    image = clock.time("open", lambda: Image.open(path))
    size = image.size
    scale = (BUDGET / (size[0] * size[1])) ** 0.5
    small = (int(size[0] * scale), int(size[1] * scale))
    clock.time("first overview", lambda: image.resize(small, Image.Resampling.BOX))
    image.close()
    clock.time("crop", lambda: Image.open(path).crop(crops(*size)[0]).load())
    return clock.result()


def case_pyvips(path: str, _: str) -> dict[str, list[float]]:
    """Thumbnail from the overview that suits, and crops of the opened file."""
    pyvips = importlib.import_module("pyvips")
    clock = Timings()
    image = clock.time("open", lambda: pyvips.Image.new_from_file(path))
    wide = int(image.width * (BUDGET / (image.width * image.height)) ** 0.5)
    clock.time("first overview", lambda: pyvips.Image.thumbnail(path, wide).numpy())
    if clock.steps["first overview"][0][1] > 2000:  # without overviews each one reads the whole file
        return clock.result()

    def pair(window: tuple[int, int, int, int]) -> None:
        pyvips.Image.thumbnail(path, wide).numpy()
        image.crop(window[0], window[1], 1008, 1008).numpy()

    for window in crops(image.width, image.height):
        clock.time("crop", lambda: image.crop(window[0], window[1], 1008, 1008).numpy())  # noqa: B023
        clock.time("overview + crop", lambda: pair(window))  # noqa: B023
    return clock.result()


CASES = {"ours": case_ours, "pillow": case_pillow, "pyvips": case_pyvips}


def run(case: str, path: Path, backend: str = "auto") -> dict[str, list[float]] | None:
    """Run a case in a process of its own; None where it fails, such as where its library is absent."""
    command = [sys.executable, "-m", "tests.benchmarks.bench_rasters", "--case", case, str(path), backend]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"  {case}: not run ({(done.stderr.strip().splitlines() or ['?'])[-1][:120]})")
        return None
    result: dict[str, list[float]] = json.loads(done.stdout.splitlines()[-1])
    return result


def report(title: str, rows: dict[str, dict[str, list[float]] | None]) -> None:
    """Print one table: ms of wall time as median / 95th percentile, the same of processor time in brackets."""
    print(f"\n{title}")
    for row, values in rows.items():
        for name, numbers in (values or {}).items():
            if len(numbers) == 1:
                print(f"{row:18}{name:26}{numbers[0]:8,.0f}")
            else:
                print(
                    f"{row:18}{name:26}{numbers[0]:8,.0f} /{numbers[1]:8,.0f}   ({numbers[2]:,.0f} / {numbers[3]:,.0f})"
                )


def main() -> None:
    """Generate the files, run the cases, print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--width", type=int, default=27_000)
    parser.add_argument("--height", type=int, default=20_000)
    parser.add_argument("--quick", action="store_true", help="leave Pillow out, which takes the longest")
    parser.add_argument("--case", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.case:
        case, path, backend = options.case
        print(json.dumps(CASES[case](path, backend)))
        return
    processor = next((s.split(":")[1].strip() for s in _lines("/proc/cpuinfo") if s.startswith("model name")), "?")
    print(
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {platform.machine()} {processor}, Python {platform.python_version()}"
    )
    busy = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    print(f"{os.cpu_count()} cores, load {busy}; ms of wall time (of processor time), median / 95th percentile")
    width, height = options.width, options.height
    peers = ["pyvips"] if options.quick else ["pillow", "pyvips"]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "scene.tif"
        make(file, width, height, jpeg=True, overviews=True)
        rows = {"ours (rasterio)": run("ours", file), "ours (without)": run("ours", file, "plain")}
        rows.update({peer: run(peer, file) for peer in peers})
        report(f"{width} x {height} RGB, JPEG tiles, overviews, {file.stat().st_size / 1e6:.0f} MB", rows)
        file.unlink()
        make(file, width, height, jpeg=False, overviews=False)
        rows = {"ours (rasterio)": run("ours", file), "ours (without)": run("ours", file, "plain")}
        rows.update({peer: run(peer, file) for peer in peers})
        report(f"{width} x {height} RGB, Deflate tiles, no overviews, {file.stat().st_size / 1e6:.0f} MB", rows)
        file.unlink()
        side = 100_000 if width >= 20_000 else 4 * width
        make(file, side, side, jpeg=False, overviews=False, sparse=True)
        rows = {"ours (rasterio)": run("ours", file), "ours (without)": run("ours", file, "plain")}
        report(f"{side} x {side} RGB, sparse, no overviews, {file.stat().st_size / 1e6:.0f} MB", rows)


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


if __name__ == "__main__":
    main()
