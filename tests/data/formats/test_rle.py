"""Runs of a mask against pycocotools' own strings, and outlines against the pixels they enclose."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rscovlm.data.formats.coco import read_coco, write_coco
from rscovlm.data.formats.rle import decode_rle, encode_rle, mask_rings, rings_to_coco
from rscovlm.records.tally import Tally
from tests.data.sources.layouts import text


def _ys_xs(height: int, width: int) -> tuple[NDArray[Any], NDArray[Any]]:
    ys, xs = np.mgrid[:height, :width]
    return ys, xs


def _checker() -> NDArray[np.bool_]:
    ys, xs = _ys_xs(5, 7)
    return np.asarray((xs + ys) % 2 == 0)


def _diamond() -> NDArray[np.bool_]:
    ys, xs = _ys_xs(12, 9)
    away = abs(xs - 4) + abs(ys - 6)
    return np.asarray((away < 5) & (away > 1))


def _disc() -> NDArray[np.bool_]:
    ys, xs = _ys_xs(64, 48)
    return np.asarray((xs - 20) ** 2 + (ys - 30) ** 2 < 300)


# What pycocotools 2.0.11 writes for these masks, and the box and area it gives them.
RECORDED = [
    (_checker(), "011000000000000000000000000000000000", (0, 0, 7, 5), 18),
    (_diamond(), "61:2N2NNK030O010M0522N2NK", (0, 2, 9, 9), 36),
    (
        _disc(),
        "k67f16K4L4M2N2N2N2O0O2O0O2O000O2O000000000001N10001N101N101N2N2N2N3L4L5JXc0",
        (3, 13, 35, 35),
        949,
    ),
]


def _inside(rings: Any, height: int, width: int) -> NDArray[Any]:
    """Count for every pixel the rings around its centre."""
    ys, xs = _ys_xs(height, width)
    shapes = [shapely.Polygon(np.reshape(ring, (-1, 2))) for ring in rings]
    return np.asarray(np.sum([shapely.contains_xy(shape, xs + 0.5, ys + 0.5) for shape in shapes], axis=0, dtype=int))


@pytest.mark.parametrize(("mask", "packed", "box", "area"), RECORDED)
def test_packed_texts_of_pycocotools(mask: NDArray[np.bool_], packed: str, box: Any, area: int) -> None:
    height, width = mask.shape
    assert encode_rle(mask) == {"size": [height, width], "counts": packed}
    for counts in (packed, packed.encode(), encode_rle(mask, packed=False)["counts"]):
        found = decode_rle({"size": [height, width], "counts": counts})
        assert (found == mask).all()
        assert found.sum() == area
    numbers = np.concatenate([np.reshape(ring, (-1, 2)) for ring in mask_rings(encode_rle(mask))])
    assert (*numbers.min(axis=0), *(numbers.max(axis=0) - numbers.min(axis=0))) == box


@settings(max_examples=60)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 10), st.integers(0, 10_000))
def test_outlines_enclose_the_mask_and_nothing_else(height: int, width: int, filled: int, seed: int) -> None:
    mask = np.random.default_rng(seed).random((height, width)) * 10 < filled
    assert (decode_rle(encode_rle(mask)) == mask).all()
    rings = mask_rings(encode_rle(mask))
    assert bool(rings) == bool(mask.any())
    if not rings:
        return
    assert (_inside(rings, height, width) % 2 == mask).all()
    assert all(shapely.Polygon(np.reshape(ring, (-1, 2))).is_valid for ring in rings)
    written = rings_to_coco(rings, width, height)
    if isinstance(written, dict):
        assert mask_rings(written) == rings
    else:
        assert ((_inside(written, height, width) > 0) == mask).all()


def test_holes_off_the_grid_become_pieces() -> None:
    outer, hole = (0.5, 0.5, 20.5, 0.5, 20.5, 10.5, 0.5, 10.5), (5.25, 3.0, 9.0, 3.0, 9.0, 6.0, 5.25, 6.0)
    pieces = rings_to_coco([outer, hole], 30, 20)
    shapes = [shapely.Polygon(np.reshape(ring, (-1, 2))) for ring in pieces]
    assert shapely.union_all(shapes).area == pytest.approx(200 - 3.75 * 3)
    assert sum(shape.area for shape in shapes) == pytest.approx(200 - 3.75 * 3)
    assert rings_to_coco([outer], 30, 20) == [list(outer)]


def _content(segmentation: Any, **more: Any) -> dict[str, Any]:
    item = {"id": 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "segmentation": segmentation} | more
    image = {"id": 1, "file_name": "a.png", "width": 9, "height": 12}
    return {"images": [image], "annotations": [item], "categories": [{"id": 1, "name": "lake"}]}


@pytest.mark.parametrize("packed", [True, False])
def test_coco_masks_become_outlines_and_go_back(tmp_path: Path, packed: bool) -> None:
    mask = _diamond()
    text(tmp_path, "a.json", _content(encode_rle(mask, packed=packed)))
    (record,) = read_coco(tmp_path / "a.json")
    assert record.objects[0].box == (0, 2, 9, 11)
    assert (_inside(record.objects[0].polygons, 12, 9) % 2 == mask).all()
    write_coco([record], tmp_path / "b.json")
    (again,) = read_coco(tmp_path / "b.json")
    assert again.objects == record.objects


@pytest.mark.parametrize(
    "bad",
    [
        {"size": [12, 9], "counts": [100, 8, 1]},
        {"size": [12, 9], "counts": [-8, 116]},
        {"size": [12, 9], "counts": "6é"},
        {"size": [9, 12], "counts": [108]},
        {"size": [12, 9], "counts": "P" * 40},
        {"size": [12, 9]},
        {"size": [12, 9], "counts": None},
    ],
)
def test_masks_that_cannot_be_are_counted(tmp_path: Path, bad: Any) -> None:
    text(tmp_path, "a.json", _content(bad, bbox=[1, 1, 2, 2]))
    tally = Tally(1.0)
    assert not list(read_coco(tmp_path / "a.json", tally=tally))
    assert tally.dropped == {"malformed mask": 1}


def test_a_mask_larger_than_memory_is_refused() -> None:
    with pytest.raises(ValueError, match="too large"):
        mask_rings({"size": [1 << 20, 1 << 20], "counts": [1 << 40]})
