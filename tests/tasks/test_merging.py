"""Merging of tiles, held against every pair of small inputs; what tiles found outlives a failure of it."""

from importlib import import_module
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rscovlm.geometry import Boxes, Objects, iou, suppression
from rscovlm.geometry.tiling import tiles
from rscovlm.processing.resolution import PixelBudget
from rscovlm.tasks import MergingFailed, detect
from rscovlm.tasks.merging import merge, merge_and_join
from tests.zoom.scripted import Scripted

SIZE = (300, 260)
WINDOWS = list(tiles(*SIZE, 100, 30))


def _objects(rng: np.random.Generator) -> tuple[Objects, list[int]]:
    coords, tile_of = [], []
    for number, (x1, y1, x2, y2) in enumerate(WINDOWS):
        for _ in range(int(rng.integers(0, 25))):
            x, y = np.sort(rng.integers(x1, x2 + 1, 2)), np.sort(rng.integers(y1, y2 + 1, 2))
            coords.append([x[0], y[0], x[1], y[1]])
            tile_of.append(number)
    labels = tuple(f"class-{k}" for k in rng.integers(0, 2, len(coords)))
    scores = None if rng.random() < 0.5 else rng.integers(0, 3, len(coords)) / 3
    return Objects(Boxes(np.array(coords, float), "hbb"), labels, scores), tile_of


def _kept(objects: Objects, tile_of: list[int]) -> list[int]:
    """The rule of `merge`, word for word."""
    boxes, areas = objects.boxes.coords, objects.boxes.area()
    margin = []
    for (x1, y1, x2, y2), number in zip(boxes, tile_of, strict=True):
        left, top, right, bottom = WINDOWS[number]
        gaps = [
            (left > 0, x1 - left),
            (top > 0, y1 - top),
            (right < SIZE[0], right - x2),
            (bottom < SIZE[1], bottom - y2),
        ]
        margin.append(min([gap for inner, gap in gaps if inner], default=np.inf))
    cut = [gap <= 2 for gap in margin]
    shared = iou(boxes, boxes)
    inside = shared * (areas[:, None] + areas) / (1 + shared)

    def same(a: int, b: int) -> bool:
        if tile_of[a] == tile_of[b] or objects.labels[a] != objects.labels[b]:
            return False
        near = (boxes[a, :2] <= boxes[b, 2:] + 4).all() and (boxes[b, :2] <= boxes[a, 2:] + 4).all()
        pairs = ((a, b), (b, a))
        parts = [cut[one] and areas[one] <= areas[two] and inside[a, b] >= 0.6 * areas[one] for one, two in pairs]
        return bool(near and (shared[a, b] > 0.1 or any(parts)))

    scores = np.zeros(len(objects)) if objects.scores is None else objects.scores

    def worth(k: int) -> tuple[Any, ...]:
        return -scores[k], cut[k], 0 if cut[k] else -margin[k], -areas[k], tile_of[k], k

    kept: list[int] = []
    for one in sorted(range(len(objects)), key=worth):
        if not any(same(one, other) for other in kept):
            kept.append(one)
    return sorted(kept)


@pytest.mark.parametrize("block", [3, 512])
def test_what_stays_is_what_comparing_all_pairs_says(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suppression, "_BLOCK", block)
    for seed in range(12):
        objects, tile_of = _objects(np.random.default_rng(seed))
        assert merge(objects, tile_of, WINDOWS, SIZE).tolist() == _kept(objects, tile_of), seed


def test_long_boxes_that_cross_are_merged_and_joined_as_without_the_shortcut(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(20)
    count = 160
    size = np.column_stack([rng.uniform(60, 160, count), rng.uniform(1, 6, count)])
    oriented = np.column_stack([rng.uniform(0, SIZE, (count, 2)), size, rng.uniform(-90, 90, count)])
    whole = Boxes(np.repeat(oriented, 2, axis=0), "obb").as_kind("quad").coords.reshape(-1, 4, 2)
    windows = np.array(WINDOWS, float)
    tile_of = [
        int(rng.choice(np.flatnonzero((windows[:, :2] <= one).all(axis=1) & (windows[:, 2:] >= one).all(axis=1))))
        for one in np.repeat(np.clip(oriented[:, :2], 0, SIZE), 2, axis=0)
    ]
    seen = windows[tile_of][:, None]
    objects = Objects(
        Boxes(np.clip(whole, seen[..., :2], seen[..., 2:]).reshape(-1, 8), "quad"), ("pier",) * len(whole)
    )
    fast = merge_and_join(objects, tile_of, WINDOWS, SIZE)
    for name in ("merging", "pieces"):
        module = import_module(f"rscovlm.tasks.{name}")
        monkeypatch.setattr(module, "most_of_strips", lambda a, b: np.full(len(a), np.inf))
    plain = merge_and_join(objects, tile_of, WINDOWS, SIZE)
    assert np.array_equal(fast.objects.boxes.coords, plain.objects.boxes.coords)
    assert 0 < fast.removed == plain.removed


def test_crossed_pieces_at_a_border_are_merged_as_others_are() -> None:
    # Two lobes, cut by the tile's border: the region that they cover counts.
    crossed = [[20.0, 10, 100, 30, 100, 10, 20, 30], [70.0, 10, 140, 30, 140, 10, 70, 30]]
    objects = Objects(Boxes(crossed, "quad"), ("ship", "ship"))
    merged = merge_and_join(objects, [0, 1], [(0, 0, 100, 100), (70, 0, 170, 100)], (170, 100))
    assert len(merged.objects) + merged.removed == 2


@pytest.mark.parametrize("error", [MemoryError("too much"), ValueError("wrong")])
def test_what_tiles_found_outlives_a_failure_of_merging(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Scripted(lambda *_: "10,10,20,20 ship\n", budget=PixelBudget(min_pixels=28 * 28, max_pixels=112 * 112))
    image = Image.fromarray(np.zeros((112, 392, 3), np.uint8))
    whole = detect(engine, image, ["ship"], overlap=28, kind="hbb")

    def fails(*_: Any, **__: Any) -> Any:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(import_module("rscovlm.tasks.detections"), "merge_and_join", fails)
        with pytest.raises(MergingFailed, match=str(error)) as caught:
            detect(engine, image, ["ship"], overlap=28, kind="hbb")
    assert caught.value.__cause__ is error
    kept = caught.value
    assert [tile.window for tile in kept.tiles] == [tile.window for tile in whole.tiles]
    again = merge_and_join(kept.objects, kept.tile_of, [tile.window for tile in kept.tiles], (392, 112))
    assert again.objects.boxes == whole.objects.boxes
