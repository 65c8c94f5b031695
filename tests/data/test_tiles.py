"""Tiles cover their image, hold the objects that the rule says, show the parent's pixels, and merge back."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from rscovlm.data.sources.labeltxt import DOTA, parse_label_txt
from rscovlm.data.tiles import Foreground, halves, parse_tile_name, plan_windows, tile, to_parent
from rscovlm.geometry import Frame, Objects, iou
from rscovlm.records.record import Annotation, ImageRef, Record
from rscovlm.records.tally import Rejected, Tally
from rscovlm.records.views import PADDING, load_image, objects_of
from tests.shared_data import shared


def _record(width: int, height: int, *objects: Annotation) -> Record:
    image = ImageRef("a.png", width=width, height=height)
    return Record("P1", "made", "train", "detection", (image,), objects=objects, categories=("ship",))


@settings(max_examples=200)
@given(st.integers(1, 3000), st.integers(1, 3000), st.sampled_from([(512, 100), (1024, 200), (100, 0), (64, 63)]))
def test_windows_cover_the_image_and_follow_the_published_rule(width: int, height: int, plan: tuple[int, int]) -> None:
    size, overlap = plan
    if size == 64:
        width, height = width // 20 + 1, height // 20 + 1
    windows = plan_windows(width, height, size=size, overlap=overlap)
    for side, axis in ((width, 0), (height, 1)):
        starts = sorted({window[axis] for window in windows})
        # The published tool: how many windows, then the last one pulled back to the edge.
        number = 1 if side <= size else math.ceil((side - size) / (size - overlap) + 1)
        expected = [(size - overlap) * i for i in range(number)]
        if number > 1 and expected[-1] + size > side:
            expected[-1] = side - size
        assert starts == expected
        assert starts[-1] + size >= side
        assert all(later - earlier <= size - overlap for earlier, later in itertools.pairwise(starts))
    assert len(windows) == len(set(windows))
    assert windows == sorted(windows, key=lambda window: (window[1], window[0]))


@pytest.mark.parametrize("values", [(0, 5, 10, 2), (5, 5, 10, 10), (5, 5, 10, -1), (5, 5, 0, 0)])
def test_plans_that_cannot_be_are_refused(values: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="overlap"):
        plan_windows(values[0], values[1], size=values[2], overlap=values[3])


def test_seven_tenths_of_an_object_are_enough() -> None:
    def held(x: float) -> bool:
        (first, _) = tile([_record(150, 100, Annotation((x, 10, x + 10, 20), "ship", "hbb"))], size=100, overlap=50)
        return bool(first.objects)

    assert held(93.0)
    assert held(92.9)
    assert not held(93.1)


@settings(max_examples=40)
@given(st.integers(0, 2**31))
def test_shares_agree_with_counting_points(seed: int) -> None:
    rng = np.random.default_rng(seed)
    items = []
    for kind in ("hbb", "obb", "quad"):
        x, y, w, h = rng.uniform(10, 90, 2).tolist() + rng.uniform(5, 60, 2).tolist()
        quad = (x, y, x + w, y + 0.2 * h, x + 0.8 * w, y + h, x - 0.1 * w, y + 0.9 * h)
        box = {"hbb": (x, y, x + w, y + h), "obb": (x, y, w, h, rng.uniform(-90, 90)), "quad": quad}[kind]
        items.append(Annotation(box, "ship", kind))
    windows = [(0, 0, 64, 64), (30, 20, 94, 84)]
    foreground = Foreground(items)
    shares = np.zeros((len(windows), len(items)))
    for row, window in enumerate(windows):
        near, found = foreground.shares(window)
        shares[row, near] = found
    for column, item in enumerate(items):
        corner = objects_of(_record(200, 200, item)).boxes.coords.reshape(4, 2)
        low, high = corner.min(axis=0), corner.max(axis=0)
        points = np.stack(np.meshgrid(*[np.linspace(a, b, 160) for a, b in zip(low, high, strict=True)]), -1).reshape(
            -1, 2
        )
        edges = np.roll(corner, -1, axis=0) - corner
        inside = np.all(
            [
                e[0] * (points[:, 1] - p[1]) - e[1] * (points[:, 0] - p[0]) >= 0
                for p, e in zip(corner, edges, strict=True)
            ],
            axis=0,
        )
        mine = points[inside]
        for row, (x1, y1, x2, y2) in enumerate(windows):
            counted = np.mean((mine[:, 0] >= x1) & (mine[:, 0] <= x2) & (mine[:, 1] >= y1) & (mine[:, 1] <= y2))
            assert abs(shares[row, column] - counted) < 0.03


def test_empty_tiles_stay_and_objects_are_counted() -> None:
    inside = Annotation((10, 10, 20, 20), "ship", "hbb", polygons=((10, 10, 20, 10, 20, 20),))
    huge = Annotation((0, 0, 300, 300), "ship", "hbb")
    point = Annotation((250, 250, 250, 250), "ship", "hbb")
    record = _record(300, 300, inside, huge, point)
    tally = Tally(1.0)
    rows = list(tile([record], size=100, overlap=0, tally=tally))
    assert len(rows) == 9
    assert [len(row.objects) for row in rows] == [1, 0, 0, 0, 0, 0, 0, 0, 1]
    assert (tally.kept, dict(tally.dropped)) == (2, {"object in no tile": 1})
    assert "at most 0.11" in tally.places["object in no tile"][0]
    assert len(list(tile([record], size=100, overlap=0, keep_empty=False))) == 2
    assert rows[-1].objects[0].box == (50, 50, 50, 50)
    assert rows[-1].images[0].window == (200, 200, 300, 300)
    assert Record.from_json(rows[-1].to_json()) == rows[-1]


@pytest.mark.parametrize("saved", [True, False])
def test_tiles_show_their_parents_pixels_and_padding(tmp_path: Path, saved: bool) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (70, 150, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    folder = "tiles" if saved else None
    rows = list(tile([_record(150, 70)], size=100, overlap=20, root=tmp_path, folder=folder))
    assert [row.id for row in rows] == ["P1__100__0___0", "P1__100__50___0"]
    for row in rows:
        (image,) = row.images
        assert bool(image.path) is saved
        assert image.parent == "a.png"
        shown = np.asarray(load_image(image, tmp_path))
        x = parse_tile_name(row.id)[2]
        assert shown.shape == (100, 100, 3)
        np.testing.assert_array_equal(shown[:70], pixels[:, x : x + 100])
        assert (shown[70:] == PADDING).all()
    small = load_image(rows[0].images[0], tmp_path, max_pixels=50 * 50)
    assert small.size == (50, 50)


@pytest.mark.parametrize("named", [True, False])
def test_tiles_of_an_image_in_its_record_carry_their_pixels(tmp_path: Path, named: bool) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (70, 150, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    image = ImageRef("a.png" if named else "", (tmp_path / "a.png").read_bytes(), width=150, height=70)
    (tmp_path / "a.png").unlink()
    record = replace(_record(150, 70, Annotation((60, 60, 70, 66), "ship", "hbb")), images=(image,))
    once = list(tile([record], size=100, overlap=20))
    twice = list(tile(once, size=60, overlap=20))
    for rows, size in ((once, 100), (twice, 60)):
        seen = np.zeros((70, 150), bool)
        for row in rows:
            (part,) = row.images
            assert part.window is not None
            x, y = part.window[:2]
            shown = np.asarray(load_image(part, tmp_path))
            assert shown.shape == (size, size, 3)
            inside = pixels[y : y + size, x : x + size]
            height, width = inside.shape[:2]
            np.testing.assert_array_equal(shown[:height, :width], inside)
            assert (shown[height:] == PADDING).all()
            seen[y : y + size, x : x + size] = True
        assert seen.all()
    saved = list(tile([record], size=100, overlap=20, root=tmp_path, folder="tiles"))
    assert [row.images[0].data for row in saved] == [None, None]
    for row, other in zip(saved, once, strict=True):
        assert load_image(row.images[0], tmp_path).tobytes() == load_image(other.images[0], tmp_path).tobytes()


def test_an_image_in_its_record_that_cannot_be_read_is_counted(tmp_path: Path) -> None:
    record = replace(_record(150, 70), images=(ImageRef(data=b"no image", width=150, height=70),))
    with pytest.raises(ValueError, match="made/P1"):
        list(tile([record], size=100, overlap=20))
    tally = Tally(1.0)
    assert [row.id for row in tile([record, _record(9, 9)], size=100, overlap=20, tally=tally)] == ["P1__100__0___0"]
    assert tally.dropped.total() == 1


def test_boxes_move_back_and_tiles_of_tiles_too(tmp_path: Path) -> None:
    Image.new("RGB", (400, 300)).save(tmp_path / "a.png")
    rng = np.random.default_rng(1)
    items = [
        Annotation((float(x), float(y), 30.0, 10.0, float(a)), "ship", "obb")
        for x, y, a in rng.uniform(20, 280, (40, 3))
    ]
    record = _record(400, 300, *items)
    frame = Frame(400, 300)
    whole = objects_of(record)
    once = list(tile([record], size=200, overlap=100))
    twice = list(tile(once, size=120, overlap=60))
    for rows in (once, twice):
        back = Objects.concatenate([to_parent(objects_of(row), row.images[0], frame) for row in rows if row.objects])
        overlaps = iou(back.boxes, whole.boxes)
        assert (overlaps.max(axis=1) > 1 - 1e-9).all()
        assert set(overlaps.argmax(axis=1).tolist()) == set(range(len(items)))
    assert all(row.images[0].parent == "a.png" for row in twice)
    with pytest.raises(ValueError, match="not a tile"):
        to_parent(whole, record.images[0])


def test_records_that_cannot_be_tiled_are_counted_or_refused(tmp_path: Path) -> None:
    text = Record("2", "made", "train", "caption", (ImageRef("a.png", width=9, height=9),), captions=("x",))
    with pytest.raises(ValueError, match="'2'.*cannot be tiled"):
        list(tile([text]))
    tally = Tally(1.0)
    assert len(list(tile([text, _record(9, 9)], tally=tally))) == 1
    assert tally.dropped == {"not one sized image": 1}
    with pytest.raises(ValueError, match="root is not"):
        list(tile([_record(9, 9)], folder="tiles"))


def test_real_tiles_agree_where_they_overlap() -> None:
    found = []
    for name in ("P2709__0.5__0___0", "P2709__0.5__471___0"):
        objects, _ = parse_label_txt(shared(f"dota_half_scale/{name}.txt").read_text().splitlines())
        image = ImageRef(f"{name}.png", width=1024, height=1024)
        record = Record(name, "dota-v1.0", "train", "detection", (image,), objects=objects, categories=tuple(DOTA))
        _, _, x, y = parse_tile_name(image.path)
        found.append(to_parent(objects_of(record), ImageRef("-", window=(x, y, x + 1024, y + 1024))))
    # Objects well inside the strip that both tiles show were cut from the same labels.
    left, right = (
        part[(part.boxes.as_kind("hbb").coords[:, 0] > 480) & (part.boxes.as_kind("hbb").coords[:, 2] < 1015)]
        for part in found
    )
    assert len(left) == len(right) > 10
    assert iou(left.boxes, right.boxes).max(axis=1).min() > 0.9


def test_a_real_image_is_tiled_whole(tmp_path: Path) -> None:
    objects, _ = parse_label_txt(shared("dota/P0706.txt").read_text().splitlines())
    record = Record(
        "P0706",
        "dota-v1.0",
        "val",
        "detection",
        (ImageRef("P0706.png", width=1111, height=1182),),
        objects=objects,
        categories=tuple(DOTA),
    )
    tally = Tally(1.0)
    rows = list(tile([record], size=512, overlap=100, tally=tally))
    assert len(rows) == 3 * 3
    assert tally.seen == len(objects)
    assert tally.kept / len(objects) > 0.98
    assert all(item.label in ("ship", "harbor") for row in rows for item in row.objects)


def test_tiles_of_any_ids_are_files_of_their_own(tmp_path: Path) -> None:
    Image.new("RGB", (200, 100)).save(tmp_path / "a.png")
    ids = ["a/b", "a_b", "a%2Fb", "../../x", ".hidden", "a\x1b[2J", "a\x00b", "C:\\x", "n" * 300, "n" * 301, "a\ud800"]
    rows = [replace(_record(200, 100), id=name) for name in ids]
    saved = list(tile(rows, size=100, overlap=0, root=tmp_path, folder="tiles"))
    paths = [record.images[0].path for record in saved]
    assert len(set(paths)) == len(paths) == 2 * len(ids)
    assert {path.relative_to(tmp_path).as_posix() for path in (tmp_path / "tiles").rglob("*")} == set(paths)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "tiles"]


@pytest.mark.parametrize("other", ["scene \u00e9", "SCENE \u00e9", "scene e\u0301"])
def test_tiles_of_two_records_never_take_each_others_files(tmp_path: Path, other: str) -> None:
    """Ids are unique in a source only, and on some file systems neither case nor the form of accents counts."""
    for name, colour in (("a", "red"), ("b", "blue")):
        Image.new("RGB", (200, 100), colour).save(tmp_path / f"{name}.png")
    first = replace(_record(200, 100), id="scene \u00e9")
    second = replace(first, id=other, source="other", images=(replace(first.images[0], path="b.png"),))
    options: dict[str, Any] = {"size": 100, "overlap": 0, "root": tmp_path}
    with pytest.raises(Rejected, match="give each record an id of its own"):
        list(tile([first, second], folder="strict", **options))
    tally = Tally(1.0)
    saved = list(tile([first, second], folder="counted", tally=tally, **options))
    assert [Image.open(tmp_path / row.images[0].path).getpixel((0, 0)) for row in saved] == [(255, 0, 0)] * 2
    assert tally.dropped["id used twice"] == 1
    assert len(list(tile([first, second], **options))) == 4  # nothing is saved, so nothing is taken


@settings(max_examples=100)
@given(
    st.tuples(*[st.integers(-50, 50)] * 2), st.tuples(*[st.integers(1, 700)] * 2), st.sampled_from([0.0, 0.2, 0.5, 0.9])
)
def test_pieces_of_a_window_cover_it_and_nothing_else(
    corner: tuple[int, int], size: tuple[int, int], overlap: float
) -> None:
    """Two pieces along the longer side; four where the other is longer than they are; squares, cut at the window's border."""
    x, y = corner
    window = (x, y, x + size[0], y + size[1])
    pieces = halves(window, overlap=overlap)
    covered = np.zeros((size[1], size[0]), int)
    for x1, y1, x2, y2 in pieces:
        assert x <= x1 < x2 <= window[2] and y <= y1 < y2 <= window[3]
        covered[y1 - y : y2 - y, x1 - x : x2 - x] += 1
    assert covered.min() >= 1
    side = math.ceil(max(size) / (2 - overlap))
    assert max(max(x2 - x1, y2 - y1) for x1, y1, x2, y2 in pieces) == side
    if side - int(side * overlap) >= max(size) - side:  # rounding leaves room for no third
        assert len(pieces) == (1 if max(size) <= side else 2) * (1 if min(size) <= side else 2)


