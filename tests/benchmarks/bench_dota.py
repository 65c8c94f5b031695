"""Converting, linting and tiling a set like DOTA's, with the development kit's splitting in the same run.

    python -m tests.benchmarks.bench_dota --images 60 --devkit CLONE

DOTA-v1.0 trains on 1,411 images with 98,990 objects, from 800 to 4,000 pixels on a side; the set here is generated, with as many objects
an image. `--devkit` names a clone of github.com/CAPTAIN-WHU/DOTA_devkit, whose `ImgSplit.py` is run as it is in a process of its own; it
needs cv2. Every step is a process on one thread: wall seconds, CPU seconds, peak memory, and CPU seconds for 1,411 images.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from rscovlm.data.sources.labeltxt import DOTA

TRAIN = 1411
OBJECTS = 70
SIDE, OVERLAP = 1024, 200
_DEVKIT = "from ImgSplit import splitbase; splitbase({!r}, {!r}, gap={}, subsize={}).splitdata(1)"


def make_set(root: Path, count: int) -> int:
    """Write images of noise at two scales with DOTA's labels, and return how many objects they have."""
    for folder in ("images", "labelTxt"):
        (root / "train" / folder).mkdir(parents=True)
    total = 0
    for number in range(count):
        rng = np.random.default_rng(number)
        width, height = (int(np.clip(rng.lognormal(7.4, 0.45), 800, 4000)) for _ in range(2))
        coarse = rng.integers(40, 200, (height // 64 + 1, width // 64 + 1, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((width, height)).save(root / f"train/images/P{number:04d}.png", compress_level=1)
        lines = []
        for _ in range(int(rng.poisson(OBJECTS))):
            x, y = rng.uniform(0, width - 120), rng.uniform(0, height - 120)
            w, h = rng.uniform(10, 110, 2)
            corners = f"{x:.1f} {y:.1f} {x + w:.1f} {y:.1f} {x + w:.1f} {y + h:.1f} {x:.1f} {y + h:.1f}"
            lines.append(f"{corners} {DOTA[int(rng.integers(len(DOTA)))]} 0")
        header = ["imagesource:GoogleEarth", "gsd:0.5"]
        (root / f"train/labelTxt/P{number:04d}.txt").write_text("\n".join([*header, *lines]) + "\n")
        total += len(lines)
    return total


def timed(command: Sequence[str], **environment: str) -> tuple[float, float, float]:
    """Run a command on one thread and return wall seconds, CPU seconds, and MB of its peak memory.

    Raises:
        RuntimeError: The command failed; the message ends with what it wrote.
    """
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    settings = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    measured = [sys.executable, "-c", _MEASURED, *command]
    done = subprocess.run(measured, env=settings, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # `lint` ends with 1 where it found errors.
    if done.returncode not in (0, 1) or "Traceback" in done.stderr:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-800:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - start, cpu, float(done.stderr.rsplit("peak ", 1)[1]) / 1024


# The peak of one child, since that of all children is the largest so far.
_MEASURED = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
sys.stderr.write(f"peak {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss}")
sys.exit(code)
"""


def main() -> None:
    """Make the set in a temporary folder, run every step, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--devkit", type=Path, help="clone of DOTA_devkit")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        objects = make_set(root, arguments.images)
        ours = [sys.executable, "-m", "rscovlm", "data"]
        size = ["--size", str(SIDE), "--overlap", str(OVERLAP)]
        records = str(root / "train.jsonl")
        steps = {
            "convert": [*ours, "convert", "dota-v1.0", str(root), records],
            "lint": [*ours, "lint", records, "--root", str(root), "--out", str(root / "lint")],
            "lint --no-crops": [
                *ours,
                "lint",
                records,
                "--root",
                str(root),
                "--out",
                str(root / "lint2"),
                "--no-crops",
            ],
            "tile": [*ours, "tile", records, str(root / "tiles.jsonl"), *size],
            "tile --save": [
                *(*ours, "tile", records, str(root / "saved.jsonl"), *size),
                *("--root", str(root), "--save", "saved"),
            ],
        }
        say = sys.stdout.write
        say(f"{datetime.date.today()} {platform.machine()} Python {platform.python_version()}, one thread a step\n")
        say(f"{arguments.images} images, {objects} objects\n")
        for name, command in steps.items():
            say(_line(name, timed(command), arguments.images))
        say(f"  {sum(1 for _ in open(root / 'tiles.jsonl', encoding='utf-8'))} tiles\n")  # noqa: SIM115
        if arguments.devkit is not None:
            code = _DEVKIT.format(str(root / "train"), str(root / "devkit"), OVERLAP, SIDE)
            path = os.pathsep.join([str(arguments.devkit), os.environ.get("PYTHONPATH", "")])
            say(_line("devkit's ImgSplit", timed([sys.executable, "-c", code], PYTHONPATH=path), arguments.images))
            say(f"  {sum(1 for _ in (root / 'devkit' / 'images').iterdir())} tiles\n")


def _line(name: str, took: tuple[float, float, float], images: int) -> str:
    wall, cpu, peak = took
    return f"{name:<18}{wall:8.1f} s {cpu:8.1f} s of CPU {peak:6.0f} MB; {TRAIN} images {cpu / images * TRAIN:8.0f} s of CPU\n"


if __name__ == "__main__":
    main()
