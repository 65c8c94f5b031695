"""A dialect that says the ground sample distance says the same in training and in inference, and no shipped one does."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import rscovlm
from rscovlm.codec.dialect import Dialect, presets
from rscovlm.data.sources.folder import Folder
from rscovlm.data.sources.labeltxt import read_pairs
from rscovlm.data.storage import read_jsonl, write_jsonl
from rscovlm.engines import Conversation, Reply
from rscovlm.geometry import Boxes, Frame
from rscovlm.mixtures.renderer import RecordRenderer
from rscovlm.mixtures.scene_records import image_of
from rscovlm.processing import PixelBudget
from rscovlm.rasters.ground import ground_sample_distance
from rscovlm.records import Annotation, ImageRef, Record, Tally
from rscovlm.scenes import write_geotiff
from rscovlm.tasks import RenderOptions
from rscovlm.tasks.change import change
from rscovlm.tasks.describe import describe
from rscovlm.tasks.locate import locate
from rscovlm.tasks.segment import segment

BUDGET = PixelBudget(28 * 28, 112 * 112)
OBJECTS = (Annotation((20.0, 20.0, 60.0, 20.0, 60.0, 60.0, 20.0, 60.0), "ship", "quad"),)
LEVELS = np.zeros((336, 336), np.uint8)
LEVELS[60:180, 90:240] = 1
MASK = {"masks": (image_of(Image.fromarray(LEVELS)),), "categories": ("ship",)}
TASKS: dict[str, dict[str, Any]] = {
    "detection": {"objects": OBJECTS, "categories": ("ship",)},
    "grounding": {"objects": OBJECTS, "expression": "ship"},
    "classification": {"classes": ("harbor",), "categories": ("harbor", "airport")},
    "caption": {"captions": ("A port.",)},
    "counting": {"categories": ("ship",), "answer": "3"},
    "vqa": {"question": "Is it dry?", "answer": "yes"},
    "zoom": {"question": "Is it dry?", "answer": "yes", "regions": ((40.0, 40.0, 100.0, 100.0),)},
    "segmentation": MASK,
    "change": MASK,
    "region_caption": {"objects": OBJECTS, "expression": "ship"},
    "geolocation": {"extra": {"latitude": "48.1", "longitude": "11.5"}},
}


class Trained:
    """Answers as training taught, and keeps what it was asked."""

    def __init__(self, dialect: Dialect, answers: list[str]) -> None:
        self.dialect, self.codec, self.budget = dialect, dialect.codec, BUDGET
        self.answers = answers
        self.asked: list[Conversation] = []

    def generate(self, conversations: Iterable[Conversation], **_: Any) -> list[Reply]:
        made = []
        for one in conversations:
            self.asked.append(one)
            made.append(Reply(self.answers[min(len(self.asked), len(self.answers)) - 1]))
        return made


def worded(messages: Iterable[dict[str, Any]]) -> list[str]:
    blocks = [
        turn["content"] if isinstance(turn["content"], list) else [{"text": turn["content"]}] for turn in messages
    ]
    return [block["text"] for content in blocks for block in content if "text" in block]


def ask(task: str, engine: Any, image: Any) -> None:
    if task == "detection":
        rscovlm.detect(engine, image, ["ship"], tile=336)
    elif task == "grounding":
        rscovlm.ground(engine, image, ["ship"])
    elif task == "classification":
        rscovlm.classify(engine, [image], ["harbor", "airport"])
    elif task == "caption":
        rscovlm.caption(engine, [image])
    elif task == "counting":
        rscovlm.count(engine, image, ["ship"], how="words")
    elif task == "segmentation":
        segment(engine, image, ["ship"])
    elif task == "change":
        change(engine, image, image, ["ship"], tile=336)
    elif task == "region_caption":
        describe(engine, image, Boxes([OBJECTS[0].box], "quad"))
    elif task == "geolocation":
        locate(engine, [image], city=False)
    else:
        rscovlm.answer(engine, image, ["Is it dry?"], zoom=task == "zoom")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GeoTIFF of 0.5 m, and a PNG that says nothing."""
    folder = tmp_path_factory.mktemp("gsd")
    pixels = np.random.default_rng(0).integers(0, 255, (336, 336, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels)
    frame = Frame(336, 336, root_to_world=(0.5, 0.0, 600_000.0, 0.0, -0.5, 5_300_000.0), crs="EPSG:32632")
    write_geotiff(folder / "a.tif", frame, lambda x1, y1, x2, y2: picture.crop((x1, y1, x2, y2)))
    picture.save(folder / "a.png")
    return folder


def saying() -> Dialect:
    return Dialect.from_dict({"name": "mine", "codec": Dialect.preset("rscovlm-v1").codec.to_dict(), "wording": GSD})


GSD = {"gsd": "One pixel is {gsd} m."}


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    ("file", "gsd", "said"), [("a.tif", 0.0, 1.5), ("a.tif", 0.2, 0.6), ("a.png", 0.2, 0.6), ("a.png", 0.0, None)]
)
def test_training_says_what_inference_says(root: Path, task: str, file: str, gsd: float, said: float | None) -> None:
    image = ImageRef(file, width=336, height=336, gsd=gsd)
    images = (image, image) if task == "change" else (image,)
    record = Record("1", "mine", "train", task, images, **TASKS[task])
    settings = RenderOptions(rephrase_rate=0.0, offer_rate=1.0, direct_rate=0.0, crop_jitter=0.0)
    sample = RecordRenderer(saying(), BUDGET, root, settings)(record, np.random.default_rng(0))
    trained = worded(sample["messages"])
    answers = [worded([turn])[-1] for turn in sample["messages"] if turn["role"] == "assistant"]
    engine = Trained(saying(), answers)
    raster = rscovlm.open_image(root / file, gsd=gsd or None)
    ask(task, engine, raster)
    assert worded(engine.asked[-1].messages) == trained[:-1]
    lines = [text for text in trained if "One pixel is" in text]
    # 336 pixels are shown as 112.
    assert len(lines) == (said is not None) and all(f"One pixel is {said:g} m." in text for text in lines)
    silent = RecordRenderer(Dialect.preset("rscovlm-v1"), BUDGET, root, settings)(record, np.random.default_rng(0))
    assert not [text for text in worded(silent["messages"]) if "One pixel" in text]


