"""Boxes that would be trained are held against the truth: what is right passes, whatever shifts or turns them is refused."""

import math
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

from rscovlm.codec import Codec
from rscovlm.codec.spaces import SpaceName
from rscovlm.data.sources.labeltxt import parse_label_txt
from rscovlm.geometry import Boxes, Frame, Objects
from rscovlm.geometry.kinds import Kind
from rscovlm.mixtures.renderer import RecordRenderer
from rscovlm.processing import PixelBudget, RSCoVLMImageProcessor, RSCoVLMProcessor
from rscovlm.processing.tokenizer import build_tokenizer
from rscovlm.records.record import Annotation, ImageRef, Record, Turn
from rscovlm.tasks.options import RenderOptions
from rscovlm.training.encoding import Encoder
from rscovlm.training.packing import PackedMixture
from rscovlm.training.preflight import preflight
from rscovlm.training.readback import check_boxes, unmatched
from rscovlm.training.recipe import TrainingRecipe
from rscovlm.training.tiny import Family
from tests.shared_data import shared
from tests.training.conftest import recipe_of

TOKENIZER = build_tokenizer(("find the plane, ship",))
KINDS: tuple[Kind, ...] = ("hbb", "obb", "quad")
CODECS = [
    Codec.preset("rscovlm-v1"),
    Codec.preset("qwen2.5-vl"),
    Codec.preset("qwen3-vl"),
    Codec("per cent", space="0-100"),
    Codec("fine per cent", space="0-100", decimals=2),
    Codec("shares", space="0-1", decimals=3),
]
# Width and height of images and, by the budget, what they are shown as.
SIZES = [(331, 1200), (1999, 203), (57, 41), (4000, 3000)]


def processor_of(codec: Codec, family: Family = "qwen2_5_vl", **limits: Any) -> Any:
    factor = 28 if family == "qwen2_5_vl" else 32
    budget = PixelBudget(**{"min_pixels": 224 * 224, "max_pixels": 1008 * 1008, "factor": factor, **limits})
    return RSCoVLMProcessor(RSCoVLMImageProcessor.for_family(family, budget), TOKENIZER, codec=codec)


def record_of(size: tuple[int, int], objects: list[Annotation]) -> Record:
    names = tuple(sorted({item.label for item in objects})) or ("ship",)
    image = ImageRef("a.png", width=size[0], height=size[1])
    return Record("r", "test", "train", "detection", (image,), objects=tuple(objects), categories=names)


def boxes_in(size: tuple[int, int], seed: int, count: int = 40) -> list[Annotation]:
    """Boxes of every kind and size, from less than a pixel to most of the image; one in five crosses the edge."""
    rng = np.random.default_rng(seed)
    made = []
    for place in range(count):
        kind = KINDS[place % 3]
        w, h = (float(side * 10 ** rng.uniform(-3.5, -0.3)) for side in size)
        x, y = (float(rng.uniform(0, side)) for side in size)
        if place % 5:
            x, y = (min(max(at, side / 2), whole - side / 2) for at, side, whole in ((x, w, size[0]), (y, h, size[1])))
        corners = np.array([[-w, -h], [w, -h], [w, h], [-w, h]]) / 2
        angle = float(rng.uniform(-90, 90))
        turn = np.deg2rad(angle)
        turned = corners @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) + (x, y)
        skewed = turned + rng.uniform(-0.2, 0.2, (4, 2)) * min(w, h)
        box = {"hbb": (x - w / 2, y - h / 2, x + w / 2, y + h / 2), "obb": (x, y, w, h, angle)}
        made.append(Annotation(tuple(box.get(kind, skewed.ravel().tolist())), f"class {place % 4}", kind))
    return made


def render(record: Record, codec: Codec, budget: PixelBudget, kind: Kind, **options: Any) -> dict[str, Any]:
    chosen = RenderOptions(kinds={kind: 1.0}, rephrase_rate=0.0, **options)
    return RecordRenderer(codec, budget, Path(), chosen)(record, np.random.default_rng(0))


