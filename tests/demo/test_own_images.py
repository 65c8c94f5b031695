"""Every sentence of the demo's page holds for whatever image a user brings: the kinds of images, and engines of known answers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rscovlm.codec import Codec
from rscovlm.codec.dialect import Dialect
from rscovlm.demo.job import DemoRun, _ask, _large_image, _search, _story
from rscovlm.demo.report import write_report
from rscovlm.demo.tuning import Tuned
from rscovlm.engines import Conversation, Reply
from rscovlm.experiments.embedded import budget
from tests.demo.test_demo import parsed, words

CALL = '<tool_call>\n{"name": "image_zoom_in", "arguments": {"bbox": [20, 20, 40, 40]}}\n</tool_call>'


class Finder:
    """Finds a ship in every seventh tile, asks for one closer look, and counts what it is asked."""

    def __init__(self, *, finds: bool = True, call: str = CALL) -> None:
        self.codec, self.dialect, self.budget = Codec.preset("rscovlm-v1"), Dialect.preset("rscovlm-v1"), budget()
        self.finds, self.call, self.tiles = finds, call, 0

    def generate(self, conversations: Sequence[Conversation], **_: Any) -> list[Reply]:
        return [self._reply(str(one.messages[-1]["content"])) for one in conversations]

    def _reply(self, asked: str) -> Reply:
        if "find the" in asked:
            self.tiles += 1
            found = self.finds and self.tiles % 7 == 1
            return Reply("10,10,40,10,40,20,10,20 ship\n" if found else "There are none.")
        return Reply(self.call if "Zoom in" in asked else "two")


def picture(height: int, width: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8))


def tiff(path: Path, shape: tuple[int, int, int], kind: str, **place: Any) -> None:
    import rasterio

    bands, height, width = shape
    values = np.random.default_rng(0).integers(1, 4000, shape).astype(kind)
    profile = {"driver": "GTiff", "count": bands, "height": height, "width": width, "dtype": kind}
    with rasterio.open(path, "w", **profile, **place) as file:
        file.write(values)


def place(crs: str | None = "EPSG:32632") -> dict[str, Any]:
    from rasterio.transform import from_origin

    return {"crs": crs, "transform": from_origin(500_000, 5_000_000, 10, 10)}


def turned(path: Path) -> None:
    exif = Image.Exif()
    exif[0x112] = 6
    picture(200, 300).save(path, exif=exif)


# What is made, its width and height as shown, and what the columns of its objects are.
KINDS: dict[str, tuple[Callable[[Path], None], tuple[int, int], tuple[str, str]]] = {
    "photograph.jpg": (lambda path: picture(200, 300).save(path), (300, 200), ("x, pixels", "y, pixels")),
    "turned.jpg": (turned, (200, 300), ("x, pixels", "y, pixels")),
    "grey.png": (lambda path: picture(200, 300).convert("L").save(path), (300, 200), ("x, pixels", "y, pixels")),
    "dot.png": (lambda path: picture(1, 1).save(path), (1, 1), ("x, pixels", "y, pixels")),
    "tile.png": (lambda path: picture(84, 84).save(path), (84, 84), ("x, pixels", "y, pixels")),
    "slim.png": (lambda path: picture(9, 900).save(path), (900, 9), ("x, pixels", "y, pixels")),
    "large.jpg": (lambda path: picture(1700, 2541).save(path), (2541, 1700), ("x, pixels", "y, pixels")),
    "map.tif": (lambda path: tiff(path, (1, 200, 300), "uint16", **place()), (300, 200), ("longitude", "latitude")),
    "bands.tif": (lambda path: tiff(path, (5, 200, 300), "float32", **place()), (300, 200), ("longitude", "latitude")),
    "nowhere.tif": (lambda path: tiff(path, (3, 200, 300), "uint8"), (300, 200), ("x, pixels", "y, pixels")),
    "units.tif": (
        lambda path: tiff(path, (3, 200, 300), "uint8", **place(None)),
        (300, 200),
        ("x, map units", "y, map units"),
    ),
}


def page(path: Path, engine: Finder, folder: Path, question: str = "How many ships?") -> tuple[str, list[str]]:
    """Run what the demo does with an image, and return the words of its page and of the terminal."""
    lines: list[str] = []
    run = DemoRun(folder, 0, lines.append)
    large = _large_image(run, path, question)
    zoomed = _ask(run, engine, large)  # type: ignore[arg-type]
    search = _search(run, engine, large)  # type: ignore[arg-type]
    write_report(
        _story(run, large, [], Tuned([], 2, 32, {"all": 1.0}, 700_000), zoomed, search), folder / "report.html"
    )
    return words(parsed(folder / "report.html")[0]), lines


@pytest.mark.parametrize("name", KINDS)
def test_a_page_is_true_of_its_image(name: str, tmp_path: Path) -> None:
    make, (width, height), columns = KINDS[name]
    if name.endswith(".tif"):
        pytest.importorskip("rasterio", reason="rasterio is not installed")
    make(tmp_path / name)
    engine = Finder()
    text, lines = page(tmp_path / name, engine, tmp_path / "demo")
    features = json.loads((tmp_path / "demo" / "objects.geojson").read_text(encoding="utf-8"))["features"]
    noun = "object" if len(features) == 1 else "objects"
    assert f"{len(features):,} {noun} on {width} x {height} pixels." in text
    assert f"{len(features):,} {noun}" in " ".join(lines)
    assert f"The whole image, {width} x {height} pixels;" in text
    assert ("map coordinates" in text) == (columns[0] != "x, pixels")
    if features:
        assert f"{columns[0]} {columns[1]} ship" in text
        middles = f"The middles of the first {min(len(features), 8)} objects" if len(features) > 1 else "The middle of"
        assert middles in text
    tiles = re.search(r"cut into (\d+) overlapping tiles of up to (\d+) x (\d+) pixels", text)
    assert (engine.tiles == 1) == (tiles is None) == ("The image is one tile" in text)
    if tiles is not None:
        assert int(tiles[1]) == engine.tiles
        assert int(tiles[2]) <= width and int(tiles[3]) <= height and int(tiles[1]) <= 400
    looked = "Window 1, read again from the file" in text
    assert looked == ("with a closer look two" in text) == ("the numbered region is the one" in text)
    assert looked == (min(width, height) > 1)
    for wrong in ("0.00 M", "precision:", "recall:", "large scene", "in a minute", "shrunk", "full resolution"):
        assert wrong not in text, wrong
    assert "they are guesses" in text and "What it cannot: anything with a real picture." in text


@pytest.mark.parametrize(
    ("call", "words_of_it"),
    [("two", "without a closer look, it asked for none"), (CALL.replace("40]", "40"), "its calls were refused")],
)
def test_an_answer_without_a_closer_look_is_named_so(call: str, words_of_it: str, tmp_path: Path) -> None:
    picture(200, 300).save(tmp_path / "own.png")
    text, _ = page(tmp_path / "own.png", Finder(call=call), tmp_path / "demo")
    assert words_of_it in text and "with a closer look" not in text and "numbered" not in text


def test_an_image_in_which_nothing_is_found_shows_no_boxes(tmp_path: Path) -> None:
    picture(200, 300).save(tmp_path / "own.png")
    text, _ = page(tmp_path / "own.png", Finder(finds=False), tmp_path / "demo", "")
    assert "The miniature finds no planes, ships, tanks or courts." in text and "The boxes are" not in text
    assert "Looking twice" not in text and "middle" not in text
