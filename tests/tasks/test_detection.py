import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from rscovlm.engines import Conversation, Reply
from rscovlm.geometry import Boxes, Frame, Objects, iou
from rscovlm.geometry.tiling import count_tiles, flat, tiles
from rscovlm.processing.resolution import PixelBudget, plan_size
from rscovlm.tasks import Detections, detect
from rscovlm.tasks.merging import merge
from tests.zoom.scripted import Scripted

CLASSES = ["plane", "ship"]


class Painted(Scripted):
    """Lists every patch of colour it is shown: red tells the object, green the class (0 plane, 255 ship)."""

    def __init__(self, budget: PixelBudget | None = None) -> None:
        super().__init__(self.look, budget=budget)

    def look(self, conversation: Conversation, turn: int) -> str:
        (picture,) = conversation.images()
        red, green, blue = np.moveaxis(np.asarray(picture), -1, 0)
        boxes: list[list[int]] = []
        labels: list[str] = []
        for number in np.unique(red[blue > 200]):
            rows, columns = np.nonzero((red == number) & (blue > 200))
            boxes.append([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
            labels.append(CLASSES[int(green[rows[0], columns[0]] > 100)])
        frame = Frame(picture.width, picture.height)
        size = plan_size(picture.width, picture.height, self.budget)
        found = Objects(Boxes(boxes or np.empty((0, 4)), "hbb", frame), tuple(labels))
        return self.codec.encode(found, frame.resized(*size), kind="quad", categories=CLASSES)


def painted_scene(width: int, height: int, count: int, seed: int) -> tuple[Image.Image, Objects]:
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (width, height))
    pen = ImageDraw.Draw(image)
    boxes: list[list[int]] = []
    labels: list[str] = []
    taken = np.zeros((height, width), dtype=bool)
    while len(boxes) < count:
        w, h = rng.integers(12, 90, 2)
        x, y = int(rng.integers(0, width - w)), int(rng.integers(0, height - h))
        if taken[max(0, y - 3) : y + h + 3, max(0, x - 3) : x + w + 3].any():
            continue
        taken[y : y + h, x : x + w] = True
        ship = bool(rng.integers(2))
        pen.rectangle([x, y, x + int(w) - 1, y + int(h) - 1], fill=(len(boxes), 255 * ship, 255))
        boxes.append([x, y, x + int(w), y + int(h)])
        labels.append(CLASSES[ship])
    return image, Objects(Boxes(boxes, "hbb", Frame(width, height)), tuple(labels))


def assert_found(found: Detections, truth: Objects, least: float) -> None:
    assert len(found) == len(truth)
    overlaps = iou(found.objects.boxes, truth.boxes.as_kind("quad"))
    best = overlaps.argmax(axis=1)
    assert sorted(best) == list(range(len(truth))) and overlaps.max(axis=1).min() > least
    assert [truth.labels[row] for row in best] == list(found.objects.labels)


def test_tiles_merge_to_every_object_once() -> None:
    image, truth = painted_scene(1500, 1130, 120, seed=1)
    done: list[tuple[int, int]] = []
    engine = Painted()
    found = detect(engine, image, CLASSES, tile=512, overlap=100, progress=lambda *step: done.append(step), batch=5)
    assert_found(found, truth, 0.85)
    assert found.merged > 0 and sum(tile.found for tile in found.tiles) == len(found) + found.merged
    assert len(found.tiles) == count_tiles(1500, 1130, 512, 100) == 12
    assert done == [(5, 12), (10, 12), (12, 12)] and [len(stage) for stage in engine.asked] == [5, 5, 2]
    assert found.counts() == {label: truth.labels.count(label) for label in CLASSES}
    assert not found.problems and found.tokens > 0 and found.seconds > 0
    assert found.draw().size == (1161, 874)


def test_a_tile_is_shown_as_it_is_and_a_larger_one_shrunk() -> None:
    image, _ = painted_scene(700, 700, 4, seed=2)
    engine = Painted(PixelBudget(max_pixels=448 * 448))
    detect(engine, image, CLASSES, tile=320, overlap=0)
    assert np.array_equal(np.asarray(engine.asked[0][0].images()[0]), np.asarray(image.crop((0, 0, 320, 320))))
    detect(engine, image, CLASSES, tile=700, overlap=0)
    assert engine.asked[-1][0].images()[0].size == (448, 448)
    shares = [detect(engine, image, CLASSES, tile=100, overlap=share).tiles for share in (0.25, 25)]
    assert [tile.window for tile in shares[0]] == [tile.window for tile in shares[1]]
    default = detect(engine, image, CLASSES)
    assert default.tiles[0].window == (0, 0, 448, 448) and default.tiles[1].window == (252, 0, 700, 448)


def test_max_mode_enlarges_and_scales_back() -> None:
    image = Image.new("RGB", (200, 160))
    ImageDraw.Draw(image).rectangle([40, 60, 99, 89], fill=(0, 0, 255))
    engine = Scripted(["202,302,504,302,504,453,202,453 plane\n"])
    found = detect(engine, image, CLASSES, mode="max")
    assert engine.asked[0][0].images()[0].size == plan_size(200, 160, mode="max")
    size = plan_size(200, 160, mode="max")
    x, y = 200 / size.width, 160 / size.height
    expected = [202 * x, 302 * y, 504 * x, 302 * y, 504 * x, 453 * y, 202 * x, 453 * y]
    assert found.objects.boxes.coords[0] == pytest.approx(expected)


def test_flat_tiles_are_left_out_and_counted() -> None:
    image, _ = painted_scene(400, 400, 5, seed=3)
    wide = Image.new("RGB", (4000, 400))
    wide.paste(image, (3600, 0))
    engine = Painted()
    found = detect(engine, wide, CLASSES, tile=400, overlap=0, skip=flat)
    assert found.problems == {"skipped": 9} and len(engine.asked[0]) == 1
    assert len(found) == 5 and found.objects.boxes.coords[:, ::2].min() >= 3600


def test_what_went_wrong_is_counted() -> None:
    line = "10,10,20,10,20,20,10,20 plane\n"
    replies = [
        Reply(line * 5, finish="repeat"),
        Reply("10,10,20,10,20,20,10", finish="length"),
        Reply("900,10,920,10,920,20,900,20 plane\n5,5,9,5,9,9,5,9 tank"),
    ]
    turns = iter(replies)
    engine = Scripted(lambda *_: next(turns))
    found = detect(engine, Image.new("RGB", (300, 100)), CLASSES, tile=100, overlap=0)
    assert found.objects.labels == ("plane", "tank")
    expected = {
        "duplicate": 4,
        "repeat": 1,
        "cut_off": 1,
        "no_area": 1,
        "unknown_label": 1,
        "truncated": 1,
        "outside": 1,
    }
    assert found.problems == expected


def test_confidence_is_the_mean_over_the_object_s_tokens() -> None:
    pieces = ["10,10,20,10,", "20,20,10,20 ", "plane\n", "40,40,50,40,50,50,", "40,50 ship", "\n", ""]
    logs = [-0.1, -0.2, -0.3, -1.0, -2.0, -9.0, -9.0]
    reply = Reply("".join(pieces), token_logprobs=logs, token_texts=pieces)
    found = detect(Scripted(lambda *_: reply), Image.new("RGB", (300, 300)), CLASSES, confidence=True)
    assert found.objects.labels == ("plane", "ship") and found.objects.scores is not None
    assert found.objects.scores[0] == pytest.approx(np.exp(-0.2))
    assert found.objects.scores[1] == pytest.approx(np.exp(-1.5))
    with pytest.raises(ValueError, match="no log-probabilities"):
        detect(Scripted(["1,1,9,1,9,9,1,9 plane\n"]), Image.new("RGB", (300, 300)), CLASSES, confidence=True)


def merged(boxes: list[list[float]], tile_of: list[int], scores: list[float] | None = None) -> list[int]:
    windows = [(0, 0, 100, 100), (60, 0, 160, 100)]
    objects = Objects(Boxes(boxes, "hbb"), ("a",) * len(boxes), None if scores is None else np.array(scores))
    return [int(row) for row in merge(objects, tile_of, windows, (160, 100))]


def test_merging_prefers_scores_then_whole_then_inner_objects() -> None:
    whole, cut = [90.0, 10, 120, 30], [90.0, 10, 100, 30]
    assert merged([cut, whole], [0, 1]) == [1]
    assert merged([whole, cut], [1, 0]) == [0]
    assert merged([cut, whole], [0, 1], [0.9, 0.5]) == [0]
    inner, outer = [70.0, 40, 95, 60], [72.0, 40, 96, 60]  # farther from the border of its own tile wins
    assert merged([outer, inner], [0, 1]) == [1] and merged([inner, outer], [1, 0]) == [0]
    assert merged([whole, whole], [0, 0]) == [0, 1]  # what one tile lists side by side stays
    assert merged([[88.0, 10, 100, 20], [88.0, 10, 190, 90]], [0, 1]) == [1]  # a fragment, though its IoU is small
    assert merged([[62.0, 1, 70, 9], [80.0, 80, 90, 90]], [0, 1]) == [0, 1]


def test_merging_does_not_depend_on_the_order_of_tiles() -> None:
    rng = np.random.default_rng(4)
    corners = rng.uniform(0, 900, (300, 2))
    coords = np.concatenate([corners, corners + rng.uniform(5, 120, (300, 2))], axis=1)
    windows = list(tiles(1000, 1000, 300, 100))
    tile_of = rng.integers(0, len(windows), 300)
    labels = [str(n) for n in rng.integers(0, 3, 300)]
    boxes = Boxes(coords, "hbb")
    kept = set(merge(Objects(boxes, tuple(labels)), tile_of.tolist(), windows, (1000, 1000)).tolist())
    for _ in range(5):
        order = rng.permutation(300)
        places = rng.permutation(len(windows))
        moved = Objects(boxes[order], tuple(labels[row] for row in order))
        again = merge(
            moved,
            np.argsort(places)[tile_of[order]].tolist(),
            [windows[place] for place in places],
            (1000, 1000),
        )
        assert {int(order[row]) for row in again} == kept


@pytest.mark.parametrize(
    ("width", "height", "tile", "overlap"), [(1, 1, 5, 2), (99, 1000, 100, 99), (1003, 517, 256, 51)]
)
def test_tiles_cover_every_pixel(width: int, height: int, tile: int, overlap: int) -> None:
    covered = np.zeros((height, width), dtype=int)
    windows = list(tiles(width, height, tile, overlap))
    for x1, y1, x2, y2 in windows:
        assert (x2 - x1, y2 - y1) == (min(tile, width), min(tile, height))
        covered[y1:y2, x1:x2] += 1
    assert covered.min() >= 1 and len(windows) == len(set(windows)) == count_tiles(width, height, tile, overlap)
    with pytest.raises(ValueError, match="overlap 5"):
        list(tiles(10, 10, 5, 5))


def test_geojson_lies_where_the_file_says(tmp_path: Path) -> None:
    rasterio = pytest.importorskip("rasterio")
    from rasterio.warp import transform

    path = tmp_path / "scene.tif"
    options: dict[str, Any] = {"driver": "GTiff", "width": 200, "height": 160, "count": 3, "dtype": "uint8"}
    place = rasterio.Affine(0.5, 0, 404_211.5, 0, -0.5, 3_285_102.5)
    with rasterio.open(path, "w", crs="EPSG:32617", transform=place, **options) as file:
        file.write(np.zeros((3, 160, 200), dtype=np.uint8))
    frame = plan_size(200, 160)
    corners = np.array([[40, 20], [100, 20], [100, 60], [40, 60]], dtype=float)
    line = ",".join(str(round(v)) for v in (corners * [frame.width / 200, frame.height / 160]).ravel())
    found = detect(Scripted([f"{line} plane<b>\n"]), path, ["plane<b>"])
    target = tmp_path / "objects.geojson"
    found.to_geojson(target)
    written = json.loads(target.read_text())
    (feature,) = written["features"]
    assert "crs" not in written and feature["properties"]["label"] == "plane<b>"
    ring = np.array(feature["geometry"]["coordinates"][0])
    assert ring[0].tolist() == ring[-1].tolist() and len(ring) == 5
    assert (np.diff(ring[:, 0]) * (ring[1:, 1] + ring[:-1, 1])).sum() < 0  # counter-clockwise, as RFC 7946 wants it
    east, north = 404_211.5 + 0.5 * corners[:, 0], 3_285_102.5 - 0.5 * corners[:, 1]
    lon, lat = transform("EPSG:32617", "EPSG:4326", east, north)
    assert np.abs(np.sort(ring[:4], axis=0) - np.sort(np.stack([lon, lat], axis=1), axis=0)).max() < 1e-5
    assert "plane" in found.to_map(tmp_path / "objects.html").read_text()
    own = found.to_geojson(crs=None)
    assert own["crs"]["properties"]["name"] == "urn:ogc:def:crs:EPSG::32617"
    ring = np.array(own["features"][0]["geometry"]["coordinates"][0])
    assert np.abs(np.sort(ring[:4], axis=0) - np.sort(np.stack([east, north], axis=1), axis=0)).max() < 0.5


def test_geojson_without_a_place_says_so() -> None:
    found = detect(Scripted(["There are none."]), Image.new("RGB", (300, 300)), CLASSES)
    written = found.to_geojson()
    assert written["features"] == [] and "pixels" in written["coordinates"]


def test_bad_settings_are_named() -> None:
    image, engine = Image.new("RGB", (300, 300)), Scripted([])
    for settings, named in (
        ({"mode": "huge"}, "'huge'"),
        ({"tile": 0}, "tile is 0"),
        ({"tile": 50, "overlap": 50}, "overlap 50"),
    ):
        with pytest.raises(ValueError, match=named):
            detect(engine, image, CLASSES, **settings)
    with pytest.raises(ValueError, match="no class"):
        detect(engine, image, [])


def test_classes_may_come_from_a_generator() -> None:
    image = Image.new("RGB", (1200, 400))
    engine = Scripted(["10,10,60,10,60,60,10,60 plane\n"] * 3)
    found = detect(engine, image, (name for name in CLASSES), tile=400, overlap=0)
    assert found.counts() == {"plane": 3}


def test_a_strip_too_slim_for_the_model_is_squeezed() -> None:
    """A slim picture would be refused by the processor; the frame takes boxes back to where they lie."""

    def whole(conversation: Conversation, _: int) -> str:
        (picture,) = conversation.images()
        size = plan_size(*picture.size)
        return f"0,0,{size.width},0,{size.width},{size.height},0,{size.height} plane"

    for size in ((1000, 3), (1, 1000), (3, 800)):
        found = detect(Scripted(whole), Image.new("RGB", size), CLASSES, kind="quad")
        assert found.objects.boxes.as_kind("hbb").coords.tolist() == [[0, 0, *size]]


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"classes": [7]}, "class 7"),
        ({"classes": None}, "classes is None"),
        ({"tile": 512.5}, "tile is 512.5"),
        ({"overlap": float("nan")}, "overlap nan"),
        ({"merge_iou": 2}, "merge_iou is 2"),
    ],
)
def test_settings_of_another_type_are_named(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        detect(Scripted([]), Image.new("RGB", (600, 600)), **{"classes": CLASSES, **wrong})


@pytest.mark.parametrize("logs", [[-0.5], [-0.5, float("nan")], [5.0, 5.0], []])
def test_log_probabilities_that_are_none_are_named(logs: list[float]) -> None:
    line = "10,10,50,10,50,50,10,50 plane"
    reply = Reply(line, token_logprobs=logs, token_texts=[line[:9], line[9:]])
    with pytest.raises(ValueError, match="one log-probability a token, none above 0"):
        detect(Scripted(lambda *_: reply), Image.new("RGB", (100, 100)), CLASSES, confidence=True)


def test_half_a_character_in_a_label_can_be_written_everywhere(tmp_path: Path) -> None:
    said = "10,10,50,10,50,50,10,50 ship \ud800"
    found = detect(Scripted(lambda *_: said), Image.new("RGB", (100, 100)), ["plane"])
    assert found.objects.labels == ("ship ?",)
    found.to_geojson(tmp_path / "a.geojson")
    found.to_map(tmp_path / "a.html")
