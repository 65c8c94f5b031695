"""An archive is answered about whole, though a replica and a part die on the way; on Ray too where it is installed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
IMAGES = 24


def _pictures(folder: Path) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(IMAGES):
        Image.fromarray(rng.integers(0, 255, (56, 56, 3), dtype=np.uint8)).save(folder / f"{number:03}.png")
    return folder


def _archive(folder: Path, out: str, *more: str) -> subprocess.Popen[str]:
    replica = f"{sys.executable} -m tests.examples.archive_replica {{port}} {folder / 'died'}"
    words = [
        str(_pictures(folder / "in")),
        "--classes",
        "plane",
        "--out",
        str(folder / out),
        "--parts",
        "2",
        "--start",
        replica,
    ]
    command = [sys.executable, "-u", str(ROOT / "examples/archive.py"), *words, *more]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "RSCOVLM_CACHE": ""}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)


def _rows(folder: Path) -> dict[str, list[object]]:
    rows = [json.loads(line) for line in (folder / "found.jsonl").read_text(encoding="utf-8").splitlines()[1:]]
    assert Counter(row["id"] for row in rows) == Counter(f"{number:03}.png" for number in range(IMAGES))
    assert not [row for row in rows if "error" in row]
    return {row["id"]: row["objects"] for row in rows}


def test_nothing_is_lost_when_a_replica_and_a_part_die(tmp_path: Path) -> None:
    pytest.importorskip("starlette", reason="starlette is not installed")
    process = _archive(tmp_path, "out")
    lines: list[str] = []
    threading.Thread(target=lambda: lines.extend(process.stdout or ()), daemon=True).start()
    try:
        rows = tmp_path / "out" / "found.1-of-2.jsonl"
        while process.poll() is None and not (rows.is_file() and rows.read_bytes().count(b"\n") >= 2):
            threading.Event().wait(0.02)
        pid = next(int(found[1]) for line in lines if (found := re.match(r"part 1 is process (\d+)", line)))
        os.kill(pid, signal.SIGKILL)
        assert process.wait(timeout=300) == 0, lines
    finally:
        process.terminate()
        process.wait()
    said = "".join(lines)
    assert (tmp_path / "died").is_file() and re.search(r"replica at http://127\.0\.0\.1:\d+/v1 ended with 9", said)
    assert "part 1 ended with -9 and is started again" in said and "parts ended with [0, 0]" in said
    objects = _rows(tmp_path / "out")
    assert all(len(found) == 1 for found in objects.values()) and len({str(found) for found in objects.values()}) > 5
    features = json.loads((tmp_path / "out" / "found.geojson").read_text(encoding="utf-8"))["features"]
    assert len(features) == IMAGES


def test_the_parts_run_on_ray(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="ray is not installed")
    process = _archive(tmp_path, "out", "--ray")
    said, _ = process.communicate(timeout=600)
    assert process.returncode == 0, said
    assert "parts ended with [0, 0]" in said and len(_rows(tmp_path / "out")) == IMAGES
