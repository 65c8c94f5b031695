"""Drawn pictures and map pages: what is on them, and what is not."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageColor

from rscovlm.exports import draw_objects, draw_steps, map_page
from rscovlm.exports.drawing import COLOURS, LONGEST, colours_of, ink_on
from rscovlm.geometry import Boxes, Objects
from rscovlm.rasters import open_image
from tests.rasters.files import write_tiff
from tests.rasters.test_raster import picture

HOSTILE = ("</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>", "\x1b[2J\u202eship", "a" * 500)


def test_a_box_is_drawn_where_it_lies_on_any_view() -> None:
    raster = open_image(np.zeros((400, 600, 3), dtype=np.uint8))
    objects = Objects(Boxes([[200, 100, 400, 300]], "hbb", raster.frame), ("ship",))
    colour = ImageColor.getrgb(colours_of(["ship"])["ship"])
    for view in (raster.overview(), raster.read((100, 50, 500, 350), size=(800, 600))):
        shown = np.asarray(draw_objects(view, objects, labels=False))
        x1, y1, x2, y2 = objects.to(view.frame).boxes.coords[0]
        ys, xs = np.nonzero((shown == colour).all(axis=-1))
        assert (
            abs(xs.min() - x1) <= 3 and abs(xs.max() - x2) <= 3 and abs(ys.min() - y1) <= 3 and abs(ys.max() - y2) <= 3
        )
        assert not np.asarray(view.image).any()  # the view is left as it was


def test_labels_stay_on_the_picture_and_can_be_anything() -> None:
    image = Image.new("RGB", (300, 200))
    boxes = Boxes([[0, 0, 20, 10], [280, 190, 300, 200], [-50, -50, 400, 400], [150, 100, 160, 110]], "hbb")
    assert draw_objects(image, Objects(boxes, HOSTILE, np.full(4, 0.5))).size == (300, 200)
    assert draw_objects(image, Objects.empty("hbb")).tobytes() == image.tobytes()


def test_a_long_label_is_cut_with_dots() -> None:
    image, boxes = Image.new("RGB", (4000, 200)), Boxes([[30, 60, 900, 150]], "hbb")

    def width(label: str) -> int:
        shown = np.asarray(draw_objects(image, Objects(boxes, (label,)), width=1))[:55]
        return int(shown.any(axis=(0, 2)).sum())

    assert width("a" * 500) == width("a" * (LONGEST + 1)) == width("a" * (LONGEST - 3) + "...")
    assert width("a" * LONGEST) > width("a" * 500) > 100


def test_colours_differ_and_words_can_be_read_on_them() -> None:
    labels = [f"class {k}" for k in range(len(COLOURS))]
    assert len(set(colours_of(labels).values())) == len(COLOURS)
    for colour in COLOURS:
        pair = [ImageColor.getrgb(c) for c in (colour, ink_on(colour))]
        light = [
            sum(w * ((v / 255 + 0.055) / 1.055) ** 2.4 for w, v in zip((0.2126, 0.7152, 0.0722), rgb)) for rgb in pair
        ]
        assert (max(light) + 0.05) / (min(light) + 0.05) > 4.5


def _contrast(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    """WCAG 2.2: of relative luminances, the lighter over the darker, each 0.05 more."""
    lights = []
    for colour in (one, other):
        shares = [value / 255 for value in colour]
        linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
        lights.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return (max(lights) + 0.05) / (min(lights) + 0.05)


def test_ink_is_the_one_that_contrasts_more() -> None:
    grid = [(r, g, b) for r in range(0, 256, 15) for g in range(0, 256, 15) for b in range(0, 256, 15)]
    for colour in grid:
        black, white = _contrast(colour, (0, 0, 0)), _contrast(colour, (255, 255, 255))
        assert ink_on("#{:02x}{:02x}{:02x}".format(*colour)) == ("#000000" if black > white else "#ffffff"), colour


def test_a_step_is_drawn_round_the_pixels_of_its_window() -> None:
    raster = open_image(np.zeros((300, 500, 3), dtype=np.uint8))
    for window in ((120, 50, 380, 230), (30, 110, 60, 290)):
        shown = np.asarray(draw_steps(raster.overview(), [raster.read(window)], width=1))[:300, :500]
        ys, xs = np.nonzero((shown == ImageColor.getrgb(COLOURS[0])).all(axis=-1))
        assert (xs.min(), xs.max(), ys.max()) == (window[0], window[2], window[3])
        assert ys[xs == (window[0] + window[2]) // 2].min() == window[1]  # the tag stands at the corner


def test_steps_are_drawn_with_their_pictures_beside() -> None:
    raster = open_image(picture(600, 400))
    overview = raster.overview(60_000)
    steps = [raster.read((100, 100, 300, 300)), raster.read((150, 150, 200, 250))]
    shown = draw_steps(overview, steps)
    assert shown.height == overview.image.height and shown.width > overview.image.width
    colour = ImageColor.getrgb(COLOURS[0])
    ys, xs = np.nonzero((np.asarray(shown)[:, : overview.image.width] == colour).all(axis=-1))
    assert abs(xs.min() - 50) <= 2 and abs(xs.max() - 150) <= 2 and abs(ys.max() - 150) <= 2
    assert draw_steps(overview, []).size == overview.image.size


@pytest.fixture(params=["map", "pixels"])
def page(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A page with four hostile labels and two steps."""
    if request.param == "map":
        raster = open_image(write_tiff(tmp_path / "a.tif", picture(300, 200)))
    else:
        raster = open_image(picture(300, 200))
    boxes = Boxes([[10, 10, 60, 40], [100, 50, 150, 90], [200, 100, 220, 140], [20, 120, 90, 180]], "hbb", raster.frame)
    steps = [raster.read((50, 50, 250, 150)), raster.read((100, 60, 200, 120))]
    view = raster.overview(30_000)
    objects = Objects(boxes, HOSTILE, np.array([0.9, 0.8, 0.7, 0.6]))
    return map_page(
        tmp_path / "page.html", view, objects, steps=steps, title=HOSTILE[0], question=HOSTILE[1], answer="4"
    )


