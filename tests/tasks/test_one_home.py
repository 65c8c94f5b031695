"""What training renders is what inference sends, the grammar accepts what training writes, and reading it scores 1."""

import ast
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import rscovlm
from rscovlm.codec.dialect import Dialect, presets
from rscovlm.data.sources.dior import DIOR
from rscovlm.data.sources.fair1m import FAIR1M
from rscovlm.data.sources.labeltxt import DOTA_20, RSAR, SRSDD
from rscovlm.data.sources.meter_ml import METER_ML
from rscovlm.engines import Conversation, Reply
from rscovlm.geometry import Frame
from rscovlm.mixtures.renderer import RecordRenderer
from rscovlm.mixtures.scene_records import image_of
from rscovlm.processing import PixelBudget
from rscovlm.records import Annotation, Record
from rscovlm.records.names import TASKS
from rscovlm.tasks import RenderOptions, task_of, tasks
from rscovlm.tasks.task import Answered

SIZE = (448, 392)
BUDGET = PixelBudget(112 * 112, 1008 * 1008)
IMAGE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (SIZE[1], SIZE[0], 3), dtype=np.uint8))
CLASSES = {
    "DOTA": DOTA_20,
    "FAIR1M": FAIR1M,
    "DIOR": DIOR,
    "SRSDD": SRSDD,
    "RSAR": RSAR,
    "METER-ML": METER_ML,
    "hostile": ["Storage-Tank", "large_vehicle", "plane", "a (b)", "c++", "x.y*"],
}


# A dialect of points answers no task that returns boxes.
BOXED = [name for name in presets() if Dialect.preset(name).codec.kind != "point"]


class Trained:
    """Answers as training taught, and keeps what it was asked."""

    def __init__(self, dialect: Dialect, answer: str) -> None:
        self.dialect, self.codec, self.budget = dialect, dialect.codec, BUDGET
        self.answer = answer
        self.asked: list[Conversation] = []

    def generate(self, conversations: Iterable[Conversation], **_: Any) -> list[Reply]:
        self.asked += conversations
        return [Reply(self.answer) for _ in self.asked]


def rendered(record: Record, dialect: Dialect, **options: Any) -> dict[str, Any]:
    settings = RenderOptions(rephrase_rate=0.0, **options)
    return RecordRenderer(dialect, BUDGET, ".", settings)(record, np.random.default_rng(0))


