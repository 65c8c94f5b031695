"""Segmentation and change through the one table: what training renders is what inference sends, and reading it gives the masks back."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from numpy.typing import NDArray
from PIL import Image

from rscovlm.codec.dialect import Dialect, presets
from rscovlm.codec.set_of_points import SetOfPoints
from rscovlm.codec.spaces import SPACES
from rscovlm.engines import Conversation, Reply
from rscovlm.exports.areas import areas_geojson
from rscovlm.geometry import Frame
from rscovlm.metrics import change_score, mask_iou
from rscovlm.mixtures.renderer import RecordRenderer
from rscovlm.mixtures.scene_records import image_of
from rscovlm.points.pairs import RasterPair, phase_shift
from rscovlm.predicting.items import Item, find_items
from rscovlm.predicting.latest_rows import LatestRows
from rscovlm.predicting.placed_rows import write_objects
from rscovlm.predicting.prediction import DefaultQuestion, predict
from rscovlm.processing.resolution import plan_size
from rscovlm.rasters import open_image
from rscovlm.records import Annotation, Record, Rejected
from rscovlm.records.mask_values import write_mask_values
from rscovlm.scenes.change import make_change
from rscovlm.tasks import RenderOptions, task_of
from rscovlm.tasks.change import change, change_many
from rscovlm.tasks.segment import segment, segment_many
from rscovlm.tasks.task import Answered
from tests.points.test_segmenting import Bright, buildings
from tests.tasks.test_one_home import BUDGET, IMAGE, SIZE, Trained, record, rendered, words

RING = (50.0, 50.0, 150.0, 50.0, 150.0, 120.0, 50.0, 120.0)
HOLE = (80.0, 70.0, 80.0, 90.0, 110.0, 90.0, 110.0, 70.0)
PLANE = (200.0, 200.0, 260.0, 200.0, 230.0, 280.0)
OBJECTS = (
    Annotation((50, 50, 150, 120), "storage-tank", "hbb", polygons=(RING, HOLE)),
    Annotation((200, 200, 260, 280), "plane", "hbb", polygons=(PLANE,)),
)


def _answer(sample: dict[str, Any]) -> str:
    return str(sample["messages"][-1]["content"][0]["text"])


def _measured(sample: dict[str, Any], dialect: Dialect, task: str, reply: str | None = None) -> float:
    seen = Frame(*SIZE).resized(*sample["images"][0].size)
    answer = _answer(sample)
    one = Answered(reply or answer, answer, None, seen, sample["areas"])
    return task_of(task).measure([one], dialect)["giou"]


@pytest.mark.parametrize("preset", presets())
@pytest.mark.parametrize("outline", [0.0, 1.0])
@pytest.mark.parametrize("json_rate", [None, 0.0, 1.0])
@pytest.mark.parametrize("named", ["classes", "expression"])
def test_what_is_trained_is_what_is_asked(preset: str, outline: float, json_rate: float | None, named: str) -> None:
    dialect = Dialect.preset(preset)
    fields: dict[str, Any] = {"categories": ("storage-tank", "plane"), "objects": OBJECTS}
    asked: dict[str, Any] = {"classes": ["Storage-Tank", "plane"]}
    if named == "expression":
        fields = {"expression": "The tank near the Pier-3", "objects": OBJECTS[:1]}
        asked = {"expressions": ["The tank near the Pier-3"]}
    sample = rendered(record("segmentation", **fields), dialect, outline_rate=outline, json_rate=json_rate, negatives=1)
    engine = Trained(dialect, _answer(sample))
    style = {None: None, 0.0: "plain", 1.0: "json"}[json_rate]
    found = segment(engine, IMAGE, form="polygon" if outline else "prompt", style=style, constrained=True, **asked)  # type: ignore[arg-type]
    (sent,) = engine.asked
    assert words(sent.messages) == words(sample["messages"][:-1])
    assert sent.grammar is not None
    assert re.fullmatch(sent.grammar.regex(), engine.answer)
    expected = ["plane", "storage tank"] if named == "classes" else ["tank near the Pier-3"]
    assert (sorted(found.labels), found.problems) == (expected, {})
    # A hundredth of the image is four pixels, an outline of which moves by two.
    least = 0.9 if SPACES[dialect.codec.space].units == 100 else 0.97
    assert _measured(sample, dialect, "segmentation") > least
    assert _measured(sample, dialect, "segmentation", "There are none. ") < 0.01
    if outline:
        truth = np.zeros((SIZE[1], SIZE[0]), bool)
        for item in OBJECTS[: len(expected)]:
            ys, xs = np.mgrid[: SIZE[1], : SIZE[0]]
            for ring in item.polygons:
                truth ^= shapely.contains_xy(shapely.Polygon(np.reshape(ring, (-1, 2))), xs + 0.5, ys + 0.5)
        drawn = np.any([mask.full() for mask in found.masks], axis=0)
        assert mask_iou([drawn], [truth])["giou"] > least


def test_nothing_is_trained_and_read_as_nothing() -> None:
    dialect = Dialect.preset("rscovlm-v1")
    mask = image_of(Image.new("L", SIZE))
    sample = rendered(record("segmentation", categories=("ship",), masks=(mask,)), dialect)
    assert _answer(sample) == dialect.codec.none
    found = segment(Trained(dialect, _answer(sample)), IMAGE, ["ship"], constrained=True)
    assert (found.masks, found.problems) == ((), {})
    assert _measured(sample, dialect, "segmentation") == 1.0


def test_masks_of_several_classes_are_told_apart() -> None:
    dialect = Dialect.preset("rscovlm-v1")
    levels = np.zeros((SIZE[1], SIZE[0]), np.uint8)
    levels[20:60, 30:90], levels[200:260, 100:140], levels[300:302, 300:301] = 1, 2, 2
    fields: dict[str, Any] = {"categories": ("road", "building"), "masks": (image_of(Image.fromarray(levels)),)}
    told = write_mask_values({"road": [1], "building": [2]})
    sample = rendered(record("segmentation", extra={"mask_values": told}, **fields), dialect, points=1)
    read = SetOfPoints(dialect.codec).decode(_answer(sample), Frame(*SIZE).resized(*sample["images"][0].size)).objects
    assert [(one.label, len(one.sets)) for one in read] == [("building", 2), ("road", 2)]
    assert read[1].box.coords[0] == pytest.approx([30, 20, 90, 60], abs=2)
    with pytest.raises(Rejected, match="mask_values"):
        rendered(record("segmentation", **fields), dialect)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"masks": (image_of(Image.new("L", (5, 5))),), "categories": ("ship",)}, "mask has 5x5"),
        ({"objects": (Annotation((1, 2, 30, 40), "ship", "hbb"),), "categories": ("ship",)}, "no polygons or masks"),
    ],
)
def test_records_without_a_form_are_refused(fields: Any, message: str) -> None:
    with pytest.raises(Rejected, match=message):
        rendered(record("segmentation", **fields), Dialect.preset("rscovlm-v1"))


def test_long_answers_are_simplified_or_refused() -> None:
    dialect = Dialect.preset("rscovlm-v1")
    pixels = np.pad(buildings(3), ((0, SIZE[1] - 256), (0, SIZE[0] - 256)))
    made = record("segmentation", categories=("roof",), masks=(image_of(Image.fromarray(pixels)),))
    sample = rendered(made, dialect, outline_rate=1.0, longest=600)
    assert len(_answer(sample)) <= 600
    assert _measured(sample, dialect, "segmentation") > 0.7
    with pytest.raises(Rejected, match="does not fit into 20"):
        rendered(made, dialect, outline_rate=1.0, longest=20)


def test_the_papers_notation_is_switched_on_in_the_dialect() -> None:
    values = Dialect.preset("rscovlm-v1").to_dict()
    values["wording"]["marks"] = True
    dialect = Dialect.from_dict({**values, "name": "marked"})
    sample = rendered(record("segmentation", categories=("storage-tank", "plane"), objects=OBJECTS), dialect)
    text = sample["messages"][-2]["content"][-1]["text"]
    assert text.startswith("[seg]")
    pair = Record("1", "mine", "train", "change", (image_of(IMAGE), image_of(IMAGE)), objects=OBJECTS[:1])
    assert rendered(pair, dialect)["messages"][-2]["content"][-1]["text"].startswith("[change]")
    engine = Trained(dialect, _answer(sample))
    segment(engine, IMAGE, ["plane", "storage tank"])
    assert words(engine.asked[0].messages) == words(sample["messages"][:-1])


def test_a_segmenter_draws_the_masks_window_by_window() -> None:
    pixels = np.zeros((200, 300), bool)
    pixels[40:80, 50:120], pixels[130:190, 150:260] = True, True
    image = Image.fromarray(np.where(pixels[..., None], 220, 40).astype(np.uint8).repeat(3, axis=2))
    dialect = Dialect.preset("rscovlm-v1")
    engine = Trained(dialect, "[(40,30),(130,90)],[(60,60)] roof\n[(140,120),(280,200)] roof\n")
    found = segment(engine, image, ["roof"], segmenter=Bright())
    assert np.array_equal(np.any([mask.full() for mask in found.masks], axis=0), pixels)
    assert sorted(one.shape.area for one in found.polygons()) == [2800, 6600]
    nothing = segment(Trained(dialect, "[(0,0),(20,20)] roof"), image, ["roof"], segmenter=Bright())
    assert (nothing.masks, nothing.problems) == ((), {"empty_mask": 1})
    with pytest.raises(ValueError, match="nothing to segment"):
        segment(engine, image)
    with pytest.raises(TypeError, match="one string"):
        segment(engine, image, "roof")


class Outlining:
    """Outlines what is bright in the last image that it is shown, as a model that has learnt it would."""

    def __init__(self, label: str, form: str = "polygon") -> None:
        self.dialect = Dialect.preset("rscovlm-v1")
        self.codec, self.budget, self.label, self.form = self.dialect.codec, BUDGET, label, form
        self.shown: list[tuple[tuple[int, int], ...]] = []

    def generate(self, conversations: Any, **_: Any) -> list[Reply]:
        """Answer each conversation."""
        return [self._one(one) for one in conversations]

    def _one(self, conversation: Conversation) -> Reply:
        from rscovlm.geometry.masks import Mask
        from rscovlm.points.keypoints import prompt_of
        from rscovlm.points.polygons import polygons_of

        images = conversation.images()
        self.shown.append(tuple(image.size for image in images))
        last, first = (np.asarray(images[at].convert("L"), int) for at in (-1, 0))
        pixels = last > 128 if len(images) == 1 else np.abs(last - first) > 60
        frame = Frame(*images[-1].size)
        objects = list(polygons_of(Mask.of(pixels, frame), self.label).objects) if pixels.any() else []
        if self.form == "prompt":
            objects = [prompt_of(Mask.filled(one.sets.points, frame), self.label) for one in objects]
        seen = frame.resized(*plan_size(frame.width, frame.height, self.budget))  # as the processor resizes it
        return Reply(SetOfPoints(self.codec).encode(objects, seen))


def _scene(pixels: NDArray[np.bool_]) -> Image.Image:
    return Image.fromarray(np.where(pixels, 210, 60).astype(np.uint8)).convert("RGB")


@pytest.mark.parametrize("tile", [None, 100])
def test_large_images_are_segmented_in_windows_and_joined(tile: int | None) -> None:
    pixels = buildings(5)
    found = segment(Outlining("roof", "prompt"), _scene(pixels), ["roof"], segmenter=Bright(), tile=tile, overlap=30)
    drawn = np.any([mask.full() for mask in found.masks], axis=0)
    assert mask_iou([drawn], [pixels])["giou"] > 0.97
    whole = segment(Outlining("roof", "prompt"), _scene(pixels), ["roof"], segmenter=Bright())
    assert abs(len(found.masks) - len(whole.masks)) <= 2  # joined across windows


@pytest.mark.parametrize("tile", [None, 96])
def test_pairs_are_tiled_in_step_and_score(tile: int | None) -> None:
    found, true = [], []
    for seed in range(8):
        pixels = buildings(seed)
        engine = Outlining("building")
        result = change(engine, _scene(np.zeros_like(pixels)), _scene(pixels), ["building"], tile=tile, overlap=24)
        assert all(len(sizes) == 2 and sizes[0] == sizes[1] for sizes in engine.shown)
        assert len(engine.shown) == (1 if tile is None else 16)
        assert set(result.labels) <= {"building"}
        found.append(result.mask())
        true.append(pixels)
    assert change_score(found, true)["f1"] > 0.98


@pytest.mark.parametrize("batch", [1, 3, 50])
def test_many_are_answered_as_each_alone(batch: int) -> None:
    grounds = [buildings(seed)[: 120 + 40 * seed] for seed in range(3)]
    scenes = [open_image(_scene(pixels)) for pixels in grounds]
    bare = [open_image(_scene(np.zeros_like(pixels))) for pixels in grounds]
    engine = Outlining("roof")
    found = segment_many(engine, ((scene, ["roof"], ["the flat roof"]) for scene in scenes), tile=100, batch=batch)
    changed = change_many(engine, zip(bare, scenes, [["roof"]] * 3, [None] * 3, strict=True), tile=90, batch=batch)
    alone = Outlining("roof")
    for many, one in zip(
        found, (segment(alone, x, ["roof"], expressions=["the flat roof"], tile=100) for x in scenes), strict=True
    ):
        assert (many.labels, many.texts, many.problems) == (one.labels, one.texts, one.problems)
        assert [mask.rle() for mask in many.masks] == [mask.rle() for mask in one.masks] and many.masks
    for between, lone in zip(
        changed, (change(alone, *both, ["roof"], tile=90) for both in zip(bare, scenes, strict=True)), strict=True
    ):
        assert (between.texts, between.frame, between.shift) == (lone.texts, lone.frame, lone.shift)
        assert np.array_equal(between.mask(), lone.mask()) and between.mask().any()
    assert engine.shown == alone.shown


@pytest.mark.parametrize("preset", ["rscovlm-v1", "qwen3-vl", "gemini"])
@pytest.mark.parametrize("names", [("building",), ("road", "building"), ()])
def test_change_is_trained_as_it_is_asked(preset: str, names: tuple[str, ...]) -> None:
    dialect = Dialect.preset(preset)
    levels = np.zeros((SIZE[1], SIZE[0]), np.uint8)
    levels[20:60, 30:90], levels[200:260, 100:140] = 1, 255
    extra = {"mask_values": write_mask_values({"road": [1], "building": [255]})} if len(names) > 1 else {}
    images = (image_of(IMAGE), image_of(IMAGE))
    made = Record(
        "1",
        "mine",
        "train",
        "change",
        images,
        categories=names,
        masks=(image_of(Image.fromarray(levels)),),
        extra=extra,
    )
    sample = rendered(made, dialect)
    engine = Trained(dialect, _answer(sample))
    found = change(engine, IMAGE, IMAGE, names, constrained=True)
    (sent,) = engine.asked
    assert words(sent.messages) == words(sample["messages"][:-1])
    assert sent.grammar is not None and re.fullmatch(sent.grammar.regex(), engine.answer)
    assert mask_iou([found.mask()], [levels > 0])["giou"] > 0.97
    assert _measured(sample, dialect, "change") > 0.97
    seen = Frame(*SIZE).resized(*sample["images"][0].size)
    text = SetOfPoints(dialect.codec)
    first = text.encode(text.decode(_answer(sample), seen, form="polygon").objects[:1], seen)
    for reply, wanted in (
        (_answer(sample), 1.0),
        (first, 6 / 11),
    ):  # one of two: recall reaches 0 to 0.5 of eleven points
        one = Answered(reply, _answer(sample), None, seen, sample["areas"])
        assert task_of("change").measure([one], dialect)["ap_nc50"] == pytest.approx(wanted)
    spoken = rendered(
        Record("1", "mine", "train", "change", images, captions=("A road.",), masks=made.masks),
        dialect,
        sentence_rate=1.0,
    )
    assert _answer(spoken) == "A road."


def test_drawn_pairs_are_trained_within_one_per_cent() -> None:
    dialect, found, true = Dialect.preset("rscovlm-v1"), [], []
    for seed in range(25):
        pair = make_change(seed)
        mask = pair.mask()
        images = (image_of(pair.before.image), image_of(pair.after.image))
        masks = (image_of(Image.fromarray(mask)),)
        extra = {"mask_values": write_mask_values({"object": [1, 2]})}
        made = Record("1", "mine", "train", "change", images, categories=("object",), masks=masks, extra=extra)
        render = RecordRenderer(dialect, BUDGET, ".", RenderOptions(rephrase_rate=0.0))
        sample = render(made, np.random.default_rng(0))
        result = change(Trained(dialect, _answer(sample)), pair.before.image, pair.after.image, ["object"])
        found.append(result.mask())
        true.append(mask > 0)
    assert mask_iou(found, true)["ciou"] > 0.9


def _tiff(
    path: Path,
    pixels: NDArray[np.uint8],
    *,
    x: float = 500_000,
    y: float = 5_000_000,
    size: float = 1.0,
    crs: str = "EPSG:32633",
) -> Path:
    rasterio = pytest.importorskip("rasterio")
    transform = rasterio.transform.from_origin(x, y, size, size)
    height, width = pixels.shape
    with rasterio.open(
        path, "w", driver="GTiff", width=width, height=height, count=3, dtype="uint8", crs=crs, transform=transform
    ) as out:
        out.write(np.stack([pixels] * 3))
    return path


def test_pairs_on_different_grids_are_resampled(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    ground = np.kron(rng.integers(30, 90, (40, 40)), np.ones((10, 10))).astype(np.uint8)
    later = ground.copy()
    later[100:160, 200:290] = 230
    before = _tiff(tmp_path / "a.tif", ground[50:350, 50:350], x=500_050, y=4_999_950)
    after = _tiff(tmp_path / "b.tif", later[::2, ::2], size=2.0)
    pair = RasterPair.of(open_image(before), open_image(after))
    assert pair.resampled
    assert pair.shift().distance <= 2
    result = change(Outlining("roof"), before, after, ["roof"])
    expected = np.zeros((300, 300), bool)
    expected[50:110, 150:240] = True
    assert mask_iou([result.mask()], [expected])["giou"] > 0.93
    assert not result.problems
    moved = _tiff(tmp_path / "c.tif", later, x=900_000)
    with pytest.raises(ValueError, match="share no ground"):
        change(Outlining("roof"), before, moved)
    other = _tiff(tmp_path / "d.tif", later, crs="EPSG:32634")
    with pytest.raises(ValueError, match="coordinate systems EPSG:32633 and EPSG:32634"):
        change(Outlining("roof"), before, other)
    with pytest.raises(ValueError, match="400x400 pixels and do not both say"):
        change(Outlining("roof"), before, Image.fromarray(later).convert("RGB"))


def test_pairs_that_lie_beside_each_other_are_noticed() -> None:
    scene = make_change(0)
    large = scene.before.image.resize((300, 300))
    moved = Image.new("RGB", (300, 300))
    moved.paste(large, (9, -6))
    result = change(Outlining("x"), large, moved)
    assert result.problems.get("not_coregistered") == 1
    assert result.shift is not None and (result.shift.x, result.shift.y) == pytest.approx((9, -6), abs=1)
    again = change(Outlining("x"), large, scene.after.image.resize((300, 300)))
    assert "not_coregistered" not in again.problems
    unlike = change(Outlining("x"), large, make_change(50).before.image.resize((300, 300)))
    assert unlike.shift is not None and not unlike.shift.noticed
    assert phase_shift(np.zeros((20, 20)), np.zeros((20, 20))) == (0.0, 0.0, False)
    with pytest.raises(ValueError, match="shapes"):
        phase_shift(np.zeros((20, 20)), np.zeros((20, 30)))


def test_predict_writes_rows_and_areas_on_the_map(tmp_path: Path) -> None:
    pixels = buildings(1)
    before = _tiff(tmp_path / "a.tif", np.full((256, 256), 60, np.uint8))
    after = _tiff(tmp_path / "b.tif", np.where(pixels, 210, 60).astype(np.uint8))
    manifest = tmp_path / "pairs.jsonl"
    manifest.write_text(json.dumps({"id": "one", "images": ["a.tif", "b.tif"]}) + "\n")
    items = find_items([manifest])
    assert [one.images for one in items] == [(before, after)]
    out, engine = tmp_path / "rows.jsonl", Outlining("building")
    asked = DefaultQuestion("change", classes=("building",))
    assert predict(engine, items, asked, out)["done"] == 1
    assert predict(engine, items, asked, out)["before"] == 1
    rows = {"one": LatestRows(out)["one"]}
    written, left = write_objects(rows, tmp_path / "a.geojson")
    assert (written, left) == (len(rows["one"]["objects"]), 0)
    features = json.loads((tmp_path / "a.geojson").read_text())["features"]
    assert {one["geometry"]["type"] for one in features} == {"Polygon"}
    result = change(engine, before, after, ["building"])
    there = areas_geojson(result.polygons())["features"]
    areas = [shapely.union_all([shapely.geometry.shape(one["geometry"]) for one in each]) for each in (features, there)]
    assert areas[0].area == pytest.approx(areas[1].area, rel=1e-3)
    after.write_bytes(before.read_bytes())
    assert predict(engine, items, asked, out)["changed"] == 1
    segmented = tmp_path / "segmented.jsonl"
    assert (
        predict(engine, [Item("b", before)], DefaultQuestion("segment", classes=("building",)), segmented)["done"] == 1
    )
    with pytest.raises(ValueError, match="1 images and change is about 2"):
        predict(engine, [Item("b", before)], asked, tmp_path / "c.jsonl")
