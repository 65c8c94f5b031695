"""The map page with many objects, opened in a browser: all are drawn, one is found under a click, the picture fits the view."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rscovlm.exports import map_page
from rscovlm.geometry import Boxes, Frame, Objects
from rscovlm.rasters.view import View
from tests.metrics.scenes import rectangles

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
SIDE = 4000

# Opens the page in a frame of a width (windows of a browser without a screen are at least 500 pixels wide) and asks it.
ASKING = """<body style="margin:0"><iframe id="page" src="page.html" style="border:0;width:WIDTHpx;height:800px"></iframe>
<pre id="found"></pre><script>
document.getElementById("page").addEventListener("load", () => setTimeout(() => {
  const page = document.getElementById("page").contentDocument;
  const side = (name) => { const {left, right, top, bottom} = page.querySelector(name).getBoundingClientRect();
    return {left, right, top, bottom}; };
  const canvas = page.querySelector("canvas");
  const picture = side("img.leaflet-image-layer"), found = {picture, map: side("#map"), drawn: +canvas.dataset.drawn};
  found.inked = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.filter((v, k) => k % 4 == 3 && v).length;
  found.cards = POINTS.map(([x, y]) => {
    const place = {clientX: picture.left + x * (picture.right - picture.left),
                   clientY: picture.top + y * (picture.bottom - picture.top), bubbles: true};
    page.querySelectorAll(".leaflet-popup").forEach((one) => one.remove());
    page.querySelector("#map").dispatchEvent(new page.defaultView.MouseEvent("click", place));
    const card = page.querySelectorAll(".leaflet-popup-content");
    return card.length ? card[card.length - 1].innerText : "";
  });
  const boxes = page.querySelectorAll("#layers input");
  found.switches = boxes.length;
  boxes[0].click();
  found.left = +canvas.dataset.drawn;
  document.getElementById("found").textContent = JSON.stringify(found);
}, 500));
</script></body>"""


def _asked(folder: Path, width: int, points: list[tuple[float, float]]) -> dict[str, Any]:
    if BROWSER is None:
        pytest.skip("chromium is not installed")
    (folder / "asking.html").write_text(
        ASKING.replace("WIDTH", str(width)).replace("POINTS", json.dumps(points)), encoding="utf-8"
    )
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000", "--enable-logging=stderr"]
    options += ["--allow-file-access-from-files", f"--window-size={max(width, 500)},800"]
    command = [BROWSER, *options, f"--user-data-dir={folder / 'profile'}", "--dump-dom"]
    done = subprocess.run(
        [*command, (folder / "asking.html").as_uri()], capture_output=True, text=True, timeout=240, check=True
    )
    assert "CONSOLE" not in done.stderr, done.stderr
    found = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found is not None and found[1]
    answer: dict[str, Any] = json.loads(html.unescape(found[1]))
    return answer


@pytest.mark.parametrize(("width", "count", "placed"), [(1280, 100_000, False), (400, 300, False), (400, 300, True)])
def test_objects_are_drawn_and_found_and_the_picture_fits(width: int, count: int, placed: bool, tmp_path: Path) -> None:
    rng = np.random.default_rng(count)
    if placed:
        pytest.importorskip("rasterio")
    world = (0.5, 0.0, 500_000.0, 0.0, -0.5, 4_000_000.0) if placed else None
    frame = Frame(SIDE, SIDE, root_to_world=world, crs="EPSG:32633" if placed else None)
    # A corner is left free, and one object there is inside another.
    free = 0.75 * SIDE
    centres = rng.uniform(0, free - 80, (count - 2, 2))
    quads = rectangles(centres, rng.uniform(5, 60, (count - 2, 2)), rng.uniform(-1.5, 1.5, count - 2))
    around, inner = np.array([[3200.0, 3200, 3800, 3800]]), np.array([[3300.0, 3300, 3400, 3400]])
    boxes = np.concatenate([Boxes(np.concatenate([around, inner]), "hbb").as_kind("quad").coords, quads])
    labels = ("harbour", "<b>ship</b>", *(f"class {number % 230}" for number in range(count - 2)))
    objects = Objects(Boxes(boxes, "quad", frame), labels, np.linspace(0, 1, count))
    view = View(Image.new("RGB", (400, 400), "#405060"), frame.resized(400, 400))
    map_page(tmp_path / "page.html", view, objects)
    points = [(x / SIDE, y / SIDE) for x, y in ((3350, 3350), (3700, 3700), (3900, 3100))]
    found = _asked(tmp_path, width, points)
    assert found["drawn"] == count and found["inked"] > 1000
    inner_card, outer_card, nothing = found["cards"]
    assert inner_card.startswith("<b>ship</b>\nscore ") and outer_card.startswith("harbour\nscore 0") and not nothing
    # 230 classes and two more: 200 switches and one for the rest; the first is of the most frequent label.
    assert found["switches"] == 201
    assert found["left"] == count - max(labels.count(label) for label in set(labels))
    picture, shown = found["picture"], found["map"]
    assert picture["left"] >= shown["left"] and picture["right"] <= shown["right"] <= width
    assert picture["top"] >= shown["top"] and picture["bottom"] <= shown["bottom"]
    # It fills the view along one side at least, but for a step of the zoom.
    used = max((picture[b] - picture[a]) / (shown[b] - shown[a]) for a, b in (("left", "right"), ("top", "bottom")))
    assert used > 0.8