def checked(sample: dict[str, Any], processor: Any) -> int:
    return check_boxes(sample, Encoder(processor)(sample), processor, name="sample 0")


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
@pytest.mark.parametrize("kind", KINDS)
def test_every_space_kind_and_size_passes(codec: Codec, kind: Kind) -> None:
    for seed, size in enumerate(SIZES):
        for family, rates in (("qwen2_5_vl", {}), ("qwen3_vl", {"resize_rate": 1.0, "json_rate": 1.0})):
            processor = processor_of(codec, family)  # type: ignore[arg-type]
            sample = render(record_of(size, boxes_in(size, seed)), codec, processor.budget, kind, **rates)
            assert checked(sample, processor) == 40


@pytest.mark.parametrize("name", ["P0032", "P0770", "P1234", "P2598"])
def test_real_labels_pass(name: str) -> None:
    lines = shared(f"dota_labels/{name}.txt").read_text(encoding="utf-8").splitlines()
    annotations, _ = parse_label_txt(lines)
    items = [Annotation(item.box, item.label, "quad") for item in annotations][:150]
    corners = np.array([item.box for item in items]).reshape(-1, 2)
    # Cut where the labels end, so that some reach beyond the image.
    size = int(corners[:, 0].max()) - 3, int(corners[:, 1].max()) - 3
    for codec in (CODECS[0], CODECS[2], CODECS[3]):
        processor = processor_of(codec)
        for kind in KINDS:
            assert checked(render(record_of(size, items), codec, processor.budget, kind), processor) == len(items)


Change = Callable[[list[float]], list[float]]


class Tampered(Codec):
    """Writes other numbers than it should; reads them back to what was meant where ``back`` says how."""

    change: Change
    back: Change | None = None

    def encode(self, objects: Objects, frame: Frame, **choice: Any) -> str:
        return _changed(super().encode(objects, frame, **choice), self.change)

    def decode(self, text: str, frame: Frame, **choice: Any) -> Any:
        return super().decode(text if self.back is None else _changed(text, self.back), frame, **choice)


def tampered(codec: Codec, change: Change, back: Change | None = None) -> Tampered:
    made = Tampered(**codec.to_dict())
    object.__setattr__(made, "change", change)
    object.__setattr__(made, "back", back)
    return made


def _changed(text: str, change: Change) -> str:
    def line(match: re.Match[str]) -> str:
        return ",".join(f"{number:g}" for number in change([float(part) for part in match[1].split(",")])) + match[2]

    return re.sub(r"(?m)^([-\d.,]+)( .*)$", line, text)


def _swapped(numbers: list[float]) -> list[float]:
    return [number for x, y in zip(numbers[::2], numbers[1::2], strict=True) for number in (y, x)]


