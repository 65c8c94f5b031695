"""The demo runs on a user's own image, and what its report says is so."""

import html
import json
import re
import time
from collections import Counter
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.main import get_command
from typer.testing import CliRunner

from rscovlm.cli import app
from rscovlm.codec import Codec
from rscovlm.codec.dialect import Dialect
from rscovlm.demo import real, searching, talks
from rscovlm.demo.job import run_demo
from rscovlm.demo.report import Figure, ReportedConversation, ReportedSearch, Story, loss_curve, write_report
from rscovlm.demo.scores import measure
from rscovlm.demo.searching import places
from rscovlm.demo.tuning import STEPS, demo_rows, tune
from rscovlm.demo.zooming import READ, legibility_note, legible, scene_config
from rscovlm.engines.engine import Reply
from rscovlm.experiments.embedded import budget
from rscovlm.experiments.embedded_tiles import MARKING, WORN
from rscovlm.geometry import Boxes, Frame, Objects
from rscovlm.geometry.window import Window
from rscovlm.loading import load
from rscovlm.rasters import open_image
from rscovlm.scenes import GLYPHS, LayoutConfig, SceneLayout
from rscovlm.tasks import Detections
from tests.evidence import evidence


class _Page(HTMLParser):
    """Collects what a page loads and whether its tags close."""

    def __init__(self) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sources += [value or "" for name, value in attrs if name == "src"]
        if tag not in ("meta", "img", "line", "polyline", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def parsed(path: Path) -> tuple[str, _Page]:
    """Read a report, and hold that it is whole and loads nothing."""
    text = path.read_text(encoding="utf-8")
    page = _Page()
    page.feed(text)
    assert not page.open
    assert page.sources
    assert all(source.startswith("data:image/") for source in page.sources)
    return text, page


def words(text: str) -> str:
    """What a reader reads: no tags, blanks run together."""
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<style>.*?</style>|<[^>]+>", " ", text, flags=re.DOTALL)))


@pytest.fixture
def fewer_scenes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure on a few scenes: the figures are not looked at."""
    monkeypatch.setattr("rscovlm.demo.job.measure", partial(measure, count=4))


@pytest.mark.usefixtures("fewer_scenes")
def test_a_demo_on_a_real_geotiff_writes_all_it_promises(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    own = evidence("images/neon.tif")
    arguments = [
        "demo",
        "--image",
        str(own),
        "--out",
        str(out),
        "--steps",
        "2",
        "--question",
        "How many planes are there?",
    ]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "before  after  trivial" in done.output
    assert "fine-tuning step 2 of 2" in done.stderr
    files = {path.name for path in out.iterdir()}
    assert files == {"report.html", "objects.geojson", "objects.png", "zoom.png", "checkpoint", "real_tile.html"}
    assert (out / "checkpoint" / "model.safetensors").is_file()
    for feature in json.loads((out / "objects.geojson").read_text(encoding="utf-8"))["features"]:
        for longitude, latitude in feature["geometry"]["coordinates"][0]:
            assert -82 < longitude < -81.9
            assert 29.6 < latitude < 29.8
    text = words(parsed(out / "report.html")[0])
    assert "objects on 400 x 400 pixels" in text and "Objects, in map coordinates" in text
    assert "How many planes are there?" in text and "400 x 400 pixels; " in text
    _no_wrong_word_about_an_own_image(text)


@pytest.mark.usefixtures("fewer_scenes")
def test_a_demo_on_a_photograph_says_nothing_that_is_not_so(tmp_path: Path, photograph: Path) -> None:
    small = tmp_path / "photograph.jpg"
    with Image.open(photograph) as picture:
        picture.crop((0, 0, 500, 300)).save(small)
    lines: list[str] = []
    report = run_demo(tmp_path / "demo", image=small, steps=2, say=lines.append)
    text = words(parsed(report)[0])
    assert "Objects, in pixels" in text and "500 x 300 pixels" in text
    # Nobody asked anything, so nothing was looked at twice.
    assert "Looking twice" not in text and "white pad" not in text and "closer look" not in lines[-1]
    assert not (tmp_path / "demo" / "zoom.png").exists()
    _no_wrong_word_about_an_own_image(text)


def _no_wrong_word_about_an_own_image(text: str) -> None:
    own, _, real = text.partition("A real tile, through the same machinery")
    for wrong in ("precision:", "recall:", "large scene", "67 million", "true What", "far too"):
        assert wrong not in own, wrong
    assert "On any other picture they are guesses" in own or "on any other picture they are guesses" in own
    assert "What it cannot: anything with a real picture." in own
    assert "CC0 1.0" in real and "(c) 2019 Ben Weinstein, MIT" in real and "EPSG:32617" in real
    assert "never trained on a real picture" in real


def test_steps_decide_what_is_learnt_and_a_slow_machine_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = []
    for slow in (False, True):
        model, processor = load("embedded", device="cpu")
        torch.manual_seed(3)
        seen: list[tuple[int, int]] = []

        def watch(done: int, total: int, loss: float | None, slow: bool = slow, seen: list[Any] = seen) -> None:
            seen.append((done, total))
            time.sleep(0.3 if slow else 0)

        tuned = tune(model, processor, tmp_path / str(slow), steps=3, seed=5, progress=watch)
        rows = demo_rows(processor, seed=5, steps=3)
        assert (tuned.steps, tuned.samples) == (3, sum(len(rows[row]["samples"]) for row in range(3)))
        assert seen == [(1, 3), (2, 3), (3, 3)]
        weights.append({name: value.clone() for name, value in model.state_dict().items()})
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


def test_the_command_takes_the_steps_of_the_job() -> None:
    (option,) = (option for option in get_command(app).commands["demo"].params if option.name == "steps")  # type: ignore[attr-defined]
    assert option.default == STEPS


def test_the_pad_of_the_demo_cannot_be_read_in_its_overview() -> None:
    counts = [legible((84, 84), seed) for seed in range(3)]
    # Three standard deviations of guessing.
    assert abs(sum(counts) / (3 * READ) - 1 / len(GLYPHS)) < 3 * (0.25 * 0.75 / (3 * READ)) ** 0.5
    assert f"names {counts[0]} of {READ}" in legibility_note((84, 84), 0)
    assert (scene_config().marking, scene_config().worn) == (MARKING, WORN)


class Oracle:
    """Answers every question as a given list says."""

    def __init__(self, replies: list[str]) -> None:
        self.codec, self.dialect, self.budget = Codec.preset("rscovlm-v1"), Dialect.preset("rscovlm-v1"), budget()
        self.replies = iter(replies)

    def generate(self, conversations: Any, **_: Any) -> list[Reply]:
        return [Reply(next(self.replies)) for _ in conversations]


def test_right_answers_are_marked_right_and_wrong_ones_wrong(tmp_path: Path) -> None:
    blank = talks.hold(Oracle(["There are none.", "0,0,5,5", "a car park"] * 2), 0)
    assert [talk.right for talk in blank] == [False] * 6
    assert all(talk.truth and talk.truth != talk.assistant for talk in blank)
    truths = talks.hold(Oracle([talk.truth for talk in blank]), 0)
    assert [talk.right for talk in truths] == [True] * 6
    write_report(Story("A title", "lead", talks=[blank[0], truths[0], blank[1]]), tmp_path / "report.html")
    text = words(parsed(tmp_path / "report.html")[0])
    assert text.count("✗ wrong") == 2 and text.count("✓ right") == 1 and "1 of 3 are right" in text


def test_the_part_is_held_against_its_truth() -> None:
    layout = SceneLayout(0, LayoutConfig(2048, 2048))
    window = searching.liveliest(layout)
    frame = Frame(searching.PART, searching.PART)
    wanted = [thing for thing in layout.objects if thing.label in searching.classes()]
    quads = np.stack([thing.quad - np.array(window[:2]) for thing in wanted])
    inside = np.array([bool(((quad >= 0) & (quad <= searching.PART)).all()) for quad in quads])
    labels = tuple(thing.label for thing, kept in zip(wanted, inside, strict=True) if kept)
    assert len(labels) > 5
    truth = Objects(Boxes(quads[inside].reshape(-1, 8), "quad", frame), labels)
    whole = searching.held_against(truth, layout, window)
    assert (whole.precision, whole.recall) == (1.0, 1.0)
    most = searching.held_against(truth[np.arange(1, len(truth))], layout, window)
    assert most.recall == pytest.approx(1 - 1 / len(truth)) and most.precision == 1.0
    rows = searching.by_class(most)
    assert rows[-1] == ("all", len(truth) - 1, 1, 0)
    assert np.array([row[1:] for row in rows[:-1]]).sum(axis=0).tolist() == list(rows[-1][1:])


def test_the_real_tile_is_told_for_what_it_is(tmp_path: Path) -> None:
    engine = Oracle(["harbour"] + ["There are none."] * 400)
    none = real.look(engine, tmp_path / "map.html")  # type: ignore[arg-type]
    assert none.answer == "harbour" and "it finds no object" in none.text[1]
    assert none.figures[0].image.size == (84, 84)
    engine = Oracle(["harbour", "10,10,40,10,40,40,10,40 ship\n"] + ["There are none."] * 400)
    one = real.look(engine, tmp_path / "map.html")  # type: ignore[arg-type]
    assert (
        "the one object it finds is false" in one.text[1] and "1 ship. None of it is there." in one.figures[2].caption
    )
    assert (
        "EPSG" in (tmp_path / "map.html").read_text(encoding="utf-8") or (tmp_path / "map.html").stat().st_size > 10_000
    )


def test_an_image_that_cannot_be_read_ends_with_its_name(tmp_path: Path) -> None:
    broken = tmp_path / "broken.tif"
    broken.write_bytes(b"II*\0 and nothing more")
    done = CliRunner().invoke(app, ["demo", "--image", str(broken), "--out", str(tmp_path / "demo")])
    assert done.exit_code == 2
    assert "broken.tif" in done.output
    assert not (tmp_path / "demo").exists()


def test_text_of_a_model_is_shown_as_text(tmp_path: Path) -> None:
    image = Image.new("RGB", (84, 84), "green")
    story = Story(
        "A <b>title</b>",
        "lead",
        talks=[ReportedConversation(image, "What?", "<script>alert(1)</script>", False, "<i>")],
    )
    story.question, story.zooming = "Which?", [Figure(image, 'a "caption"')]
    write_report(story, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "A &lt;b&gt;title" in text


@pytest.mark.parametrize(
    ("place", "crs", "columns"),
    [
        (None, None, ("x, pixels", "y, pixels")),
        (None, "EPSG:32632", ("x, pixels", "y, pixels")),
        ((1.0, 0.0, 5.0, 0.0, -1.0, 9.0), None, ("x, map units", "y, map units")),
        ((0.1, 0.0, 178.0, 0.0, -0.1, 9.0), "EPSG:4326", ("longitude", "latitude")),
    ],
)
def test_objects_stand_in_what_their_heading_says(
    place: Any, crs: str | None, columns: tuple[str, str], tmp_path: Path
) -> None:
    frame = Frame(84, 84, root_to_world=place, crs=crs)
    objects = Objects(Boxes([[10, 10, 50, 40]], "hbb", frame), ("ship",))
    found = Detections(objects, frame, Counter(), 0, (), open_image(Image.new("RGB", (84, 84))))
    rows, named = places(found)
    assert named == columns and len(rows) == 1
    figures = [Figure(Image.new("RGB", (9, 9)), "found")]
    story = Story("A title", "lead", search=ReportedSearch(figures, objects=rows, coordinates=named))
    write_report(story, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert f"<h2>Objects, in {'pixels' if place is None else 'map coordinates'}</h2>" in text


def test_the_curve_falls_where_the_loss_falls() -> None:
    curve = loss_curve([(10.0, 4.0), (20.0, 2.0), (30.0, 1.0)])
    assert curve is not None
    heights = [float(y) for y in re.findall(r",([\d.]+)", curve.points)]
    assert heights == [10.0, 130.0, 190.0]
    assert loss_curve([(1.0, 1.0)]) is None


@pytest.mark.parametrize("arguments", [["--steps", "0"], ["--stepps", "3"]])
def test_wrong_arguments_are_refused(arguments: list[str]) -> None:
    assert CliRunner().invoke(app, ["demo", *arguments]).exit_code == 2


def test_what_is_seen_of_a_cut_object_is_no_false_box() -> None:
    layout = SceneLayout(0, LayoutConfig(2048, 2048))
    thing = next(thing for thing in layout.objects if thing.label in searching.classes())
    x, y = (int(value) for value in thing.centre)
    window = Window(x, y - searching.PART // 2, x + searching.PART, y + searching.PART // 2)
    seen = np.clip(thing.quad - np.array(window[:2]), 0, searching.PART).reshape(1, 8)
    frame = Frame(searching.PART, searching.PART)
    held = searching.held_against(Objects(Boxes(seen, "quad", frame), (thing.label,)), layout, window)
    assert not held.false and not held.matched
