"""How fast exact overlaps are beside shapely's vectorised intersection, both in one run.

    python -m tests.benchmarks.bench_iou [pairs]

Shapely's time is that of `shapely.area(shapely.intersection(a, b))` alone; making its polygons is not counted.
"""

from __future__ import annotations

import datetime
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray

from rscovlm.geometry import Boxes, iou
from rscovlm.geometry.overlaps import quad_intersection


def _hardware() -> str:
    cpu = platform.processor() or platform.machine()
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        names = [
            line.split(":")[1].strip() for line in listing.read_text().splitlines() if line.startswith("model name")
        ]
        cpu = f"{len(names)} x {names[0]}" if names else cpu
    return f"{cpu}, Python {platform.python_version()}, numpy {np.__version__}, shapely {shapely.__version__}"


def _best(function: Callable[[], object], repeats: int = 5) -> float:
    """Least seconds of CPU time, which other programs on the machine disturb less than wall time."""
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        seconds.append(time.process_time() - start)
    return min(seconds)


def _close_pairs(count: int) -> tuple[Boxes, Boxes]:
    """Oriented boxes and perturbed copies, as a detector's answers lie over the truth."""
    rng = np.random.default_rng(0)
    sides = rng.uniform(8, 120, (count, 2))
    true = np.column_stack([rng.uniform(0, 1000, (count, 2)), sides, rng.uniform(-90, 90, count)])
    found = true.copy()
    found[:, :2] += 0.15 * sides * rng.normal(size=(count, 2))
    found[:, 2:4] *= rng.uniform(0.8, 1.25, (count, 2))
    found[:, 4] += rng.normal(0, 8, count)
    return Boxes(true, "obb"), Boxes(found, "obb")


def _polygons(boxes: Boxes) -> NDArray[np.object_]:
    return np.asarray(shapely.polygons(boxes.as_kind("quad").coords.reshape(-1, 4, 2)))


def main(count: int) -> None:
    """Print nanoseconds a pair and the ratio to shapely."""
    a, b = _close_pairs(count)
    quads_a, quads_b = a.as_kind("quad"), b.as_kind("quad")
    polygons_a, polygons_b = _polygons(a), _polygons(b)
    reference = _best(lambda: shapely.area(shapely.intersection(polygons_a, polygons_b)), repeats=2) / count
    # A scene: every box against every other, of which the close ones are clipped.
    some = round(count**0.5) * 6
    scene_a, scene_b = quads_a[:some], quads_b[:some]
    touching = int((iou(scene_a, scene_b) > 0).sum())
    tree = shapely.STRtree(polygons_b[:some])

    def by_shapely() -> None:
        i, j = tree.query(polygons_a[:some])
        shapely.area(shapely.intersection(polygons_a[i], polygons_b[j]))

    rows = [
        ("shapely.intersection + area, polygons made before", reference, reference),
        ("quad_intersection", _best(lambda: quad_intersection(quads_a.coords, quads_b.coords)) / count, reference),
        ("iou(Boxes quad, Boxes quad, paired)", _best(lambda: iou(quads_a, quads_b, paired=True)) / count, reference),
        ("iou(Boxes obb, Boxes obb, paired)", _best(lambda: iou(a, b, paired=True)) / count, reference),
        ("iou(array obb, array obb, paired)", _best(lambda: iou(a.coords, b.coords, paired=True)) / count, reference),
        (
            f"iou(Boxes quad, Boxes quad), {some} x {some}, {touching} touch",
            _best(lambda: iou(scene_a, scene_b)) / touching,
            _best(by_shapely, repeats=2) / touching,
        ),
    ]
    worst = np.abs(
        quad_intersection(quads_a.coords, quads_b.coords) - shapely.area(shapely.intersection(polygons_a, polygons_b))
    ).max()
    sys.stdout.write(f"{datetime.date.today().isoformat()}  {_hardware()}\n{count} close pairs, one thread, CPU time\n")
    for name, seconds, against in rows:
        sys.stdout.write(f"{name:64s} {seconds * 1e9:8.0f} ns a pair  {against / seconds:6.1f} x shapely\n")
    sys.stdout.write(f"largest difference of an area from shapely: {worst:.1e} square pixels\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
