"""TEOChatlas: questions about series of images, asked as training renders them."""

from pathlib import Path

import numpy as np
import pytest

from rscovlm.benchmarks.answers import merged_rows
from rscovlm.benchmarks.evaluation import BenchmarkRun, evaluate
from rscovlm.benchmarks.items import load_items
from rscovlm.benchmarks.scoring import score_folder
from rscovlm.benchmarks.suite import load_suite
from rscovlm.codec.dialect import Dialect
from rscovlm.processing.resolution import PixelBudget
from rscovlm.records import Annotation, Record, Turn
from rscovlm.tasks.options import RenderOptions
from rscovlm.tasks.table import task_of
from rscovlm.tasks.task import Draw, Shown
from tests.benchmarks.test_caption_scores import Telling
from tests.data.sources.layouts import chat, picture, text


def test_series_from_the_published_layout_to_figures(tmp_path: Path) -> None:
    pair = [picture(tmp_path, f"teochatlas/eval/x/{k}.png", 40, 30) for k in range(2)]
    pair = [path.removeprefix("teochatlas/") for path in pair]
    asked = "This is a pair of satellite images: <video>\nWhich class is it? Answer with one word."
    row = {
        "id": "1",
        "video": pair,
        "timestamp": ["2017-01-02", "2018-03-04"],
        "conversations": chat(asked, "Airport."),
    }
    text(tmp_path, "teochatlas/eval/fMoW_High_Res.json", [row, row | {"conversations": chat(asked, "Port")}])
    single = {"id": "2", "video": pair[:1], "conversations": chat("<video>\nIs it rural?", "No")}
    text(tmp_path, "teochatlas/eval/AID.json", [single])
    text(tmp_path, "teochatlas/eval/ABCD.json", [row | {"conversations": chat(asked, "Yes")}])
    text(tmp_path, "teochatlas/eval/CDVQA.json", [row | {"conversations": chat(asked, "no")}])
    suite = load_suite("teochatlas")
    items = load_items(suite, tmp_path)
    engine = Telling(["airport"])
    evaluate(engine, BenchmarkRun(suite), items, tmp_path / "out", batch=1)
    rows = {row["item"]: row for row in merged_rows(tmp_path / "out", "teochatlas.as-is")}
    assert len(rows) == 5 and sum(row["truth"]["answer"] == "Airport." for row in rows.values()) == 1
    (score,) = score_folder(tmp_path / "out", repeats=0)
    values = {figure.name: figure.value for figure in score.figures if figure.rule == "teochat"}
    assert values == {"fMoW RGB": 0.5, "ABCD": 0.0, "CDVQA": 0.0, "AID": 0.0}
    # Images stand where the text has them, as in training.
    content = engine.asked[0].messages[-1]["content"]
    assert [part["type"] for part in content] == ["text", "image", "image", "text"]
    assert content[0]["text"].strip() == "This is a pair of satellite images:"
    bare = Telling(["airport"])
    evaluate(bare, BenchmarkRun(suite, control="no-image"), items, tmp_path / "out", batch=1)
    assert {part["type"] for one in bare.asked for part in one.messages[-1]["content"]} == {"text"}


@pytest.mark.parametrize("asked", ["Pair:<image><image>What?", "<image>One?", "First <image> then\n<image>", "No mark"])
def test_what_is_asked_is_what_training_renders(asked: str) -> None:
    marks = asked.count("<image>")
    turns = (Turn("system", "Be short."), Turn("user", asked), Turn("assistant", "Yes"))
    record = Record("1", "teochatlas-fmow", "eval", "conversation", (), turns=turns)
    dialect = Dialect.preset("rscovlm-v1")
    draw = Draw(dialect, RenderOptions(), np.random.default_rng(0))
    trained = task_of("conversation").example(record, Shown((), (), PixelBudget()), draw).messages
    found = task_of("conversation").asks(record, dialect).messages([None] * marks)
    assert [one["role"] for one in found] == [one["role"] for one in trained[:2]]
    assert found[1]["content"] == trained[1]["content"]


@pytest.mark.parametrize(
    "turns",
    [
        (Turn("user", "a"), Turn("assistant", "b"), Turn("user", "c"), Turn("assistant", "d")),
        (Turn("user", "where is <box:0>?"), Turn("assistant", "b")),
        (Turn("user", "where?"), Turn("assistant", "<box:0>")),
    ],
)
def test_more_than_one_question_is_not_asked(turns: tuple[Turn, ...]) -> None:
    boxes = (Annotation((1, 2, 3, 4), "", "hbb"),)
    record = Record("7", "teochatlas-fmow", "eval", "conversation", (), turns=turns, objects=boxes)
    with pytest.raises(ValueError, match="record '7' is no single question"):
        task_of("conversation").asks(record, Dialect.preset("rscovlm-v1"))