def test_a_page_needs_nothing_and_runs_nothing_foreign(page: Path) -> None:
    text = html.unescape(page.read_text("utf-8"))
    raw = page.read_text("utf-8")
    assert page.stat().st_size < 2**20
    assert "default-src 'none'; img-src data:" in text and "unsafe-inline'; script-src 'sha256-" in text
    assert not re.search(r"<(script|link|img|iframe)[^>]+(src|href)=", raw)
    assert len(re.findall(r"<script", raw)) == 3 and HOSTILE[0] not in raw and HOSTILE[1] not in raw
    found = re.search(r'<script type="application/json" id="content">(.*?)</script>', raw, re.DOTALL)
    assert found is not None
    content = json.loads(found[1])
    assert [shape["label"] for shape in content["shapes"]] == list(HOSTILE)
    (south, west), (north, east) = content["bounds"]
    for shape in content["shapes"]:
        rows, columns = zip(*shape["ring"], strict=True)
        assert south <= min(rows) < max(rows) <= north and west <= min(columns) < max(columns) <= east


def test_a_page_opens_in_a_browser(page: Path, tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("chromium is not installed")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=3000", "--enable-logging=stderr"]
    done = subprocess.run(
        [browser, *options, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0
    assert done.stdout.count('<path class="leaflet-interactive"') == 2  # a window a step
    assert 'data-drawn="4"' in done.stdout  # the objects are on a canvas
    assert done.stdout.count('<label><input type="checkbox">') == 4 + 2
    assert "CONSOLE" not in done.stderr  # no error, nothing refused by the page's policy


def test_without_rasterio_a_map_is_shown_in_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raster = open_image(write_tiff(tmp_path / "a.tif", picture(300, 200)))
    view = raster.overview()
    objects = Objects(Boxes([[10, 20, 60, 40]], "hbb", raster.frame), ("ship",))
    monkeypatch.setitem(sys.modules, "rasterio", None)
    text = map_page(tmp_path / "a.html", view, objects).read_text("utf-8")
    assert '"geographic": false' in text
    assert '"ring": [[-20.0, 10.0], [-20.0, 60.0], [-40.0, 60.0], [-40.0, 10.0]]' in text
