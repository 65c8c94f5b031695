"""CPU seconds, peak memory and the exponent between sizes: ``python -m tests.benchmarks.bench_scale [WORK ...] [--most N]``.

Each size runs in a process of its own on one thread, after an input of one has loaded the modules. The exponent is that of CPU time
from one size to the next; 1 is linear.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rscovlm.geometry import Boxes, Frame, Objects
from rscovlm.geometry.tiling import tiles
from rscovlm.metrics import ap_nc, merge_tiles
from rscovlm.predicting.items import Item
from rscovlm.predicting.latest_rows import PREDICTIONS, LatestRows
from rscovlm.predicting.placed_rows import write_objects
from rscovlm.predicting.prediction import DefaultQuestion, predict
from rscovlm.predicting.shards import merge_shards
from rscovlm.quality.fingerprints import Print, near_pairs
from rscovlm.quality.stored_prints import StoredPrints
from rscovlm.records import ImageRef
from rscovlm.tasks.boxes import frame_row
from rscovlm.tasks.merging import merge_and_join
from rscovlm.zoom import ZoomChain
from rscovlm.zoom.journal import Journal
from tests.benchmarks.scale_works import (
    Work,
    constraint,
    crops,
    cutoff,
    far_row,
    overview,
    page_of_objects,
    stored_constraint,
    tiled_copy,
    walked_row,
)
from tests.benchmarks.segmented_raster import segment_raster
from tests.metrics.scenes import rectangles
from tests.zoom.scripted import Scripted, call


def main() -> None:
    """Measure the works that are named, or all, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("works", nargs="*", help=f"of {', '.join(WORKS)}; all by default")
    parser.add_argument("--most", type=int, default=10**9, help="leave out larger sizes")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        sys.stdout.write(json.dumps(_measured(*arguments.one)))
        return
    sys.stdout.write(f"{datetime.date.today()} {platform.machine()} Python {platform.python_version()}, one thread\n")
    for name in arguments.works or WORKS:
        before: tuple[int, float] | None = None
        for size in (size for size in WORKS[name][1] if size <= arguments.most):
            seconds, peak = _fresh(name, size)
            exponent = "" if before is None else f"  exponent {math.log(seconds / before[1], size / before[0]):.2f}"
            sys.stdout.write(f"{name:24}{size:10}{seconds:9.2f} s{peak:7.0f} MB{exponent}\n")
            sys.stdout.flush()
            before = size, seconds


