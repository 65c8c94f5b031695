"""The demo runs on a user's own image, and its report holds what it says."""

import json
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from rscovlm.cli import app
from rscovlm.demo.job import _places
from rscovlm.demo.report import Figure, ReportedConversation, Story, loss_curve, write_report
from rscovlm.geometry import Boxes, Frame, Objects
from rscovlm.rasters import open_image
from rscovlm.scenes import make_zoom_scene, write_geotiff
from rscovlm.tasks import Detections


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


def test_a_demo_on_an_own_image_writes_all_it_promises(tmp_path: Path) -> None:
    scene = make_zoom_scene(11, 336)
    frame = Frame(336, 336, root_to_world=(0.5, 0.0, 600_000.0, 0.0, -0.5, 5_300_000.0), crs="EPSG:32632")
    own = write_geotiff(tmp_path / "own.tif", frame, lambda x1, y1, x2, y2: scene.image.crop((x1, y1, x2, y2)))
    out = tmp_path / "demo"
    done = CliRunner().invoke(app, ["demo", "--image", str(own), "--out", str(out), "--seconds", "1"])
    assert done.exit_code == 0, done.output
    assert "before  after  trivial" in done.output
    assert {"report.html", "objects.geojson", "objects.png", "zoom.png", "checkpoint"} <= {
        p.name for p in out.iterdir()
    }
    assert (out / "checkpoint" / "model.safetensors").is_file()
    for feature in json.loads((out / "objects.geojson").read_text(encoding="utf-8"))["features"]:
        for longitude, latitude in feature["geometry"]["coordinates"][0]:
            assert 10.33 < longitude < 10.35
            assert 47.84 < latitude < 47.85
    text = (out / "report.html").read_text(encoding="utf-8")
    page = _Page()
    page.feed(text)
    assert not page.open
    assert page.sources
    assert all(source.startswith("data:image/") for source in page.sources)
    assert "objects on 336 x 336 pixels" in text


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
        "A <b>title</b>", "lead", talks=[ReportedConversation(image, [("assistant", "<script>alert(1)</script>")])]
    )
    story.zooming = [Figure(image, 'a "caption"')]
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
    rows, named = _places(found)
    assert named == columns and len(rows) == 1
    story = Story("A title", "lead", detection=[Figure(Image.new("RGB", (9, 9)), "found")], objects=rows)
    story.coordinates = named
    write_report(story, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert f"<h2>Objects, in {'pixels' if place is None else 'map coordinates'}</h2>" in text


def test_the_curve_falls_where_the_loss_falls() -> None:
    curve = loss_curve([(10.0, 4.0), (20.0, 2.0), (30.0, 1.0)])
    assert curve is not None
    heights = [float(y) for y in re.findall(r",([\d.]+)", curve.points)]
    assert heights == [10.0, 130.0, 190.0]
    assert loss_curve([(1.0, 1.0)]) is None


@pytest.mark.parametrize("arguments", [["--seconds", "0"], ["--secnds", "3"]])
def test_wrong_arguments_are_refused(arguments: list[str]) -> None:
    assert CliRunner().invoke(app, ["demo", *arguments]).exit_code == 2
