"""Time and memory of overviews and crops of very large files, beside Pillow and (where it is installed) pyvips.

    python -m tests.benchmarks.bench_rasters [--width 27000 --height 20000] [--quick]

Files are generated in a temporary folder (about 1.5 GB) and removed. Every case runs in a process of its own; "growth" is
its peak resident memory above that of the process before the file is opened.
"""

from __future__ import annotations

import argparse
import importlib
import json
import platform
import subprocess
import sys
import tempfile
import time
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

BUDGET = 1008 * 1008
CROPS = 30


def texture(size: int = 2048) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Colours at several scales, about as hard to compress as an aerial picture."""
    rng = np.random.default_rng(0)
    out = np.zeros((size, size, 3))
    for cells, weight in ((8, 60), (64, 40), (512, 25), (size, 10)):
        noise = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        out += weight / 128 * (np.asarray(noise.resize((size, size), Image.Resampling.BICUBIC)) - 127.5)
    return (out + 128).clip(0, 255).astype(np.uint8)


def make(path: Path, width: int, height: int, *, overviews: bool, sparse: bool = False, **options: Any) -> None:
    """Write a tiled RGB GeoTIFF piece by piece."""
    import rasterio
    from rasterio.enums import Resampling
    from rasterio.windows import Window

    tile = np.moveaxis(texture(), -1, 0)
    step = tile.shape[1]
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=width,
        height=height,
        count=3,
        dtype="uint8",
        tiled=True,
        blockxsize=512,
        blockysize=512,
        crs="EPSG:32633",
        transform=rasterio.Affine(0.3, 0, 400_000, 0, -0.3, 5_000_000),
        bigtiff="yes" if sparse else "if_safer",
        sparse_ok=sparse,
        **options,
    ) as out:
        for y in range(0, height, step):
            for x in range(0, width, step):
                if sparse and (x // step + y // step * 7) % 97:
                    continue
                w, h = min(step, width - x), min(step, height - y)
                out.write(tile[:, :h, :w], window=Window(x, y, w, h))
    if overviews:
        with rasterio.open(path, "r+") as out:
            out.build_overviews([2, 4, 8, 16, 32], Resampling.average)


def memory(name: str) -> int:
    """Return VmRSS (now) or VmHWM (highest) of this process in MB."""
    return next((int(line.split()[1]) // 1024 for line in _lines("/proc/self/status") if line.startswith(name)), 0)


def crops(width: int, height: int) -> list[tuple[int, int, int, int]]:
    """Windows of 1008 x 1008 anywhere in the image."""
    rng = np.random.default_rng(1)
    corners = [(int(rng.integers(width - 1008)), int(rng.integers(height - 1008))) for _ in range(CROPS)]
    return [(x, y, x + 1008, y + 1008) for x, y in corners]


def case_ours(path: str, backend: str) -> dict[str, float]:
    """Overview, crops and windows of any scale through `open_image`."""
    from rscovlm.rasters import open_image

    open_image(np.zeros((64, 64, 3), dtype=np.uint8)).overview()
    if backend != "plain":
        import rasterio  # noqa: F401
    base = memory("VmRSS")
    begin = time.perf_counter()
    raster = open_image(path, backend=backend)  # type: ignore[arg-type]
    opened = time.perf_counter()
    raster.overview(BUDGET)
    first = time.perf_counter()
    both, single, anew = [], [], []
    for window in crops(raster.width, raster.height):
        start = time.perf_counter()
        raster.overview(BUDGET)
        middle = time.perf_counter()
        raster.read(window)
        end = time.perf_counter()
        both.append(end - start)
        single.append(end - middle)
    for window in crops(raster.width, raster.height)[: CROPS if len(raster._reader.levels) > 1 else 0]:
        start = time.perf_counter()
        with open_image(path, backend=backend) as fresh:  # type: ignore[arg-type]
            fresh.overview(BUDGET)
            fresh.read(window)
        anew.append(time.perf_counter() - start)
    result = {
        "open ms": 1e3 * (opened - begin),
        "first overview ms": 1e3 * (first - opened),
        "crop p50 ms": 1e3 * float(np.percentile(single, 50)),
        "overview+crop p50 ms": 1e3 * float(np.percentile(both, 50)),
        "overview+crop p95 ms": 1e3 * float(np.percentile(both, 95)),
        "growth MB": memory("VmHWM") - base,
    }
    if len(raster._reader.levels) > 1:
        rng = np.random.default_rng(2)
        scales = []
        for _ in range(CROPS):
            side = int(np.exp(rng.uniform(np.log(64), np.log(min(raster.width, raster.height)))))
            x, y = int(rng.integers(raster.width - side + 1)), int(rng.integers(raster.height - side + 1))
            start = time.perf_counter()
            raster.read((x, y, x + side, y + side), BUDGET)
            scales.append(time.perf_counter() - start)
        result["opened anew p50 ms"] = 1e3 * float(np.percentile(anew, 50))
        result["opened anew p95 ms"] = 1e3 * float(np.percentile(anew, 95))
        result["any window p95 ms"] = 1e3 * float(np.percentile(scales, 95))
        result["growth MB"] = memory("VmHWM") - base
    return result


def case_pillow(path: str, _: str) -> dict[str, float]:
    """What a script does: open, thumbnail; open, crop."""
    Image.MAX_IMAGE_PIXELS = None
    base = memory("VmRSS")
    begin = time.perf_counter()
    image = Image.open(path)
    size = image.size
    scale = (BUDGET / (size[0] * size[1])) ** 0.5
    image.convert("RGB").resize((int(size[0] * scale), int(size[1] * scale)), Image.Resampling.BOX)
    middle = time.perf_counter()
    Image.open(path).crop(crops(*size)[0]).load()
    end = time.perf_counter()
    return {
        "first overview ms": 1e3 * (middle - begin),
        "crop p50 ms": 1e3 * (end - middle),
        "overview+crop p50 ms": 1e3 * (end - begin),
        "growth MB": memory("VmHWM") - base,
    }


def case_pyvips(path: str, _: str) -> dict[str, float]:
    """Thumbnail from the overview that suits, and crops of the opened file."""
    pyvips = importlib.import_module("pyvips")

    base = memory("VmRSS")
    begin = time.perf_counter()
    image = pyvips.Image.new_from_file(path)
    opened = time.perf_counter()
    scale = (BUDGET / (image.width * image.height)) ** 0.5
    pyvips.Image.thumbnail(path, int(image.width * scale)).numpy()
    first = time.perf_counter()
    both, single = [], []
    for x1, y1, x2, y2 in crops(image.width, image.height):
        start = time.perf_counter()
        pyvips.Image.thumbnail(path, int(image.width * scale)).numpy()
        middle = time.perf_counter()
        image.crop(x1, y1, x2 - x1, y2 - y1).numpy()
        end = time.perf_counter()
        both.append(end - start)
        single.append(end - middle)
    return {
        "open ms": 1e3 * (opened - begin),
        "first overview ms": 1e3 * (first - opened),
        "crop p50 ms": 1e3 * float(np.percentile(single, 50)),
        "overview+crop p50 ms": 1e3 * float(np.percentile(both, 50)),
        "overview+crop p95 ms": 1e3 * float(np.percentile(both, 95)),
        "growth MB": memory("VmHWM") - base,
    }


CASES = {"ours": case_ours, "pillow": case_pillow, "pyvips": case_pyvips}


def run(case: str, path: Path, backend: str = "auto") -> dict[str, float] | None:
    """Run a case in a process of its own; None where it fails, such as where its library is absent."""
    command = [sys.executable, "-m", "tests.benchmarks.bench_rasters", "--case", case, str(path), backend]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"  {case}: not run ({(done.stderr.strip().splitlines() or ['?'])[-1][:120]})")
        return None
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def report(title: str, rows: dict[str, dict[str, float] | None]) -> None:
    """Print one table."""
    names = [
        "open ms",
        "first overview ms",
        "crop p50 ms",
        "overview+crop p50 ms",
        "overview+crop p95 ms",
        "opened anew p50 ms",
        "opened anew p95 ms",
        "any window p95 ms",
        "growth MB",
    ]
    print(f"\n{title}\n{'':22}" + "".join(f"{name:>22}" for name in names))
    for row, values in rows.items():
        if values is not None:
            cells = (f"{values[name]:>22,.0f}" if name in values else f"{'-':>22}" for name in names)
            print(f"{row:22}" + "".join(cells))


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
    width, height = options.width, options.height
    peers = ["pyvips"] if options.quick else ["pillow", "pyvips"]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "scene.tif"
        make(file, width, height, overviews=True, compress="jpeg", photometric="ycbcr", jpeg_quality=85)
        rows = {"ours (rasterio)": run("ours", file), "ours (without)": run("ours", file, "plain")}
        rows.update({peer: run(peer, file) for peer in peers})
        report(f"{width} x {height} RGB, JPEG tiles, overviews, {file.stat().st_size / 1e6:.0f} MB", rows)
        file.unlink()
        make(file, width, height, overviews=False, compress="deflate", zlevel=1)
        rows = {"ours (rasterio)": run("ours", file), "ours (without)": run("ours", file, "plain")}
        rows.update({peer: run(peer, file) for peer in peers})
        report(f"{width} x {height} RGB, Deflate tiles, no overviews, {file.stat().st_size / 1e6:.0f} MB", rows)
        file.unlink()
        side = 100_000 if width >= 20_000 else 4 * width
        make(file, side, side, overviews=False, sparse=True, compress="deflate", zlevel=1)
        rows = {"ours (rasterio)": run("ours", file), "ours (without)": run("ours", file, "plain")}
        report(f"{side} x {side} RGB, sparse, no overviews, {file.stat().st_size / 1e6:.0f} MB", rows)


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


if __name__ == "__main__":
    main()
