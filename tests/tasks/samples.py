"""What every task renders for training, asks, reads, measures and writes as rows, recorded in ``samples.json``.

The same record, dialect, options and seed must give the same sample from version to version: the order of draws is part of what a seed
means, and answers that are read another way give other scores. Other tests hold what is right. Where a change is meant,
``python -m tests.tasks.samples`` records anew: look at what differs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image

import rscovlm
from rscovlm.codec.dialect import Dialect
from rscovlm.engines import Conversation, Reply
from rscovlm.geometry import Boxes, Frame, Objects, PointSets
from rscovlm.geometry.masks import Mask
from rscovlm.mixtures.renderer import RecordRenderer
from rscovlm.mixtures.scene_records import image_of
from rscovlm.points.conditions import ConditionPlan
from rscovlm.processing import PixelBudget
from rscovlm.rasters import open_image
from rscovlm.records import Annotation, Record, Turn
from rscovlm.tasks import RenderOptions, task_named, task_of
from rscovlm.tasks.conditions import solve_conditions
from rscovlm.tasks.cyclic import change_round_trips, mask_round_trips, round_trips
from rscovlm.tasks.describe import describe, describe_change
from rscovlm.tasks.table import asked_tasks, problems
from rscovlm.tasks.task import Answered
from rscovlm.tasks.wanted import Wanted, fields_of

FILE = Path(__file__).with_suffix(".json")
SIZE = (448, 392)
BUDGET = PixelBudget(112 * 112, 504 * 504)


def _picture(seed: int, size: tuple[int, int] = SIZE) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8))


def _quad(x: float, y: float, label: str, **more: Any) -> Annotation:
    box = (x + 7, y, x + 61, y + 9, x + 54, y + 41, x, y + 30)
    return Annotation(tuple(map(float, box)), label, "quad", polygons=(box,), **more)


SHIP, TANK, PLANE = _quad(20, 15, "ship"), _quad(190, 230, "storage-tank"), _quad(301, 90, "plane", difficult=True)


def _record(task: str, *images: Image.Image, **fields: Any) -> Record:
    shown = tuple(image_of(one) for one in (images or (_picture(0),)))
    return Record("r1", "mine", "train", task, shown, **fields)


RECORDS = {
    "vqa": _record("vqa", question="Is it dry?", answer="yes"),
    "choices": _record("vqa", question="Which?", answer="B", choices=("a ship", "a plane", "a tank")),
    "two images": _record("vqa", _picture(0), _picture(1, (300, 200)), question="What changed?", answer="a road"),
    "detection": _record("detection", objects=(SHIP, TANK, PLANE, SHIP), categories=("ship", "storage-tank", "plane", "bridge")),
    "detection of nothing": _record("detection", categories=("plane", "bridge")),
    "upright boxes": _record("detection", objects=(Annotation((9, 8, 70, 30), "ship", "hbb"), Annotation((200, 150, 60, 20, 30), "plane", "obb")), categories=("ship", "plane")),
    "grounding": _record("grounding", objects=(TANK,), expression="the white tank"),
    "grounding of two": _record("grounding", objects=(SHIP, TANK), expression="whatever floats"),
    "classification": _record("classification", classes=("storage-tank", "Harbor"), categories=("airport", "storage-tank", "Harbor")),
    "caption": _record("caption", captions=("A port.", "Ships in a port.", "A harbour with ships.")),
    "counting": _record("counting", categories=("large-vehicle",), answer="12"),
    "conversation": _record(
        "conversation", objects=(SHIP, TANK), turns=(Turn("user", "What is at <box:0>?"), Turn("assistant", "A ship, beside <box:1>."), Turn("user", "Sure?"), Turn("assistant", "Yes."))
    ),
    "zoom": _record("zoom", question="What is it?", answer="a dome", regions=((96.0, 80.0, 200.0, 180.0),)),
    "segmentation": _record("segmentation", objects=(SHIP, TANK), categories=("ship", "storage-tank")),
    "segmentation by words": _record("segmentation", objects=(TANK,), expression="the tank"),
    "change": _record("change", _picture(0), _picture(1), objects=(_quad(20, 15, "", image=1), _quad(190, 230, "", image=1)), captions=("A house was built.",)),
    "geolocation": Record("r1", "mine", "train", "geolocation", (image_of(_picture(0)),), answer="Oslo", extra={"latitude": "59.9139", "longitude": "10.7522"}),
    "conditions": _record("conditions", objects=(SHIP, TANK), expression="all vessels longer than 40 m"),
    "region_caption": _record("region_caption", objects=(TANK,), expression="the white tank by the quay"),
}  # fmt: skip
OPTIONS: list[dict[str, Any]] = [
    {"rephrase_rate": 0.0},
    {"rephrase_rate": 0.7, "synonym_rate": 0.5, "sublist_rate": 0.6, "json_rate": 0.5, "offer_rate": 0.5},
    {"kinds": {"hbb": 2.0, "obb": 1.0}, "cyclic_rate": 0.5, "outline_rate": 0.5, "points": 3, "negatives": 2, "sentence_rate": 0.5, "direct_rate": 0.3, "crop_jitter": 0.4},
    {"outline_rate": 1.0, "longest": 120, "resize_rate": 0.5, "cyclic_rate": 1.0, "layout": "qwen-tools", "sentence_rate": 0.0},
]  # fmt: skip
DIALECTS = ("rscovlm-v1", "qwen3-vl", "geochat", "paligemma")


def _rendered(name: str) -> Any:
    found: dict[str, Any] = {}
    for dialect in DIALECTS:
        for number, options in enumerate(OPTIONS):
            for seed in range(3 if number else 1):
                try:
                    sample = _sample(name, dialect, options, seed)
                except ValueError as error:
                    sample = _error(error)
                found[f"{dialect} {number} {seed}"] = sample
    return found


def _sample(name: str, dialect: str, options: dict[str, Any], seed: int) -> Any:
    renderer = RecordRenderer(Dialect.preset(dialect), BUDGET, ".", RenderOptions(**options))
    sample = renderer(RECORDS[name], np.random.default_rng(seed))
    truth, areas = sample.get("truth"), sample.get("areas")
    return [
        _words(sample["messages"]),
        [[*one.size, getattr(one, "window", None)] for one in sample["images"]],
        None if truth is None else [truth.boxes.kind, truth.boxes.coords, truth.labels],
        None if areas is None else [[one.label, one.form, one.sets.points] for one in areas],
        sample.get("tools"),
    ]


def _words(messages: Iterable[dict[str, Any]]) -> list[Any]:
    turns = []
    for turn in messages:
        content = turn["content"]
        blocks = [{"text": content}] if isinstance(content, str) else content
        turns.append([turn["role"], *(block.get("text", "<image>") for block in blocks)])
    return turns


class Scripted:
    """An engine that gives answers in turn, and keeps what it was asked."""

    def __init__(self, dialect: str, answers: Sequence[Reply]) -> None:
        self.dialect = Dialect.preset(dialect)
        self.codec, self.budget = self.dialect.codec, BUDGET
        self._answers = answers
        self.asked: list[Conversation] = []
        self.options: list[dict[str, Any]] = []
        self.batches: list[int] = []

    def generate(self, conversations: Sequence[Conversation], **options: Any) -> list[Reply]:
        replies = []
        self.options.append(options)
        self.batches.append(len(conversations))
        for one in conversations:
            replies.append(self._answers[len(self.asked) % len(self._answers)])
            self.asked.append(one)
        return replies


ANSWERS = [
    [Reply("20,15,74,56 ship\n200,240,250,260 storage tank\n20,15,74,56 ship\n900,900,999,999 plane\n"), Reply("5,5,30,30 ship\n"), Reply("There are none.")],
    [Reply('```json\n[{"bbox_2d": [20, 15, 74, 56], "label": "Ship"}, {"bbox_2d": [1, 2'), Reply("1,2,3", finish="length"), Reply("nothing", finish="repeat")],
    [Reply("[(20,15),(74,56)],[(40,30)] ship\n[(0,0),(90,0),(90,60),(0,0)] storage tank\n"), Reply("[[100,100],[200,100],[200,200],[100,100]] change")],
    [Reply("A harbor."), Reply(" seven "), Reply("[Oslo, (59.91, 10.75)]"), Reply("1. detect the ships\n2. keep those longer than 40 m")],
]  # fmt: skip
WANTED = [
    Wanted(question="How many ships?", expressions=("the ship",), classes=("ship", "storage-tank")),
    Wanted(question="Is it dry?", expressions=("tank", "the ship"), classes=("plane",), zoom=False, kind="quad", tile=300, overlap=0.25, constrained=True, max_new_tokens=40),
    Wanted(question="Which?", expressions=("all ships longer than 40 m",), classes=("ship",), zoom=False, form="polygon", mode="max", style="json"),
]  # fmt: skip


def _asked(task: str) -> Any:
    found: dict[str, Any] = {}
    for number, answers in enumerate(ANSWERS):
        for which, wanted in enumerate(WANTED):
            for way in ("rows", "serve"):
                engine = Scripted(DIALECTS[which % 2], answers)
                rasters = _rasters(task_named(task).images)
                if len(rasters) > 1:  # what changed is named by classes or by an expression
                    wanted = replace(wanted, expressions=None) if which % 2 else replace(wanted, classes=None)
                try:
                    result = (
                        task_named(task).rows(engine, rasters, [wanted])
                        if way == "rows"
                        else _served(task, engine, rasters, wanted)
                    )
                except ValueError as error:
                    result = _error(error)
                asked = (
                    [[_words(one.messages), one.grammar is not None] for one in engine.asked]
                    if way == "rows"
                    else len(engine.asked)
                )
                found[f"{number} {which} {way}"] = [result, asked]
    return found


def _rasters(count: int, size: tuple[int, int] = (620, 560)) -> list[Any]:
    """Return an image, and where more are wanted the same with a new roof."""
    first = _picture(0, size)
    later = first.copy()
    later.paste((200, 40, 30), (100, 100, 180, 170))
    return [open_image(one) for one in (first, later)[:count]]


def _served(task: str, engine: Any, rasters: Any, wanted: Wanted) -> Any:
    served = task_named(task).serve(engine, rasters, wanted)
    objects = (
        None
        if served.objects is None
        else [served.objects.labels, served.objects.boxes.kind, served.objects.boxes.coords]
    )
    return [served.text, served.cut, objects, served.none, served.extra]


def _measured(dialect: str) -> Any:
    found: dict[str, Any] = {}
    replies = [reply.text for answers in ANSWERS for reply in answers] + [
        "yes",
        "Yes.",
        "12",
        "the white tank",
        "A house was built.",
    ]
    for name, record in RECORDS.items():
        renderer = RecordRenderer(Dialect.preset(dialect), BUDGET, ".", RenderOptions(rephrase_rate=0.0))
        try:
            sample = renderer(record, np.random.default_rng(0))
        except ValueError:
            continue
        expected = sample["messages"][-1]["content"][0]["text"]
        seen = Frame(*SIZE).resized(*sample["images"][0].size)
        answered = [
            Answered(reply, expected, sample.get("truth"), seen, sample.get("areas")) for reply in [*replies, expected]
        ]
        measure = task_of(record.task).measure
        each = [measure([one], Dialect.preset(dialect)) for one in answered]
        found[name] = [measure(answered, Dialect.preset(dialect)), *each]
    return found


def _error(error: ValueError) -> Any:
    """Return what kind of error it is; what it says is for people."""
    return [type(error).__name__, getattr(error, "reason", "")]


MASKS = [Mask.filled([[(x, 20), (x + 60, 20), (x + 60, 55), (x, 55)]], Frame(620, 560)) for x in (20, 200)]
ONE, TWO = (Boxes([[20, 15, 74, 56], [190, 230, 250, 300]][:count], "hbb", Frame(620, 560)) for count in (1, 2))
CALLS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "detect": lambda engine, image, _: rscovlm.detect(engine, image, ["ship", "storage-tank"]),
    "detect in tiles": lambda engine, image, _: rscovlm.detect(engine, image, ["ship"], tile=250, overlap=90, mode="max", skip=lambda picture: picture.size[0] < 200, batch=2, merge_iou=0.5),
    "ground": lambda engine, image, _: rscovlm.ground(engine, image, ["the ship", "tank"]),
    "ground in quads": lambda engine, image, _: rscovlm.ground(engine, image, ["the ship"], kind="quad", style="json", constrained=True),
    "classify": lambda engine, image, _: rscovlm.classify(engine, [image, image], ["Harbor", "airport"], cutoff=0.8),
    "classify unseen": lambda engine, image, _: rscovlm.classify(engine, [image] * 3, ["harbor"], offer=False, constrained=True, batch=2),
    "caption": lambda engine, image, _: rscovlm.caption(engine, [image]),
    "count": lambda engine, image, _: rscovlm.count(engine, image, ["ship", "storage-tank"]),
    "count in words": lambda engine, image, _: rscovlm.count(engine, image, ["large-vehicle", "bus"], how="words"),
    "answer": lambda engine, image, _: rscovlm.answer(engine, image, ["Is it dry?", "Where?"]),
    "segment": lambda engine, image, _: rscovlm.segment(engine, image, ["ship", "storage-tank"]),
    "segment in windows": lambda engine, image, _: rscovlm.segment(engine, image, expressions=["the ship"], form="polygon", tile=300, overlap=40, style="json", constrained=True),
    "change": lambda engine, image, later: rscovlm.change(engine, image, later),
    "change in windows": lambda engine, image, later: rscovlm.change(engine, image, later, ["roof"], tile=300, check_shift=False, style="json", constrained=True),
    "locate": lambda engine, image, _: rscovlm.locate(engine, [image]),
    "describe": lambda engine, image, _: describe(engine, image, TWO, batch=1),
    "describe a change": lambda engine, image, later: describe_change(engine, image, later, ONE),
    "conditions": lambda engine, image, _: solve_conditions(engine, image, "the largest ship within 200 pixels of the storage tank"),
    "describe and find": lambda engine, image, _: round_trips(engine, image, Objects(TWO, ("ship", "tank"))),
    "describe by names and find": lambda engine, image, _: round_trips(engine, image, Objects(TWO, ("ship", "")), describe_all=lambda objects: objects.labels),
    "describe and mask": lambda engine, image, _: mask_round_trips(engine, image, MASKS, describe_all=lambda objects: ["a roof", ""]),
    "describe and outline changes": lambda engine, image, later: change_round_trips(engine, image, later, MASKS, describe_all=lambda objects: ["a roof", ""]),
    "describe changes and outline them": lambda engine, image, later: change_round_trips(engine, image, later, MASKS[:1]),
}  # fmt: skip


LONG = ("detect", "detect in tiles", "segment in windows", "change in windows", "ground", "conditions")
"""Calls that are made on images too of which a tile holds one side alone."""


def _called(name: str, size: tuple[int, int] = (620, 560)) -> Any:
    found: dict[str, Any] = {}
    for number, answers in enumerate(ANSWERS):
        engine = Scripted(DIALECTS[number % 2], answers)
        try:
            result = CALLS[name](engine, *_rasters(2, size))
        except ValueError as error:
            result = _error(error)
        asked = [
            [_words(one.messages), one.grammar is not None, [_sizes(turn) for turn in one.messages]]
            for one in engine.asked
        ]
        found[str(number)] = [_shown(result), asked, engine.options, engine.batches]
    return found


def _sizes(turn: dict[str, Any]) -> list[Any]:
    blocks = turn["content"] if isinstance(turn["content"], list) else []
    return [block["image"].size for block in blocks if hasattr(block.get("image"), "size")]


def _shown(value: Any) -> Any:
    """Return a result in plain values; images and what is drawn of them are left out."""
    if isinstance(value, list | tuple):
        return [_shown(one) for one in value]
    if isinstance(value, dict):
        return {str(key): _shown(one) for key, one in value.items()}
    if isinstance(value, Boxes):
        return [value.kind, value.coords]
    if isinstance(value, PointSets):
        return value.points
    if isinstance(value, Mask):
        return value.rle()
    if is_dataclass(value) and not isinstance(value, type | Frame | ConditionPlan):
        return {one.name: _shown(getattr(value, one.name)) for one in fields(value)}
    return value if isinstance(value, str | int | float | bool | np.ndarray | np.generic) else None


LACKING: dict[str, Record] = {
    **{f"tools {tools!r}": replace(RECORDS["conversation"], extra={"tools": tools}) for tools in ("{}", "[1]", "nothing", "[]", '[{"name": "zoom"}]')},
    "a box that cannot be": replace(RECORDS["conversation"], turns=(Turn("user", "Where?"), Turn("assistant", "At {<90><80><10><20>|<0>}."))),
    "no word before the answer": replace(RECORDS["conversation"], turns=(Turn("user", "<image>"), Turn("assistant", "Yes."))),
    "an answer first": replace(RECORDS["conversation"], turns=(Turn("assistant", "Yes."), Turn("user", "Why?"))),
    "one system text": replace(RECORDS["conversation"], turns=(Turn("system", "Be brief."), Turn("user", "Is <image> dry?"), Turn("assistant", "Yes."))),
    "a place beyond the pole": replace(RECORDS["geolocation"], extra={"latitude": "91", "longitude": "10"}),
    "half a place": replace(RECORDS["geolocation"], extra={"latitude": "9", "longitude": " "}),
    "a place that is none": replace(RECORDS["geolocation"], extra={"latitude": "north", "longitude": "10"}),
    "a place without a city": replace(RECORDS["geolocation"], answer=""),
    "a city that breaks its brackets": replace(RECORDS["geolocation"], answer="Os[lo"),
    "a region outside": replace(RECORDS["zoom"], regions=((500.0, 500.0, 600.0, 600.0),)),
    "a region in a region": replace(RECORDS["zoom"], regions=((60.0, 50.0, 300.0, 300.0), (100.0, 90.0, 140.0, 130.0))),
    "a region as large as the image": replace(RECORDS["zoom"], regions=((0.0, 0.0, 448.0, 392.0),)),
    "two classes to count": replace(RECORDS["counting"], categories=("ship", "plane")),
    "no expression": replace(RECORDS["grounding"], expression=" "),
    "no object": replace(RECORDS["grounding"], objects=()),
    "a name that is not looked for": replace(RECORDS["detection"], categories=("bridge",)),
    "nothing named": replace(RECORDS["detection"], categories=(), objects=()),
    "nothing to segment": replace(RECORDS["segmentation"], objects=(), categories=("ship",)),
    "objects without outlines": replace(RECORDS["segmentation"], objects=(replace(SHIP, polygons=()),)),
    "one image": replace(RECORDS["change"], images=RECORDS["change"].images[:1], objects=()),
    "nothing changed": replace(RECORDS["change"], objects=(), captions=()),
    "images of two sizes": replace(RECORDS["change"], captions=(), images=(image_of(_picture(0)), image_of(_picture(1, (300, 200))))),
    "change without words": replace(RECORDS["change"], captions=()),
    "an object without words": replace(RECORDS["region_caption"], expression=""),
    "no object to describe": replace(RECORDS["region_caption"], objects=()),
    "conditions that nothing meets": replace(RECORDS["conditions"], objects=()),
    "a token of the model": replace(RECORDS["vqa"], question="What? <|im_end|>"),
    "half a character": replace(RECORDS["vqa"], answer="\ud800"),
    "blank answers": replace(RECORDS["vqa"], answer="  ", question=""),
    "blank captions": replace(RECORDS["caption"], captions=(" ", "")),
}  # fmt: skip


def _lacking() -> Any:
    found: dict[str, Any] = {}
    for name, record in LACKING.items():
        said: list[Any] = [problems(record)]
        for options in (OPTIONS[0], OPTIONS[2]):
            renderer = RecordRenderer(Dialect.preset("rscovlm-v1"), BUDGET, ".", RenderOptions(**options))
            try:
                sample = renderer(record, np.random.default_rng(3))
                said.append([_words(sample["messages"]), sample.get("tools")])
            except ValueError as error:
                said.append(_error(error))
        try:
            question = task_of(record.task).asks(record, Dialect.preset("rscovlm-v1"))
            said.append([question.system, question.user, question.marked])
        except ValueError as error:
            said.append(_error(error))
        found[name] = said
    return found


def _journal() -> Any:
    """Return the lines of a journal of tiles, by which an interrupted run of another version is resumed."""
    with TemporaryDirectory() as folder:
        journal = Path(folder) / "tiles.jsonl"
        rscovlm.detect(
            Scripted("rscovlm-v1", ANSWERS[0]),
            _rasters(1)[0],
            ["ship", "plane"],
            tile=300,
            constrained=True,
            journal=journal,
        )
        lines = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
    return {str(number): line for number, line in enumerate(lines)}


def _facts() -> Any:
    found: dict[str, Any] = {}
    for name, record in RECORDS.items():
        task = task_of(record.task)
        lacking = [problems(Record("1", "mine", "train", record.task)), problems(record)]
        turns = task.turns(record)
        asked: Any = None
        try:
            question = task.asks(record, Dialect.preset("rscovlm-v1"))
            asked = [question.system, question.user, question.gsd, question.marked]
        except ValueError as error:
            asked = type(error).__name__
        kept = None if turns is None else [[turn.role, turn.text] for turn in turns]
        flags = {
            key: value for key, value in vars(type(task)).items() if not key.startswith("_") and not callable(value)
        }
        found[name] = [lacking, kept, asked, task.truth(record, SIZE), task.outlines(record), flags]
    found["words"] = [
        fields_of(text, ("question", "expressions", "classes"))
        for text in ("", " plane, ship;\nlarge vehicle ,", "the ship")
    ]
    return found


SAMPLES: dict[str, Callable[[], Any]] = {
    **{f"render {name}": (lambda name=name: _rendered(name)) for name in RECORDS},  # type: ignore[misc]
    **{f"ask {name}": (lambda name=name: _asked(name)) for name in asked_tasks()},  # type: ignore[misc]
    **{f"measure {name}": (lambda name=name: _measured(name)) for name in DIALECTS[:2]},  # type: ignore[misc]
    **{f"call {name}": (lambda name=name: _called(name)) for name in CALLS},  # type: ignore[misc]
    **{
        f"call {name} on {size[0]}x{size[1]} pixels": (lambda name=name, size=size: _called(name, size))  # type: ignore[misc]
        for name in LONG
        for size in ((240, 700), (700, 240))
    },
    "lacking": _lacking,
    "journal": _journal,
    "facts": _facts,
}


def samples(name: str) -> Any:
    """Return samples as JSON has them, of 3 decimals."""
    return _plain(SAMPLES[name]())


def recorded() -> dict[str, Any]:
    """Return the samples that were recorded."""
    found: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(one) for one in value]
    if isinstance(value, float | np.floating):
        return round(float(value), 3)
    return value.item() if isinstance(value, np.generic) else value


if __name__ == "__main__":
    parts = (f"{json.dumps(name)}: {json.dumps(samples(name), ensure_ascii=False)}" for name in SAMPLES)
    FILE.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")
