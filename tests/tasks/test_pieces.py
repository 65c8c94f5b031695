"""Objects longer than what tiles share come back as one, or are flagged as cut."""

from typing import Any

import numpy as np
import pytest
import shapely
from PIL import Image

from rscovlm.geometry import Boxes, Objects
from rscovlm.geometry.tiling import tiles
from rscovlm.processing.resolution import PixelBudget
from rscovlm.rasters import open_image
from rscovlm.tasks import detect
from rscovlm.tasks.detect_many import detect_many
from rscovlm.tasks.merging import merge_and_join
from rscovlm.tasks.pieces import joined_groups, margins
from tests.zoom.scripted import Scripted

SIZE = (1000, 800)


def _truth(rng: np.random.Generator, slanted: bool) -> list[Any]:
    """Rectangles up to 600 pixels long, at least six apart, inside the image."""
    found: list[Any] = []
    for _ in range(2000):
        width, height = rng.uniform(20, 600), rng.uniform(12, 60)
        if rng.random() < 0.5:
            width, height = height, width
        x, y = rng.uniform(0, SIZE[0]), rng.uniform(0, SIZE[1])
        shape = shapely.box(x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        shape = shapely.affinity.rotate(shape, rng.uniform(0, 180) if slanted else 0)
        if shapely.box(0, 0, *SIZE).contains(shape) and not any(shape.distance(one) < 6 for one in found):
            found.append(shape)
        if len(found) == 14:
            break
    return found


def _seen(
    truth: list[Any], overlap: int, slanted: bool, rng: np.random.Generator
) -> tuple[Objects, list[int], list[Any]]:
    """What a detector says that boxes all it sees of every object in a tile, to within a pixel."""
    windows, coords, tile_of = list(tiles(*SIZE, 256, overlap)), [], []
    for number, window in enumerate(windows):
        for shape in truth:
            part = shapely.intersection(shape, shapely.box(*window))
            if part.area < 60 or min(np.ptp(np.reshape(part.bounds, (2, 2)), axis=0)) < 6:
                continue
            corners = np.asarray(shapely.minimum_rotated_rectangle(part).exterior.coords)[:4].ravel()
            row = corners if slanted else np.array(part.bounds)
            coords.append(row + rng.normal(0, 0.7, len(row)))
            tile_of.append(number)
    boxes = Boxes(np.array(coords), "quad" if slanted else "hbb")
    return Objects(boxes, ("bar",) * len(coords)), tile_of, windows


@pytest.mark.parametrize("overlap", [0, 50, 100])
@pytest.mark.parametrize(("slanted", "least"), [(False, 1.0), (True, 0.85)])
def test_long_objects_come_back_once_and_whole(slanted: bool, least: float, overlap: int) -> None:
    right = total = 0
    for seed in range(5):
        rng = np.random.default_rng(seed)
        truth = _truth(rng, slanted)
        objects, tile_of, windows = _seen(truth, overlap, slanted, rng)
        merged = merge_and_join(objects, tile_of, windows, SIZE)
        corners = merged.objects.boxes.as_kind("quad").coords.reshape(-1, 4, 2)
        found = np.array([shapely.Polygon(quad) for quad in corners])
        assert len(found) >= len(truth) and merged.removed == len(objects) - len(found) and merged.joined
        for shape in truth:
            shares = shapely.area(shapely.intersection(shape, found)) / shapely.area(shapely.union(shape, found))
            inside = shapely.area(shapely.intersection(shape, found)) / shapely.area(found) > 0.3
            right += bool((shares > 0.85).sum() == 1 and inside.sum() == 1)
            total += 1
    assert right >= least * total, (right, total)


def test_neighbours_are_not_joined_and_lone_pieces_are_flagged() -> None:
    windows = [(0, 0, 100, 100), (60, 0, 160, 100)]
    two = Objects(Boxes([[20.0, 10, 100, 20], [60.0, 40, 140, 50]], "hbb"), ("ship", "ship"))
    merged = merge_and_join(two, [0, 1], windows, (160, 100))
    assert len(merged.objects) == 2 and merged.joined == 0 and merged.cut.tolist() == [True, True]
    classes = Objects(Boxes([[20.0, 10, 100, 20], [60.0, 10, 140, 20]], "hbb"), ("ship", "pier"))
    assert merge_and_join(classes, [0, 1], windows, (160, 100)).joined == 0
    one = Objects(Boxes([[20.0, 10, 100, 20], [60.0, 10, 140, 20]], "hbb"), ("ship", "ship"), np.array([0.5, 0.7]))
    merged = merge_and_join(one, [0, 1], windows, (160, 100))
    assert merged.objects.boxes.coords.tolist() == [[20, 10, 140, 20]] and merged.cut.tolist() == [False]
    assert merged.objects.scores is not None and merged.objects.scores.tolist() == [0.7]
    # What both tiles see whole is a duplicate, no piece; at the image's own border nothing is cut.
    whole = Objects(Boxes([[65.0, 10, 95, 20], [65.0, 10, 95, 20], [130.0, 50, 160, 60]], "hbb"), ("ship",) * 3)
    merged = merge_and_join(whole, [0, 1, 1], windows, (160, 100))
    assert len(merged.objects) == 2 and merged.joined == 0 and not merged.cut.any()
    # An L of two bars that meet in the zone is no box.
    bent = Objects(Boxes([[0.0, 0, 100, 8], [60.0, 0, 66, 100]], "hbb"), ("ship", "ship"))
    assert merge_and_join(bent, [0, 1], windows, (160, 200)).joined == 0
    empty = Objects.empty("quad", None)
    assert len(merge_and_join(empty, [], windows, (160, 100)).objects) == 0


def test_what_is_joined_is_flagged_where_the_last_of_its_tiles_still_cuts_it() -> None:
    """One border is enough, whatever the distance to the others."""
    windows = [(0, 0, 100, 200), (60, 0, 160, 200), (120, 0, 220, 200)]
    pieces = Objects(Boxes([[20.0, 50, 100, 60], [60.0, 50, 160, 60]], "hbb"), ("bar", "bar"))
    merged = merge_and_join(pieces, [0, 1], windows, (220, 300))
    assert merged.objects.boxes.coords.tolist() == [[20, 50, 160, 60]]
    assert (merged.joined, merged.cut.tolist()) == (1, [True])


def test_objects_stay_in_their_order_where_a_group_of_pieces_is_no_box() -> None:
    """Three pieces that agree in pairs and make no box stay three, behind each other, among many others."""
    rng = np.random.default_rng(0)
    corners = np.column_stack([rng.uniform(0, 900, 60), rng.uniform(0, 900, 60)])
    boxes, labels = np.hstack([corners, corners + 8]), tuple(f"ship {place}" for place in range(60))
    objects, kept = Objects(Boxes(boxes, "hbb"), labels), np.arange(60)
    pairs = np.array([[3, 41], [3, 22], [7, 50], [50, 59]])
    merged = joined_groups(objects, kept, pairs, np.full(60, 9.0), [0] * 60, [(0, 0, 1000, 1000)], (1000, 1000))
    if merged.joined:
        pytest.fail("boxes that lie apart were joined; the test means groups that are no box")
    first = [*range(4), 22, 41, *range(4, 8), 50, 59]
    rest = [place for place in range(8, 60) if place not in first]
    assert merged.objects.labels == tuple(f"ship {place}" for place in [*first, *rest])


def bright(conversation: Any, _: int) -> str:
    """Say where the bright pixels are."""
    found = np.argwhere(np.asarray(conversation.images()[0])[..., 0] > 127)
    if not len(found):
        return "There are none."
    (y1, x1), (y2, x2) = found.min(axis=0), found.max(axis=0) + 1
    return f"{x1},{y1},{x2},{y2} bar\n"


@pytest.mark.parametrize("batch", [1, 3, 32])
def test_many_images_are_answered_as_each_alone(batch: int) -> None:
    """Tiles of several images share a batch, and none goes to another image."""
    engine = Scripted(bright, budget=PixelBudget(min_pixels=28 * 28, max_pixels=112 * 112))
    pictures = []
    for width, height, (x1, y1, x2, y2) in [
        (392, 112, (30, 40, 330, 60)),
        (112, 112, (3, 90, 40, 97)),
        (140, 420, (50, 20, 70, 400)),
    ]:
        picture = np.zeros((height, width, 3), np.uint8)
        picture[y1:y2, x1:x2] = 255
        pictures.append(open_image(Image.fromarray(picture)))
    many = list(detect_many(engine, ((one, ["bar"]) for one in pictures), overlap=28, kind="hbb", batch=batch))
    for raster, found in zip(pictures, many, strict=True):
        alone = detect(engine, raster, ["bar"], overlap=28, kind="hbb")
        assert found.objects.boxes.coords.tolist() == alone.objects.boxes.coords.tolist() != []
        assert (found.frame.width, found.frame.height) == (raster.width, raster.height)
        assert (len(found.tiles), found.joined, found.merged) == (len(alone.tiles), alone.joined, alone.merged)


def test_detect_joins_a_bar_that_no_tile_shows_whole() -> None:
    picture = np.zeros((112, 392, 3), np.uint8)
    picture[40:60, 30:330] = 255
    engine = Scripted(bright, budget=PixelBudget(min_pixels=28 * 28, max_pixels=112 * 112))
    found = detect(engine, Image.fromarray(picture), ["bar"], overlap=28, kind="hbb")
    assert found.objects.boxes.coords.tolist() == [[30, 40, 330, 60]]
    assert (len(found.tiles), found.joined, found.merged, found.cut.tolist()) == (5, 1, 4, [False])


def test_margins_are_distances_to_the_tiles_own_borders_inside_the_image() -> None:
    # A tile in the middle, one in the top left corner, one in the bottom right one, of an image of 1000 x 800.
    windows = np.array([[200, 100, 500, 300], [0, 0, 300, 200], [700, 600, 1000, 800]], dtype=float)
    bounds = np.array([[210, 130, 480, 260], [10, 30, 280, 160], [710, 630, 980, 760]], dtype=float)
    inf = np.inf
    assert margins(bounds, windows, SIZE).tolist() == [[10, 30, 20, 40], [inf, inf, 20, 40], [10, 30, inf, inf]]


@pytest.mark.parametrize("kind", ["hbb", "obb", "quad"])
def test_two_halves_of_a_bar_become_the_bar(kind: Any) -> None:
    windows = [(0, 0, 500, 300), (400, 0, 1000, 300), (0, 200, 500, 800)]
    boxes = [[300.0, 100, 500, 140], [400.0, 101, 720, 141], [40.0, 230, 90, 260]]
    objects = Objects(Boxes(boxes, "hbb").as_kind(kind), ("bar", "bar", "ship"), np.array([0.3, 0.8, 0.5]))
    merged = merge_and_join(objects, [0, 1, 2], windows, SIZE)
    assert (merged.joined, merged.removed) == (1, 1)
    assert merged.objects.labels == ("bar", "ship")
    assert merged.objects.scores is not None and merged.objects.scores.tolist() == [0.8, 0.5]
    bounds = merged.objects.boxes.as_kind("hbb").coords
    assert bounds[0] == pytest.approx((300, 100, 720, 141), abs=1.0)
    assert bounds[1] == pytest.approx(boxes[2])
    assert merged.cut.tolist() == [False, False]
    # Of another class, in the same tile, or a hand's breadth beside each other they are two.
    for labels, tile_of, lower in (
        (("bar", "pier", "x"), [0, 1, 2], 0),
        (("bar", "bar", "x"), [0, 0, 2], 0),
        (("bar", "bar", "x"), [0, 1, 2], 40),
    ):
        moved = np.array(boxes) + [[0, 0, 0, 0], [0, lower, 0, lower], [0, 0, 0, 0]]
        alone = merge_and_join(Objects(Boxes(moved, "hbb").as_kind(kind), labels), tile_of, windows, SIZE)
        assert alone.joined == 0 and len(alone.objects) == 3