# What a codec may get wrong in its numbers, by what it is called; of horizontal boxes, and of the corners of quadrilaterals.
TAMPERING: dict[str, Change] = {
    "two to the right": lambda n: [value + 2 * (place % 2 == 0) for place, value in enumerate(n)],
    "one down": lambda n: [value + (place % 2) for place, value in enumerate(n)],
    "one left and up": lambda n: [max(value - 1, 0) for value in n],
    "scale 1.02": lambda n: [value * 1.02 for value in n],
    "scale 997 for 1000": lambda n: [round(value * 0.997) for value in n],
    "from 0 to 1": lambda n: [value / 1000 for value in n],
    "y before x": _swapped,
    "mirrored": lambda n: [476 - value if place % 2 == 0 else value for place, value in enumerate(n)],
    "upside down": lambda n: [value if place % 2 == 0 else 476 - value for place, value in enumerate(n)],
    "twice": lambda n: [value * 2 for value in n],
    "coarse": lambda n: [round(value / 8) * 8 for value in n],
    "first corner alone": lambda n: n[:2] * (len(n) // 2),
}
WIDE = {
    "width and height for the far corner": lambda n: [n[0], n[1], n[2] - n[0], n[3] - n[1]],
    "centre and size": lambda n: [(n[0] + n[2]) / 2, (n[1] + n[3]) / 2, n[2] - n[0], n[3] - n[1]],
    "x1 x2 y1 y2": lambda n: [n[0], n[2], n[1], n[3]],
}
SLANTED = {
    "angle of the other sign": lambda n: [*n[:4], -n[4]],
    "angle off by a right one": lambda n: [*n[:4], n[4] - 90 if n[4] >= 0 else n[4] + 90],
    "radians": lambda n: [*n[:4], round(math.radians(n[4]))],
    "height before width": lambda n: [n[0], n[1], n[3], n[2], n[4]],
    "half the size": lambda n: [n[0], n[1], n[2] / 2, n[3] / 2, n[4]],
    "no angle": lambda n: [*n[:4], 0],
}
CORNERS = {"two corners swapped": lambda n: [*n[2:4], *n[:2], *n[4:]], "three corners": lambda n: [*n[:6], *n[:2]]}
CHANGES: list[tuple[Kind, str, Change]] = [
    *(("hbb", name, change) for name, change in (TAMPERING | WIDE).items()),
    *(("quad", name, change) for name, change in (TAMPERING | CORNERS).items()),
    *(("obb", name, change) for name, change in SLANTED.items()),
]
SIDE = (476, 448)


@pytest.mark.parametrize(
    ("kind", "change"), [(k, c) for k, _, c in CHANGES], ids=[f"{k}, {name}" for k, name, _ in CHANGES]
)
def test_a_codec_that_writes_or_reads_other_numbers_is_refused(kind: Kind, change: Change) -> None:
    record = record_of(SIDE, boxes_in(SIDE, 7))
    right = CODECS[0]
    for writer, reader in (
        (tampered(right, change), right),  # writes wrongly
        (right, tampered(right, lambda n: n, change)),  # reads wrongly
        (tampered(right, change), tampered(right, change, lambda n: n)),  # both alike, what a folder does not keep
    ):
        processor = processor_of(reader)
        sample = render(record, writer, processor.budget, kind)
        with pytest.raises(ValueError, match="sample 0: "):
            checked(sample, processor)


def test_corners_from_another_start_or_round_the_other_way_do_no_harm() -> None:
    changes: list[Change] = [lambda n: [*n[2:], *n[:2]], lambda n: [n[6], n[7], n[4], n[5], n[2], n[3], n[0], n[1]]]
    for change in changes:
        processor = processor_of(CODECS[0])
        writer = tampered(CODECS[0], change)
        assert checked(render(record_of(SIDE, boxes_in(SIDE, 7)), writer, processor.budget, "quad"), processor) == 40


def _agree(truth: Boxes, found: Boxes, codec: Codec) -> bool:
    """Whether boxes, row by row, overlap by 0.99 or lie within rounding, by shapely and by the numbers' own definition."""
    frame = found.frame
    assert frame is not None
    if len(truth) != len(found):
        return False
    wide = {"pixels": 1.0, "0-1000": frame.width / 1000, "0-100": frame.width / 100, "0-1": float(frame.width)}
    high = {"pixels": 1.0, "0-1000": frame.height / 1000, "0-100": frame.height / 100, "0-1": float(frame.height)}
    step = 0.5 / 10**codec.decimals * np.array([wide[codec.space], high[codec.space]] * 2)
    clipped = np.clip(truth.coords, 0, [frame.width, frame.height] * 2)
    for mine, clip, theirs in zip(truth.coords, clipped, found.coords, strict=True):
        one, other = shapely.box(*mine), shapely.box(*theirs)
        union = one.union(other).area
        if (not union or one.intersection(other).area / union < 0.99) and (abs(clip - theirs) > step + 1e-9).any():
            return False
    return True


@pytest.mark.parametrize("size", [(1000, 1000), (112, 56)])
def test_another_space_or_size_is_refused_or_does_no_harm(size: tuple[int, int]) -> None:
    spaces: list[SpaceName] = ["pixels", "0-1000", "0-100", "0-1"]
    codecs = [
        Codec(f"{space}.{decimals}", space=space, decimals=decimals)
        for space in spaces
        for decimals in (0, 2)
        if space != "0-1" or decimals
    ]
    # Named apart, so that rows can be told without matching them.
    items = [replace(item, label=f"class {k}") for k, item in enumerate(boxes_in(size, 3)) if item.kind == "hbb"]
    refused = 0
    for writer in codecs:
        for reader in codecs:
            for most in (1008 * 1008, 448 * 448):
                processor = processor_of(reader, max_pixels=most)
                sample = render(record_of(size, items), writer, processor_of(writer).budget, "hbb")
                frame = _shown(sample, processor)
                truth = sample["truth"].boxes.to(frame)
                text = sample["messages"][-1]["content"][0]["text"]
                found = reader.decode(text, frame, kind="hbb").objects
                harmless = _agree(
                    truth, found.boxes[[found.labels.index(one) for one in sample["truth"].labels]], reader
                )
                if harmless:
                    assert checked(sample, processor) == len(items)
                else:
                    refused += 1
                    with pytest.raises(ValueError, match="sample 0: "):
                        checked(sample, processor)
    assert refused > 50


def _shown(sample: dict[str, Any], processor: Any) -> Frame:
    (_, height, width), *_ = Encoder(processor)(sample).grids
    frame: Frame = sample["truth"].boxes.frame
    return frame.resized(width * processor.image_processor.patch_size, height * processor.image_processor.patch_size)


def _with_answer(sample: dict[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    *before, answer = sample["messages"]
    text = change(answer["content"][0]["text"])
    return {**sample, "messages": [*before, {**answer, "content": [{"type": "text", "text": text}]}]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.split("\n", 1)[1], "the truth has 40 boxes but 39 read back"),
        (lambda text: text + text.split("\n", 1)[0] + "\n", "the truth has 40 boxes but 41 read back"),
        (lambda text: text.replace("class 2", "class 3", 1), "is called 'class 3'"),
        (lambda text: "There are none.", "the truth has 40 boxes but 0 read back"),
        (lambda text: "\n".join([*text.split("\n")[1:-1], text.split("\n")[5], ""]), "sample 0: box"),
    ],
)
def test_lost_doubled_and_renamed_boxes_are_refused(change: Callable[[str], str], message: str) -> None:
    processor = processor_of(CODECS[0])
    sample = render(record_of(SIDE, boxes_in(SIDE, 7)), CODECS[0], processor.budget, "quad")
    with pytest.raises(ValueError, match=message):
        checked(_with_answer(sample, change), processor)


def test_lines_in_another_order_are_the_same_answer() -> None:
    processor = processor_of(CODECS[0])
    sample = render(record_of(SIDE, boxes_in(SIDE, 7)), CODECS[0], processor.budget, "quad")
    assert checked(_with_answer(sample, lambda text: "\n".join(sorted(text.split("\n")[:-1]))), processor) == 40


def test_the_message_names_the_box_and_what_to_do() -> None:
    processor = processor_of(CODECS[0])
    ship = Annotation((100.0, 100.0, 180.0, 140.0), "ship", "hbb")
    sample = render(
        record_of(SIDE, [ship]), tampered(CODECS[0], TAMPERING["two to the right"]), processor.budget, "hbb"
    )
    with pytest.raises(ValueError, match=r"box 0 of 1, 'ship', is hbb \[100.0, 100.0, 180.0, 140.0\] in truth") as told:
        checked(sample, processor)
    assert "hbb [102.0, 100.0, 182.0, 140.0] (IoU 0.951, 4 times what rounding moves)" in str(told.value)
    assert "mixture.codec, mixture.budget" in str(told.value)


def test_boxes_of_another_window_are_refused() -> None:
    processor = processor_of(CODECS[0])
    stray = Annotation((900.0, 100.0, 980.0, 140.0), "ship", "hbb")
    sample = render(record_of(SIDE, [stray]), CODECS[0], processor.budget, "hbb")
    with pytest.raises(ValueError, match="lies outside the image of 476x448 pixels"):
        checked(sample, processor)


@pytest.mark.parametrize("layout", ["reference", "native"])
@pytest.mark.parametrize("codec", [CODECS[0], CODECS[2]], ids=lambda codec: codec.name)
def test_the_window_of_a_call_is_that_of_the_crop(layout: Any, codec: Codec) -> None:
    content: dict[str, Any] = {"question": "What is it?", "answer": "a boat", "regions": ((700.5, 30.0, 900.0, 150.0),)}
    record = Record("z", "test", "train", "zoom", (ImageRef("a.png", width=2000, height=1500),), **content)
    processor = processor_of(codec)
    sample = render(record, codec, processor.budget, "hbb", layout=layout)
    assert checked(sample, processor) == 1
    overview, crop = sample["images"]
    moved = {**sample, "images": [overview, replace(crop, window=(720, 30, 920, 150))]}
    with pytest.raises(ValueError, match="'the window shown', is hbb"):
        checked(moved, processor)
    with pytest.raises(ValueError, match="sample 0: "):
        checked(sample, processor_of(replace(codec, space="0-100")))


def test_boxes_in_sentences_are_found_among_what_the_text_holds() -> None:
    turns = (
        Turn("user", "<image>\n<image>\nWhere was the ship of [1990, 1991, 1992, 1993]?"),
        Turn("assistant", "At <box:0>, then at <box:1>."),
    )
    ships = (
        Annotation((20.0, 30.0, 60.0, 30.0, 60.0, 50.0, 20.0, 50.0), "ship"),
        Annotation((300.0, 200.0, 80.0, 20.0, 30.0), "ship", "obb", image=1),
    )
    images = (ImageRef("a.png", width=600, height=400), ImageRef("b.png", width=900, height=1400))
    record = Record("c", "test", "train", "conversation", images, turns=turns, objects=ships)
    for codec in (CODECS[0], CODECS[2]):
        processor = processor_of(codec)
        sample = render(record, codec, processor.budget, "hbb")
        assert checked(sample, processor) == 2
        with pytest.raises(ValueError, match="box 0 of 1, '', is quad"):
            checked(_with_answer(sample, lambda text: re.sub(r"then at \[\d+", "then at [7", text)), processor)


def test_columns_are_found_for_all_rows_where_that_can_be() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        n = int(rng.integers(1, 6))
        agree = rng.random((n, n)) < rng.uniform(0.2, 0.9)
        possible = any(all(agree[row, column] for row, column in enumerate(way)) for way in permutations(range(n)))
        assert (unmatched(agree) is None) == possible


def test_the_check_before_the_first_step_names_sample_and_position(root: Path) -> None:
    from transformers import AutoProcessor

    processor: Any = AutoProcessor.from_pretrained(root / "model")
    recipe = TrainingRecipe.from_dict(recipe_of(root)).mixture
    processor.image_processor.budget = recipe.budget
    right = recipe.build(root, length=16, codec=processor.codec)
    wrong = recipe.build(root, length=16, codec=tampered(processor.codec, TAMPERING["two to the right"]))
    report = preflight(right, processor, steps=1, samples=16)
    assert report.boxes > 5
    assert f"{report.boxes} boxes read back as in truth" in report.text()
    with pytest.raises(ValueError, match=r"^detection at position \d+ of the mixture, record 'd\d+': box \d of \d, "):
        preflight(wrong, processor, steps=1, samples=16)
    # What takes the place of a sample too long for a row is looked at as well.
    packed = PackedMixture(
        right,
        length=Encoder(processor),
        budget=30,
        rows=1,
        fit=lambda *_: ([wrong[place] for place in range(16)], Counter()),
    )
    with pytest.raises(ValueError, match="what takes its place for its length: box"):
        preflight(right, processor, packed=packed, steps=1, samples=1)


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: str(codec.name))
@pytest.mark.parametrize("outline", [0.0, 1.0])
def test_areas_are_read_back_before_training(tmp_path: Path, codec: Codec, outline: float) -> None:
    from PIL import Image

    Image.new("RGB", (600, 500)).save(tmp_path / "a.png")
    rings = (
        (100.0, 80.0, 400.0, 90.0, 380.0, 300.0, 110.0, 280.0),
        (200.0, 150.0, 200.0, 200.0, 260.0, 200.0, 260.0, 150.0),
    )
    item = Annotation((100, 80, 400, 300), "lake", "hbb", polygons=rings)
    made = Record("r", "test", "train", "segmentation", (ImageRef("a.png", width=600, height=500),), objects=(item,))
    processor = processor_of(codec)
    renderer = RecordRenderer(codec, processor.image_processor.budget, tmp_path, RenderOptions(outline_rate=outline))
    sample = renderer(replace(made, categories=("lake",)), np.random.default_rng(0))
    encoded = Encoder(processor)(sample)
    assert check_boxes(sample, encoded, processor, name="a sample") == 1
    moved = tuple(
        replace(one, sets=type(one.sets)([points + 90 for points in one.sets.points], one.sets.frame))
        for one in sample["areas"]
    )
    with pytest.raises(ValueError, match="overlap by"):
        check_boxes({**sample, "areas": moved}, encoded, processor, name="a sample")
