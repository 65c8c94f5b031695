"""Detections too long for a row are cut into tiles: all that a tile holds, in its own pixels, and nothing longer than a row."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from PIL import Image

from rscovlm.codec import Codec
from rscovlm.data.tiles import halves
from rscovlm.mixtures.renderer import RecordRenderer
from rscovlm.processing import PixelBudget
from rscovlm.records.record import Annotation, ImageRef, Record
from rscovlm.tasks.options import RenderOptions
from rscovlm.training.encoding import Encoder
from rscovlm.training.fitting import LOST, SHRUNK, SPLIT, TILE_TOO_LONG, TILES, Fitting, Way, ways_of
from rscovlm.training.packing import TOO_LONG

WIDTH, HEIGHT = 400, 300
PIXELS = PixelBudget(min_pixels=56 * 56, max_pixels=168 * 168)


@pytest.fixture(scope="module")
def encoder(root: Path) -> Encoder:
    from transformers import AutoProcessor

    processor: Any = AutoProcessor.from_pretrained(root / "model")
    processor.image_processor.budget = PIXELS
    return Encoder(processor)


def _sample(folder: Path, count: int, right: int = WIDTH, seed: int = 0, embed: bool = False) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    Image.fromarray(rng.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)).save(folder / "crowd.png")
    objects = []
    for _ in range(count):
        x, y = rng.uniform(0, (right - 30, HEIGHT - 20))
        corners = np.array([[0, 0], [24, 3], [21, 14], [-2, 11]]) + (x, y)
        objects.append(Annotation(tuple(corners.ravel().tolist()), str(rng.choice(["ship", "plane"]))))
    data = (folder / "crowd.png").read_bytes() if embed else None
    image = ImageRef("" if embed else "crowd.png", data=data, width=WIDTH, height=HEIGHT)
    record = Record("1", "s", "train", "detection", (image,), objects=tuple(objects), categories=("ship", "plane"))
    renderer = RecordRenderer(
        Codec.preset("rscovlm-v1"), PIXELS, folder, RenderOptions(json_rate=0.5, sublist_rate=0.3, synonym_rate=0.5)
    )
    return renderer(record, np.random.default_rng(seed))


def _held(sample: dict[str, Any], window: tuple[int, int, int, int]) -> list[tuple[float, ...]]:
    """Boxes of a whole sample that lie in a window to seven tenths, in its pixels, by shapely alone."""
    found = []
    for row in sample["truth"].boxes.coords:
        outline = shapely.Polygon(row.reshape(4, 2))
        if outline.intersection(shapely.box(*window)).area >= 0.7 * outline.area:
            found.append(tuple(np.round((row.reshape(4, 2) - window[:2]).ravel(), 6)))
    return sorted(found)


@pytest.mark.parametrize("embed", [False, True])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_tiles_hold_what_lies_in_them_and_fit(tmp_path: Path, encoder: Encoder, seed: int, embed: bool) -> None:
    sample = _sample(tmp_path, 60, seed=seed, embed=embed)
    budget = len(encoder(sample)) // 3
    made, counts = Fitting(encoder, ("split",), least_tile=40)(sample, budget)
    assert len(made) > 3
    picture = Image.open(tmp_path / "crowd.png").convert("RGB")
    covered = np.zeros((HEIGHT, WIDTH), bool)
    kept = set()
    for tile in made:
        assert len(encoder(tile)) <= budget
        assert tile["task"] == "detection"
        window = tile["redraw"].window
        x1, y1, x2, y2 = window
        covered[y1:y2, x1:x2] = True
        size = (tile["truth"].boxes.frame.width, tile["truth"].boxes.frame.height)
        assert size == (x2 - x1, y2 - y1)
        assert sorted(tuple(np.round(row, 6)) for row in tile["truth"].boxes.coords) == _held(sample, window)
        kept |= {tuple(np.round(row + np.tile(window[:2], 4), 4)) for row in tile["truth"].boxes.coords}
        # Asked with the same words, of the image's own pixels.
        assert tile["messages"][:-1] == sample["messages"][:-1]
        shown = tile["images"][0]
        expected = np.asarray(picture.crop(window).resize(shown.size, Image.Resampling.BICUBIC), float)
        assert np.abs(np.asarray(shown.load(), float) - expected).mean() < 12
    if not counts[TILE_TOO_LONG]:
        assert covered.all()
    asked = len(sample["truth"])
    assert counts[SPLIT] == 1
    assert counts[TILES] == len(made)
    assert asked - len(kept) <= counts[LOST]
    again, same = Fitting(encoder, ("split",), least_tile=40)(sample, budget)
    assert again == made
    assert same == counts


def test_tiles_without_objects_are_kept_and_say_so(tmp_path: Path, encoder: Encoder) -> None:
    sample = _sample(tmp_path, 40, right=120)
    made, _ = Fitting(encoder, ("split",))(sample, len(encoder(sample)) - 1)
    empty = [tile for tile in made if not len(tile["truth"])]
    assert empty
    none = {Codec.preset("rscovlm-v1").encode(tile["truth"], tile["truth"].boxes.frame, kind="quad") for tile in empty}
    assert {tile["messages"][-1]["content"][0]["text"] for tile in empty} <= none | {"[]", "```json\n[]\n```"}


def test_what_cannot_be_cut_is_left_out_or_shrunk(tmp_path: Path, encoder: Encoder) -> None:
    sample = _sample(tmp_path, 12)
    length = len(encoder(sample))
    assert Fitting(encoder, ("drop",))(sample, length - 1) == ([], Counter([TOO_LONG]))
    assert Fitting(encoder, ("split",), least_tile=WIDTH)(sample, length - 1) == ([], Counter([TOO_LONG]))
    (smaller,), counts = Fitting(encoder, ("split", "shrink"), least_tile=WIDTH)(sample, length - 1)
    assert counts == Counter([SHRUNK])
    assert len(encoder(smaller)) < length
    words = {**sample, "redraw": None}
    assert Fitting(encoder, ("split", "shrink"))(words, length - 1) == ([], Counter([TOO_LONG]))
    # No tile of it is short enough for a budget below a prompt's length.
    assert Fitting(encoder, ("split", "shrink"))(sample, 5) == ([], Counter([TOO_LONG]))


def test_what_is_shown_small_already_is_shrunk_as_far_as_it_must(tmp_path: Path, encoder: Encoder) -> None:
    Image.new("RGB", (672, 40)).save(tmp_path / "strip.png")
    strip = ImageRef("strip.png", width=672, height=40)
    record = Record("1", "s", "train", "change", (strip, strip), captions=("A pier.",))
    sample = RecordRenderer(Codec.preset("rscovlm-v1"), PIXELS, tmp_path, RenderOptions())(
        record, np.random.default_rng(0)
    )
    lengths = [len(encoder(sample["redraw"].smaller(scale))) for scale in (1, 0.8, 0.6)]
    assert lengths[2] < lengths[1] < lengths[0] == len(encoder(sample))
    for budget in range(lengths[2], lengths[0]):
        (made,), _ = Fitting(encoder, ("shrink",))(sample, budget)
        assert len(encoder(made)) <= budget


@pytest.mark.parametrize("window", [(0, 0, 10, 10), (3, 5, 403, 77), (0, 0, 7, 900), (0, 0, 8, 1), (-5, 0, 13, 13)])
@pytest.mark.parametrize("overlap", [0.0, 0.2, 0.5])
def test_halves_cover_and_are_smaller(window: tuple[int, int, int, int], overlap: float) -> None:
    pieces = halves(window, overlap=overlap)
    x1, y1, x2, y2 = window
    covered = np.zeros((y2 - y1, x2 - x1), bool)
    for left, top, right, bottom in pieces:
        assert x1 <= left < right <= x2
        assert y1 <= top < bottom <= y2
        assert max(right - left, bottom - top) < max(x2 - x1, y2 - y1)
        covered[top - y1 : bottom - y1, left - x1 : right - x1] = True
    assert covered.all()
    assert len(pieces) in (2, 4)


@pytest.mark.parametrize(("value", "ways"), [("split", ("split",)), (["shrink", "drop"], ("shrink", "drop"))])
def test_ways_are_read(value: Any, ways: tuple[Way, ...]) -> None:
    assert ways_of(value) == ways


@pytest.mark.parametrize("value", ["cut", [], ["split", "split"], ["split", 3]])
def test_other_ways_are_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="give 'drop', 'shrink', 'split' or a list"):
        ways_of(value)
