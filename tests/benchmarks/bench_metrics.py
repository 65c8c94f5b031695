"""Time and memory of AP_nc on sets of the size of DOTA's validation split, beside a plain telling of the protocol.

    python -m tests.benchmarks.bench_metrics [--quick] [--json FILE]

450 generated images, about 27,000 true and 26,000 found boxes, 15 classes; 10 thresholds and 11 orders (10 at random and
the one given). Medians of several runs; CPU seconds of one thread, and the growth of the process's peak memory, each size
in a process of its own. "plain" is the protocol box by box with numpy, one threshold and one order.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from rscovlm.geometry import iou
from rscovlm.metrics import ap_nc, bootstrap_ap_nc, lrs_vqa_aa, merge_tiles
from tests.metrics.scenes import Item, scenes

IMAGES = 450
BARS = {"seconds": 0.5, "seconds_tenfold": 4.0, "megabytes": 300.0, "thousand_over_ten": 20.0}


def dota_like(images: int) -> tuple[list[Item], list[Item]]:
    """Return predictions without scores and references in the numbers of DOTA's validation split."""
    found, true = scenes(images, seed=0, boxes=60.0, classes=15)
    return [{"boxes": item["boxes"], "labels": item["labels"]} for item in found], true


def cpu(work: Any, runs: int) -> float:
    """Return the median CPU seconds of several runs."""
    seconds = []
    for _ in range(runs):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return median(seconds)


def plain(found: list[Item], true: list[Item]) -> int:
    """Match box by box, as the development kit does, at one threshold; returns the number of right boxes."""
    right = 0
    for mine, theirs in zip(found, true, strict=True):
        labels = np.asarray(theirs["labels"])
        taken: set[int] = set()
        for box, label in zip(mine["boxes"], mine["labels"], strict=True):
            rows = np.flatnonzero(labels == label)
            if not len(rows):
                continue
            overlaps = iou(box[None], theirs["boxes"][rows])[0]
            best = int(overlaps.argmax())
            if overlaps[best] > 0.5 and int(rows[best]) not in taken:
                taken.add(int(rows[best]))
                right += 1
    return right


def one_size(scale: int, runs: int) -> dict[str, float]:
    """Measure one size; peak memory is that of the whole process, above what the data themselves took."""
    found, true = dota_like(IMAGES * scale)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result: dict[str, float] = {
        "images": len(true),
        "true": sum(len(item["labels"]) for item in true),
        "found": sum(len(item["labels"]) for item in found),
    }
    protocols: list[Any] = ["dota", "rscovlm"]
    for protocol in protocols:
        result[f"{protocol}_seconds"] = cpu(lambda p=protocol: ap_nc(found, true, protocol=p), runs)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result["megabytes"] = peak / 1024
    result["megabytes_above_data"] = (peak - before) / 1024
    if scale == 1:
        thousand = cpu(lambda: ap_nc(found, true, repeats=1000), 1)
        result["thousand_over_ten"] = thousand / result["dota_seconds"]
        result["bootstrap_1000_seconds"] = cpu(lambda: bootstrap_ap_nc(found, true, iou_thresholds=[0.5]), 1)
        tenth = cpu(lambda: plain(found[::10], true[::10]), 1)
        result["plain_seconds"] = 10 * tenth
        result["plain_over_ours"] = 110 * result["plain_seconds"] / result["dota_seconds"]
        tiles = [{"image": f"P{k // 9}", **item} for k, item in enumerate(found)]
        result["merge_tiles_seconds"] = cpu(lambda: merge_tiles(tiles), 1)
        answers = ["grey", "2", "ship", "rural"] * 1834
        names = ["count"] * len(answers)
        lrs_vqa_aa(answers[:1], answers[:1], categories=names[:1], sources=names[:1])
        guesses = answers[1:] + answers[:1]
        result["lrs_vqa_seconds"] = cpu(lambda: lrs_vqa_aa(guesses, answers, categories=names, sources=names), 1)
    return result


def main() -> None:
    """Measure every size in a process of its own and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the plain size alone, three runs")
    parser.add_argument("--json", type=Path, help="write the numbers there too")
    parser.add_argument("--scale", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    runs = 3 if arguments.quick else 7
    if arguments.scale:
        print(json.dumps(one_size(arguments.scale, runs if arguments.scale == 1 else 3)))
        return
    table = {}
    for scale in (1,) if arguments.quick else (1, 3, 10):
        done = subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.bench_metrics", "--scale", str(scale)],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=True,
        )
        table[scale] = json.loads(done.stdout.splitlines()[-1])
        for name, value in table[scale].items():
            print(f"x{scale:<3} {name:24} {value:12.3f}")
    print(f"Python {platform.python_version()}, numpy {np.__version__}, {platform.machine()}; bars: {BARS}")
    if arguments.json:
        arguments.json.write_text(json.dumps(table, indent=1))


if __name__ == "__main__":
    main()
