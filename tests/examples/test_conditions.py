"""The example finds the planes of one bank with the embedded model, in map coordinates and with a trace."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest

from rscovlm.geometry.similarity import iou

ROOT = Path(__file__).parents[2]


def test_planes_on_the_east_bank(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    pytest.importorskip("rasterio", reason="rasterio is not installed")
    example = runpy.run_path(str(ROOT / "examples" / "conditions.py"))
    solved, truth = example["main"](["--output", str(tmp_path)])
    found = solved.objects.boxes.as_kind("hbb").coords
    assert ((found[:, 0] + found[:, 2]) / 2 > 210).all()  # the river's middle is at 210, and one metre is a pixel
    east = truth[np.flatnonzero((truth.boxes.coords[:, 0] + truth.boxes.coords[:, 2]) / 2 > 210)]
    overlaps = iou(east.boxes, solved.objects.boxes.as_kind("hbb"))
    # Of planes on an airfield, in one look a tile, the embedded model finds 8 to 10 of 10.
    assert (overlaps.max(axis=1) > 0.5).mean() >= 0.8 and (overlaps.max(axis=0) > 0.5).mean() >= 0.7
    words = [entry["words"] for entry in json.loads((tmp_path / "trace.json").read_text(encoding="utf-8"))]
    assert words == ["find planes", "planes east of river"]
    assert solved.trace[0].after > solved.trace[1].after >= 1
    features = json.loads((tmp_path / "found.geojson").read_text(encoding="utf-8"))["features"]
    assert len(features) == len(found)
    assert all(14.9 < one["geometry"]["coordinates"][0][0][0] < 15.1 for one in features)