def _fresh(name: str, size: int) -> tuple[float, float]:
    command = [sys.executable, "-m", "tests.benchmarks.bench_scale", "--one", name, str(size)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    seconds, peak = json.loads(done.stdout.splitlines()[-1])
    return seconds, peak


def _measured(name: str, size: str) -> tuple[float, float]:
    """Return CPU seconds of the work alone, and the peak memory of the process in MB, its input included."""
    make = WORKS[name][0]
    make(1)()  # imports
    work = make(int(size))
    start = time.process_time()
    work()
    return max(time.process_time() - start, 1e-3), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _quads(count: int, span: float, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    return rectangles(rng.uniform(0, span, (count, 2)), rng.uniform(10, 60, (count, 2)), rng.uniform(-1.5, 1.5, count))


def _merge_pile(count: int) -> Work:
    """One class within 400 pixels, where four tiles meet."""
    return _merge(count, 400.0)


def _merge_spread(count: int) -> Work:
    """Ten boxes in 100 x 100 pixels."""
    return _merge(count, math.sqrt(count * 1000.0))


def _merge(count: int, span: float) -> Work:
    """Boxes that every tile sees whole or cut at its border, as a detector without scores gives them."""
    quads, size = _quads(count, span), (math.ceil(span), math.ceil(span))
    windows = list(tiles(*size, 512 if span > 1000 else 256, 100))
    table = np.array(windows, dtype=float)
    side = table[0, 2] - table[0, 0]
    centre = quads.reshape(-1, 4, 2).mean(axis=1)
    # The last tile that holds the centre along each axis.
    starts = np.unique(table[:, 0])
    rng = np.random.default_rng(1)
    column, row = (_tile(centre[:, axis], starts, side, rng) for axis in (0, 1))
    number = {window[:2]: place for place, window in enumerate(windows)}
    corner = [(int(starts[x]), int(starts[y])) for x, y in zip(column, row, strict=True)]
    tile_of = [number[one] for one in corner]
    seen = table[tile_of]
    boxes = np.clip(quads.reshape(-1, 4, 2), seen[:, None, :2], seen[:, None, 2:]).reshape(-1, 8)
    objects = Objects(Boxes(boxes, "quad"), ("ship",) * count)
    return lambda: merge_and_join(objects, tile_of, windows, size)


def _tile(centre: Any, starts: Any, side: float, rng: np.random.Generator) -> Any:
    """Return one of the tiles along an axis that see a place."""
    last = np.maximum(np.searchsorted(starts, centre, side="right") - 1, 0)
    earlier = np.maximum(last - 1, 0)
    both = (starts[earlier] + side >= centre) & (rng.random(len(centre)) < 0.5)
    return np.where(both, earlier, last)


def _tiles_pile(count: int) -> Work:
    """One class within 200 pixels, with scores."""
    tile = {"image": "P", "boxes": _quads(count, 200.0), "labels": ["ship"] * count}
    return lambda: merge_tiles([{**tile, "scores": np.random.default_rng(1).random(count)}])


def _tiles_spread(count: int) -> Work:
    tile = {"image": "P", "boxes": _quads(count, math.sqrt(count * 1000.0)), "labels": ["ship"] * count}
    return lambda: merge_tiles([{**tile, "scores": np.random.default_rng(1).random(count)}])


def _ap_nc(count: int, span: float) -> Work:
    true = _quads(count, span)
    found = true + np.random.default_rng(2).normal(0, 2, true.shape)
    labels = ["ship"] * count
    return lambda: ap_nc([{"boxes": found, "labels": labels}], [{"boxes": true, "labels": labels}])


def _ap_nc_image(count: int) -> Work:
    """One image of one class, ten boxes in 100 x 100 pixels."""
    return _ap_nc(count, math.sqrt(count * 1000.0))


def _ap_nc_pile(count: int) -> Work:
    """One class within 400 pixels."""
    return _ap_nc(count, 400.0)


def _ap_nc_heap(count: int) -> Work:
    """One class within 60 pixels: every box meets every other."""
    return _ap_nc(count, 60.0)


def _ap_nc_twins(count: int) -> Work:
    """Boxes that are all the same but for two pixels of noise."""
    rng = np.random.default_rng(0)
    quads = rectangles(np.full((count, 2), 100.0), np.full((count, 2), 50.0), np.full(count, 0.3))
    true, found = (quads + rng.normal(0, 2, quads.shape) for _ in range(2))
    labels = ["ship"] * count
    return lambda: ap_nc([{"boxes": found, "labels": labels}], [{"boxes": true, "labels": labels}])


def _ask(count: int) -> Work:
    """Questions on 40 images in turn, each answered after one zoom; the engine is scripted."""
    folder = Path(tempfile.mkdtemp())
    paths = [folder / f"{k}.jpg" for k in range(40)]
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    for path in paths[:count]:
        Image.fromarray(noise).resize((1600, 1600)).save(path)
    engine = Scripted(lambda _, turn: call(100, 100, 500, 500) if turn == 0 else "yes")

    def work() -> None:
        for _ in ZoomChain(engine).ask_iter((paths[n % 40], "Is there a ship?") for n in range(count)):
            engine.asked.clear()
        shutil.rmtree(folder)

    return work


def _look_alikes(count: int) -> Work:
    """Fingerprints of pictures that all look the same, in two splits."""
    return _near(count, count)


def _look_unlike(count: int) -> Work:
    """Fingerprints of pictures of which every tenth looks like an earlier one."""
    return _near(count, 2)


def _near(count: int, group: int) -> Work:
    rng = np.random.default_rng(0)
    prints: list[Print] = []
    for number in range(count):
        if number % max(10, group) == 0:
            base = rng.normal(0, 1, (16, 16)).astype(np.float32)
            fine = np.where(rng.random((64, 64)) < 0.5, 40, -40).astype(np.int8)
            bits = int(rng.integers(0, 1 << 63))
        if number % max(10, group) < group:
            look, bits_now, detail = base + rng.normal(0, 0.05, base.shape).astype(np.float32), bits, fine.copy()
        else:
            look, bits_now, detail = (
                rng.normal(0, 1, base.shape).astype(np.float32),
                int(rng.integers(0, 1 << 63)),
                -fine,
            )
        look = look - look.mean()
        prints.append(Print("", bits_now, look / np.linalg.norm(look), detail))
    kinds = ["train" if number % 5 else "test" for number in range(count)]
    return lambda: sum(1 for _ in near_pairs(prints, kinds=kinds))


def _rows_file(count: int, folder: Path, first: int = 0) -> Path:
    """Write rows of 67 objects, as many as an image of DOTA has, in UTM, as `predict` does."""
    frame = Frame(1024, 1024, root_to_world=(0.5, 0, 500_000, 0, -0.5, 4_000_000), crs="EPSG:32633")
    objects = [{"box": box, "kind": "quad", "label": "ship"} for box in _quads(67, 1000.0).round(2).tolist()]
    row = {"objects": objects, "frame": frame_row(frame)}
    with Journal(folder / "rows.jsonl", {}, kind=PREDICTIONS) as journal:
        for start in range(first, first + count, 1000):
            journal.append({"id": str(number), **row} for number in range(start, min(start + 1000, first + count)))
    return folder / "rows.jsonl"


def _stored_looks(count: int) -> Work:
    """Fingerprints of pictures that were looked at before; the pictures are links to one file."""
    folder = Path(tempfile.mkdtemp())
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "a.png")
    names = [f"{number}.png" for number in range(count)]
    for name in names:
        (folder / name).hardlink_to(folder / "a.png")
    images = [ImageRef(name) for name in names]
    picture = Image.fromarray(noise)
    with StoredPrints(folder / "looks.jsonl") as looks:
        for image in images:
            looks.of(image, folder, lambda: picture)

    def work() -> None:
        with StoredPrints(folder / "looks.jsonl") as looks:
            for image in images:
                looks.of(image, folder, lambda: picture)
        shutil.rmtree(folder)

    return work


def _map_file(count: int, kind: str) -> Work:
    """From the file of rows to the file of objects."""
    folder = Path(tempfile.mkdtemp())
    out = _rows_file(count, folder)

    def work() -> None:
        write_objects(LatestRows(out, only=map(str, range(count))), folder / "objects", kind)
        shutil.rmtree(folder)

    return work


def _forgetful() -> Scripted:
    """An engine that keeps no conversation."""

    def answer(*_: Any) -> str:
        engine.asked.clear()
        return "grey"

    engine = Scripted(answer)
    return engine


def _predict(count: int) -> Work:
    """Items of one small picture, asked in batches of 16 of a scripted engine: what a row costs without a model."""
    folder = Path(tempfile.mkdtemp())
    Image.new("RGB", (64, 64)).save(folder / "a.png")
    items = [Item(f"{number:09}.png", folder / "a.png") for number in range(count)]

    def work() -> None:
        predict(_forgetful(), items, DefaultQuestion("caption"), folder / "rows.jsonl")
        shutil.rmtree(folder)

    return work


def _resume(count: int) -> Work:
    """The same where all rows are there: nothing is asked."""
    folder = Path(tempfile.mkdtemp())
    Image.new("RGB", (64, 64)).save(folder / "a.png")
    items = [Item(f"{number:09}.png", folder / "a.png") for number in range(count)]
    predict(_forgetful(), items, DefaultQuestion("caption"), folder / "rows.jsonl")

    def work() -> None:
        predict(_forgetful(), items, DefaultQuestion("caption"), folder / "rows.jsonl")
        shutil.rmtree(folder)

    return work


def _merge_files(count: int) -> Work:
    """Four files of shards, rows of 67 objects."""
    folder = Path(tempfile.mkdtemp())
    files = []
    for part in range(4):
        place = folder / str(part)
        place.mkdir()
        files.append(_rows_file(count // 4 or 1, place, first=part * (count // 4 or 1)))

    def work() -> None:
        merge_shards(files, folder / "all.jsonl")
        shutil.rmtree(folder)

    return work


_PIXELS = (30_000_000, 100_000_000, 300_000_000)

WORKS: dict[str, tuple[Callable[[int], Work], tuple[int, ...]]] = {
    "merge_pile": (_merge_pile, (5_000, 10_000, 20_000)),
    "merge_spread": (_merge_spread, (100_000, 300_000, 1_000_000)),
    "merge_tiles_pile": (_tiles_pile, (5_000, 10_000, 20_000)),
    "merge_tiles_spread": (_tiles_spread, (100_000, 300_000, 1_000_000)),
    "ap_nc_image": (_ap_nc_image, (12_500, 25_000, 50_000)),
    "ap_nc_pile": (_ap_nc_pile, (12_500, 25_000, 50_000)),
    "ap_nc_heap": (_ap_nc_heap, (12_500, 25_000, 50_000)),
    "ap_nc_twins": (_ap_nc_twins, (12_500, 25_000, 50_000)),
    "look_alikes": (_look_alikes, (10_000, 30_000, 100_000)),
    "look_unlike": (_look_unlike, (10_000, 30_000, 100_000)),
    "stored_looks": (_stored_looks, (1_000, 3_000, 10_000)),
    "geojson": (partial(_map_file, kind="geojson"), (1_000, 3_000, 10_000)),
    "geopackage": (partial(_map_file, kind="geopackage"), (1_000, 3_000, 10_000)),
    "geoparquet": (partial(_map_file, kind="geoparquet"), (1_000, 3_000, 10_000)),
    "predict": (_predict, (1_000, 3_000, 10_000)),
    "predict_again": (_resume, (1_000, 3_000, 10_000)),
    "merge_shards": (_merge_files, (1_000, 3_000, 10_000)),
    "ask_iter": (_ask, (800, 2_400, 7_333)),
    "segment_raster": (segment_raster, (2_048, 6_000, 20_000)),
    "segment_embedded": (partial(segment_raster, embedded=True), (2_048, 6_000, 20_000)),
    "walked_row": (walked_row, (1_000, 3_000, 10_000)),
    "tiled_png": (partial(tiled_copy, ending=".png"), _PIXELS),
    "tiled_jpeg": (partial(tiled_copy, ending=".jpg"), _PIXELS),
    "crops_png": (partial(crops, ending=".png", tiled=False), _PIXELS),
    "crops_tiled_png": (partial(crops, ending=".png", tiled=True), _PIXELS),
    "crops_jpeg": (partial(crops, ending=".jpg", tiled=False), _PIXELS),
    "crops_tiled_jpeg": (partial(crops, ending=".jpg", tiled=True), _PIXELS),
    "overview": (overview, _PIXELS),
    "map_page": (page_of_objects, (10_000, 30_000, 100_000)),
    "constraint": (constraint, (250, 1_000, 4_000)),
    "stored_constraint": (stored_constraint, (250, 1_000, 4_000)),
    "cutoff": (cutoff, (250, 1_000, 4_000)),
    "far_row": (far_row, (2_943, 10_111, 30_079)),
}


if __name__ == "__main__":
    main()