def test_no_shipped_dialect_says_it() -> None:
    assert [name for name in presets() if Dialect.preset(name).wording.gsd] == []


def test_records_and_tiles_keep_it(tmp_path: Path) -> None:
    known, unknown = ImageRef("a.png", width=8, height=8, gsd=0.25), ImageRef("b.png", width=8, height=8)
    record = Record("1", "mine", "train", "caption", (known, unknown), captions=("x",))
    assert Record.from_dict(record.to_dict()) == record == Record.from_json(record.to_json())
    assert '"gsd":0.25' in record.to_json() and record.to_json().count("gsd") == 1
    write_jsonl([record], tmp_path / "rows.jsonl")
    assert list(read_jsonl(tmp_path / "rows.jsonl")) == [record]
    for wrong in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="gsd is"):
            ImageRef("a.png", gsd=wrong)
        with pytest.raises(ValueError, match="ground is"):
            Frame(3, 3, ground=wrong)


@pytest.mark.parametrize("north", [0.0, 45.0, -60.0])
def test_degrees_and_mercator_against_the_ellipsoid(north: float) -> None:
    """Against the radii of curvature of WGS 84, to the difference between it and a sphere."""
    axis, flat, step = 6_378_137.0, 6.694379990141e-3, 1e-4
    bent = 1 - flat * math.sin(math.radians(north)) ** 2
    across = axis / math.sqrt(bent) * math.cos(math.radians(north)) * math.radians(step)
    up = axis * (1 - flat) / bent**1.5 * math.radians(step)
    frame = Frame(2, 2, root_to_world=(step, 0, 7, 0, -step, north + step), crs="EPSG:4326")
    assert ground_sample_distance(frame) == pytest.approx(math.sqrt(across * up), rel=0.006)
    x, y = axis * math.radians(7), axis * math.asinh(math.tan(math.radians(north)))
    side = axis * math.radians(step)
    mercator = Frame(2, 2, root_to_world=(side, 0, x, 0, -side, y + side), crs="EPSG:3857")
    assert ground_sample_distance(mercator) == pytest.approx(across, rel=0.006)


def test_systems_in_feet_and_without_a_unit() -> None:
    place = (1.0, 0.0, 1_000_000.0, 0.0, -1.0, 200_000.0)
    assert ground_sample_distance(Frame(9, 9, root_to_world=place, crs="EPSG:25832")) == 1.0
    assert ground_sample_distance(Frame(9, 9, root_to_world=place)) is None
    pytest.importorskip("rasterio", reason="rasterio is not installed")
    assert ground_sample_distance(Frame(9, 9, root_to_world=place, crs="EPSG:2263")) == pytest.approx(0.3048, rel=1e-5)


def test_label_files_state_it(tmp_path: Path) -> None:
    for stem, header in (("P1", "gsd:0.146"), ("P2", "gsd:null"), ("P3", "imagesource:GF-2")):
        (tmp_path / "labelTxt").mkdir(exist_ok=True)
        (tmp_path / "images").mkdir(exist_ok=True)
        (tmp_path / "labelTxt" / f"{stem}.txt").write_text(f"{header}\n1 1 9 1 9 9 1 9 ship 0\n")
        Image.new("RGB", (20, 20)).save(tmp_path / "images" / f"{stem}.png")
    found = list(read_pairs(Folder(tmp_path, Tally()), "mine", "train", "labelTxt", "images", ["ship"]))
    assert [record.images[0].gsd for record in found] == [0.146, 0.0, 0.0]