@pytest.mark.parametrize("overlap", [-0.01, 1.0, 2])
def test_an_overlap_of_pieces_is_a_share(overlap: float) -> None:
    with pytest.raises(ValueError, match=r"is no share; give 0 or more, and less than 1"):
        halves((0, 0, 90, 40), overlap=overlap)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("P0706__512__412___0.png", ("P0706", 512.0, 412, 0)),
        ("a__b__0.5__-3___7", ("a__b", 0.5, -3, 7)),
        ("folder/P1__1024__0___824.TIFF", ("P1", 1024.0, 0, 824)),
    ],
)
def test_names_of_tiles_say_where_they_were_cut(name: str, parts: tuple[str, float, int, int]) -> None:
    assert parse_tile_name(name) == parts


@pytest.mark.parametrize(
    "name", ["P0706.png", "P0706__412___0.png", "P0706__512__412__0.png", "__512__412___0.png", "P__1__1.5___2"]
)
def test_other_names_are_no_names_of_tiles(name: str) -> None:
    with pytest.raises(ValueError, match="is not <stem>__<size>__<x>___<y>"):
        parse_tile_name(name)


def test_tiles_of_one_record_stop_where_nothing_is_kept_empty() -> None:
    """Tiles without objects are left out on request, and those after them are not."""
    item = Annotation((250, 10, 260, 20), "ship", "hbb")
    rows = list(tile([_record(300, 100, item)], size=100, overlap=0, keep_empty=False))
    assert [row.id for row in rows] == ["P1__100__200___0"]
    assert rows[0].objects[0].box == (50, 10, 60, 20)


@pytest.mark.parametrize(("least", "held"), [(1.0, False), (0.6, True), (0.61, False)])
def test_how_much_of_an_object_a_tile_must_hold_may_be_said(least: float, held: bool) -> None:
    item = Annotation((94, 10, 104, 20), "ship", "hbb")
    first, *_ = tile([_record(150, 100, item)], size=100, overlap=50, least=least)
    assert bool(first.objects) is held