def words(messages: Iterable[dict[str, Any]]) -> list[tuple[str, list[str]]]:
    """Return each turn's role and texts, an image block as its mark."""
    turns = []
    for turn in messages:
        content = turn["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        turns.append((turn["role"], [block.get("text", "<image>") for block in blocks]))
    return turns


def record(task: str, **fields: Any) -> Record:
    return Record("1", "mine", "train", task, (image_of(IMAGE),), **fields)


def objects(names: list[str]) -> tuple[Annotation, ...]:
    """Return one tilted box a class, none at the origin and no two alike."""
    found = []
    for place, name in enumerate(names):
        x, y = 20 + 37 * (place % 10), 15 + 53 * (place // 10)
        box = (x + 7, y, x + 30 + place % 3, y + 9, x + 24 + place % 3, y + 41, x, y + 30)
        found.append(Annotation(tuple(map(float, box)), name, "quad"))
    return tuple(found)


def check(engine: Trained, sample: dict[str, Any], task: str) -> None:
    """Hold what was sent against what is trained, and what is trained against grammar and measure."""
    *question, answer = words(sample["messages"])
    (sent,) = engine.asked
    assert words(sent.messages) == question
    assert sent.grammar is not None and re.fullmatch(sent.grammar.regex(), answer[1][0]), answer[1][0]
    truth = sample["truth"]
    seen = Frame(*SIZE).resized(*sample["images"][0].size)
    figures = task_of(task).measure([Answered(answer[1][0], answer[1][0], truth, seen)], engine.dialect)
    assert list(figures.values()) == [1.0]


@pytest.mark.parametrize("preset", BOXED)
@pytest.mark.parametrize("classes", CLASSES)
def test_detection(preset: str, classes: str) -> None:
    dialect, names = Dialect.preset(preset), list(CLASSES[classes])
    # Answers that name no class are about one.
    names = names if dialect.codec.labelled else names[:1]
    sample = rendered(record("detection", objects=objects(names), categories=tuple(names)), dialect)
    engine = Trained(dialect, sample["messages"][-1]["content"][0]["text"])
    found = rscovlm.detect(engine, IMAGE, names, constrained=True)
    check(engine, sample, "detection")
    assert sorted(found.objects.labels) == sorted(names)
    assert not found.problems


@pytest.mark.parametrize("preset", BOXED)
def test_detection_of_nothing(preset: str) -> None:
    dialect = Dialect.preset(preset)
    names = ["ship", "storage-tank"] if dialect.codec.labelled else ["ship"]
    sample = rendered(record("detection", categories=tuple(names)), dialect)
    engine = Trained(dialect, sample["messages"][-1]["content"][0]["text"])
    found = rscovlm.detect(engine, IMAGE, names, constrained=True)
    assert words(engine.asked[0].messages) == words(sample["messages"][:-1])
    assert not len(found.objects) and not found.problems


def test_what_a_dialect_cannot_answer_is_refused_by_name() -> None:
    engine = Trained(Dialect.preset("vhm"), "[0.1, 0.2, 0.3, 0.4]")
    with pytest.raises(ValueError, match="'vhm' names no class in its answers; ask for one class"):
        rscovlm.detect(engine, IMAGE, ["ship", "plane"])
    assert rscovlm.detect(engine, IMAGE, ["ship"]).objects.labels == ("ship",)
    engine = Trained(Dialect.preset("molmo"), '<point x="1.0" y="2.0" alt="ship">ship</point>')
    with pytest.raises(ValueError, match="'molmo' answers 'detect' with points"):
        rscovlm.detect(engine, IMAGE, ["ship"])
    with pytest.raises(ValueError, match="'molmo' answers 'ground' with points"):
        rscovlm.ground(engine, IMAGE, ["the ship"])


@pytest.mark.parametrize("preset", BOXED)
@pytest.mark.parametrize("expression", ["the red-roofed hangar", "storage-tank near the Dock", "plane"])
def test_grounding(preset: str, expression: str) -> None:
    dialect = Dialect.preset(preset)
    sample = rendered(record("grounding", objects=objects([""]), expression=expression), dialect)
    engine = Trained(dialect, sample["messages"][-1]["content"][0]["text"])
    (found,) = rscovlm.ground(engine, IMAGE, [expression], constrained=True)
    check(engine, sample, "grounding")
    assert found.box is not None and not found.problems


@pytest.mark.parametrize("preset", presets())
@pytest.mark.parametrize("classes", CLASSES)
def test_classification(preset: str, classes: str) -> None:
    dialect, names = Dialect.preset(preset), list(CLASSES[classes])
    made = record("classification", classes=(names[1],), categories=tuple(names))
    sample = rendered(made, dialect, offer_rate=1.0)
    engine = Trained(dialect, sample["messages"][-1]["content"][0]["text"])
    (said,) = rscovlm.classify(engine, [IMAGE], names, constrained=True)
    check(engine, sample, "classification")
    assert said.label == names[1]
    openly = rendered(made, dialect, offer_rate=0.0)
    (said,) = rscovlm.classify(again := Trained(dialect, engine.answer), [IMAGE], names, offer=False)
    assert words(again.asked[0].messages) == words(openly["messages"][:-1])
    assert said.label == names[1]


@pytest.mark.parametrize("preset", presets())
def test_words(preset: str) -> None:
    dialect = Dialect.preset(preset)
    sample = rendered(record("caption", captions=("A port.",)), dialect)
    engine = Trained(dialect, "A port.")
    (said,) = rscovlm.caption(engine, [IMAGE])
    assert said.text == "A port."
    assert words(engine.asked[0].messages) == words(sample["messages"][:-1])
    for name in DOTA_20:
        sample = rendered(record("counting", categories=(name,), answer="3"), dialect)
        counted = rscovlm.count(engine := Trained(dialect, "3"), IMAGE, [name], how="words")
        assert words(engine.asked[0].messages) == words(sample["messages"][:-1])
        assert counted.counts == {name: 3}
    sample = rendered(record("vqa", question="Is it dry?", answer="yes"), dialect)
    (result,) = rscovlm.answer(engine := Trained(dialect, "yes"), IMAGE, ["Is it dry?"], zoom=False)
    assert words(engine.asked[0].messages) == words(sample["messages"][:-1])
    assert result.answer == "yes"


@pytest.mark.parametrize("region", [(96.0, 80.0, 200.0, 180.0), (300.0, 300.0, 310.0, 304.0), (0.0, 0.0, 448.0, 392.0)])
def test_a_zoom_is_trained_as_the_chain_shows_it(region: Any) -> None:
    dialect = Dialect.preset("rscovlm-v1")
    sample = rendered(record("zoom", question="What is it?", answer="a dome", regions=(region,)), dialect)
    trained = words(sample["messages"])
    answers = iter([texts[-1] for role, texts in trained if role == "assistant"])

    class Calling(Trained):
        def generate(self, conversations: Iterable[Conversation], **_: Any) -> list[Reply]:
            self.asked += conversations
            return [Reply(next(answers))]

    engine = Calling(dialect, "")
    looks = len(sample["images"]) == 2
    (result,) = rscovlm.answer(engine, IMAGE, ["What is it?"], zoom=looks)
    assert words(engine.asked[-1].messages) == trained[:-1]
    assert result.answer == "a dome" and not result.problems
    assert looks == (region != (0.0, 0.0, 448.0, 392.0))
    if looks:
        (window,), shown = result.windows, sample["images"][1]
        assert np.abs(np.array(window) - np.array(shown.window)).max() <= 2
        assert len(set(result.views[-1].image.size)) <= 2 and shown.size == (
            result.views[-1].frame.width,
            result.views[-1].frame.height,
        )


def test_every_task_of_a_record_has_one_home() -> None:
    lacking = {
        "vqa": ["no question", "empty answer"],
        "detection": ["no categories"],
        "grounding": ["no expression", "no object"],
        "classification": ["no class"],
        "caption": ["no caption"],
        "counting": ["not one category", "empty answer"],
        "conversation": ["no answer in the conversation", "answer without a question"],
        "zoom": ["no question", "empty answer", "no region"],
        "change": ["fewer than two images"],
    }
    for name in TASKS:
        found = [lack for lacks, lack in task_of(name).needs(record(name)) if lacks]
        assert found == lacking.get(name, found)
        assert found


NAMED = {
    "codec/": "a dialect has words for the places that tasks ask from; CONTRIBUTING adds a task's place there",
    "records/names.py": "the table of tasks",
    "points/": "`count` is a step of a plan",
    "scenes/": "kinds of questions about a drawn scene, below records",
    "mixtures/scene_": "makes records of each task from drawn scenes",
    "experiments/": "the arms of an experiment",
    "synthesis/cyclic.py": "writes records of two tasks",
    "data/sources/": "the tasks that a published data set has",
    "demo/space_": "the three things that the demo's page asks for",
    "data/formats/refgeo.py": "a refGeo line is one expression for one object by definition",
}
"""Where names of tasks may be compared or listed outside `rscovlm.tasks`, and why."""


def test_nothing_is_chosen_by_the_name_of_a_task() -> None:
    """What differs between tasks is asked of the task, so that a task added by CONTRIBUTING alone works everywhere."""
    names = {*TASKS, *tasks()}
    package = Path(rscovlm.__file__).parent
    found, used = [], set()
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if name.startswith("tasks/") or not _chooses(node, names):
                continue
            excused = next((part for part in NAMED if name.startswith(part)), None)
            if excused is None:
                found.append(f"{name}:{node.lineno} {ast.unparse(node)}")  # type: ignore[attr-defined]
            else:
                used.add(excused)
    assert found == []
    assert used == set(NAMED), "a reason that excuses nothing"


def _chooses(node: ast.AST, names: set[str]) -> bool:
    """Tell whether a comparison or a `case` is with a name of a task, or a table or list holds two of them."""
    if isinstance(node, ast.Compare):
        return bool(names & {text for side in (node.left, *node.comparators) for text in _texts(side)})
    if isinstance(node, ast.MatchValue):
        return bool(names & _texts(node.value))
    if isinstance(node, ast.Dict):
        return len(names & {text for key in node.keys if key is not None for text in _texts(key)}) > 1
    return isinstance(node, (ast.Tuple, ast.List, ast.Set)) and len(names & _texts(node)) > 1


def _texts(node: ast.AST) -> set[str]:
    held = node.elts if isinstance(node, (ast.Tuple, ast.List, ast.Set)) else [node]
    return {one.value for one in held if isinstance(one, ast.Constant) and isinstance(one.value, str)}


@pytest.mark.parametrize(
    "line", ['x.task == "detection"', 'x in ("vqa", y)', '{"vqa": 1, "zoom": 2}[x]', '["vqa", "zoom"]', '"detect" != x']
)
def test_the_search_for_names_of_tasks_finds_them(line: str) -> None:
    assert any(_chooses(node, {*TASKS, *tasks()}) for node in ast.walk(ast.parse(line)))
