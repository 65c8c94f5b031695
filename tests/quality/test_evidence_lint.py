"""Questions that do not need their region are found, with an engine that reads pixels, hostile ones, and the embedded model."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from rscovlm.cli import app
from rscovlm.data.storage import write_records
from rscovlm.engines import Reply
from rscovlm.quality.evidence_lint import CHANGED, evidence_of, lint_evidence
from rscovlm.quality.findings import Report
from rscovlm.quality.lint_page import write_page
from rscovlm.quality.lint_pictures import draw_worst
from rscovlm.records.record import ImageRef, Record
from rscovlm.scenes import make_zoom_scene
from tests.zoom.eye import Eye, land
from tests.zoom.scripted import Scripted

COLOUR = "What colour is the square?"
HOLDS = (690.0, 390.0, 722.0, 422.0)
"""Around the square at (700, 400)."""


def saved(folder: Path, name: str, squares: Iterable[tuple[str, int, int]]) -> ImageRef:
    picture = land(3, list(squares))
    picture.save(folder / name)
    return ImageRef(name, width=picture.width, height=picture.height)


def asked(number: int, image: ImageRef, answer: str, *regions: tuple[float, float, float, float]) -> Record:
    return Record(str(number), "made", "train", "zoom", (image,), question=COLOUR, answer=answer, regions=regions)


def linted(records: Iterable[Record], folder: Path, engine: object) -> Report:
    report = Report()
    lint_evidence(records, folder, engine, report, batch=3)  # type: ignore[arg-type]
    return report


def test_each_kind_of_question_is_counted_for_what_it_is(tmp_path: Path) -> None:
    one = saved(tmp_path, "one.png", [("blue", 700, 400)])
    two = saved(tmp_path, "two.png", [("blue", 700, 400), ("blue", 760, 400)])
    records = [
        asked(0, one, "blue", HOLDS),
        asked(1, one, "blue", (600, 300, 800, 500), HOLDS),  # a region in a region: the inner one is hidden
        asked(2, two, "blue", (690, 390, 722, 422), (750, 390, 782, 422)),  # both are hidden
        asked(3, two, "blue", (640, 340, 840, 480)),  # one region with both
        asked(4, one, "blue", (100, 100, 140, 140)),  # another place
        asked(5, one, "red", HOLDS),
        asked(6, one, "blue"),
        asked(7, one, "blue", (5000, 5000, 6000, 6000)),
        asked(8, ImageRef("gone.png", width=9, height=9), "blue", HOLDS),
        Record("9", "made", "train", "zoom", (one, two), question=COLOUR, answer="blue", regions=(HOLDS,)),
        Record("10", "made", "train", "classification", (one,), classes=("port",)),
    ]
    report = linted(records, tmp_path, Eye())
    assert dict(report.evidence) == {
        CHANGED: 4,
        "wrong evidence": 2,
        "no region": 2,
        "no region on the image": 1,
        "no readable image": 1,
        "2 images": 1,
    }
    assert report.evidence.total() == len(records)
    assert {one.place.rsplit("/", 1)[1] for one in report.worst("wrong evidence")} == {"4", "5", "7"}
    assert report.worst("unreadable image")[0].place == "made/train/8" and not report.counts["idle evidence"]
    assert "'blue' with its region" in report.worst("wrong evidence")[1].detail


def test_only_one_of_two_squares_hidden_leaves_the_answer(tmp_path: Path) -> None:
    two = saved(tmp_path, "two.png", [("blue", 700, 400), ("blue", 715, 400)])
    # The window around the first square shows the second, too.
    report = linted([asked(0, two, "blue", (700, 400, 712, 412))], tmp_path, Eye())
    assert dict(report.evidence) == {"idle evidence": 1}
    assert [item.box for item in report.worst("idle evidence")[0].boxes] == [(700, 400, 712, 412)]
    pictures = draw_worst(report, tmp_path, tmp_path / "out")
    assert [path.name for path in pictures] == ["idle-evidence-1.png"]
    write_page(report, tmp_path, tmp_path / "out" / "lint.html")
    page = (tmp_path / "out" / "lint.html").read_text(encoding="utf-8")
    assert "Questions with their region hidden: idle evidence 1." in page
    assert report.to_dict()["evidence"] == {"idle evidence": 1}


@pytest.mark.parametrize("saying", ["blue", "", "blue" * 5000, "<tool_call>{}</tool_call>", "\x00", "None"])
def test_an_engine_that_always_says_one_thing_depends_on_nothing(saying: str, tmp_path: Path) -> None:
    one = saved(tmp_path, "one.png", [("blue", 700, 400)])
    report = linted([asked(0, one, "blue", HOLDS)], tmp_path, Scripted(lambda *_: Reply(saying)))
    assert report.evidence[CHANGED] == 0 and report.evidence.total() == 1
    assert bool(report.counts["idle evidence"]) == (saying == "blue")


@pytest.mark.parametrize(
    ("hidden", "what"), [("A", "idle evidence"), ("(A) blue", "idle evidence"), ("The answer is B.", CHANGED)]
)
def test_choices_are_compared_by_what_they_mean(hidden: str, what: str, tmp_path: Path) -> None:
    one = saved(tmp_path, "one.png", [("blue", 700, 400)])
    record = Record(
        "1", "made", "train", "zoom", (one,), question=COLOUR, answer="A", choices=("blue", "red"), regions=(HOLDS,)
    )
    given = iter(["The answer is A.", hidden])
    engine = Scripted(lambda *_: Reply(next(given)))
    assert dict(linted([record], tmp_path, engine).evidence) == {what: 1}
    assert "(B) red" in str(engine.asked[0][0].messages)


def test_the_inner_of_regions_that_lie_in_one_another_is_the_evidence() -> None:
    record = Record("1", "made", "train", "zoom", regions=((0, 0, 50, 50), (10, 10, 40, 40), (20, 20, 30, 30)))
    assert evidence_of(record) == ((20, 20, 30, 30),)


def test_the_command_lists_what_the_embedded_model_answers_without_its_region(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    rng = np.random.default_rng(11)
    records = []
    for number in range(14):
        scene = make_zoom_scene(rng, mixed=0)
        scene.image.save(tmp_path / f"{number}.png")
        image = ImageRef(f"{number}.png", width=336, height=336)
        # The last two name ground without the pad: nothing that is hidden there changes the answer.
        x, y = (float(side > 168) * -200 + 210.0 for side in scene.pad.centre)
        region = tuple(float(v) for v in scene.pad.crop) if number < 12 else (x, y, x + 60, y + 60)
        records.append(
            Record(
                str(number), "made", "train", "zoom", (image,), question=scene.question, answer=scene.answer,
                regions=(region,),  # type: ignore[arg-type]
            )
        )  # fmt: skip
    write_records(records, tmp_path / "records.jsonl")
    arguments = ["data", "lint", str(tmp_path / "records.jsonl"), "--root", str(tmp_path), "--no-crops", "--evidence"]
    done = CliRunner().invoke(app, [*arguments, "--model", "embedded", "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "out" / "lint.json").read_text(encoding="utf-8"))
    suspect = found["evidence"].get("idle evidence", 0) + found["evidence"].get("wrong evidence", 0)
    # Without its region a question is answered by one of four markings, the same one in a quarter of the cases.
    assert found["evidence"][CHANGED] >= 7 and suspect >= 2
    assert sum(found["evidence"].values()) == 14
    assert "evidence: the answer changes" in done.output


@pytest.mark.parametrize(
    ("options", "complaint"), [(["--evidence"], "--root"), (["--model", "embedded"], "--evidence")]
)
def test_options_that_mean_nothing_are_refused(options: list[str], complaint: str, tmp_path: Path) -> None:
    write_records([Record("1", "made", "train", "zoom")], tmp_path / "records.jsonl")
    done = CliRunner().invoke(app, ["data", "lint", str(tmp_path / "records.jsonl"), *options])
    assert done.exit_code == 2 and complaint in done.output
