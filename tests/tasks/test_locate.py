"""Places from a record to training text, from an answer to a row, and from rows to a map."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import rscovlm
from rscovlm.codec.dialect import Dialect, presets
from rscovlm.codec.wording import PAPER_MARKS
from rscovlm.data.sources import convert
from rscovlm.engines import Conversation, Reply
from rscovlm.mixtures.renderer import RecordRenderer
from rscovlm.predicting.items import Item
from rscovlm.predicting.latest_rows import LatestRows
from rscovlm.predicting.placed_rows import write_objects
from rscovlm.predicting.prediction import DefaultQuestion, predict
from rscovlm.processing import PixelBudget
from rscovlm.records import Record, Tally
from rscovlm.tasks import RenderOptions, task_of
from rscovlm.tasks.task import Answered
from tests.tasks.test_one_home import IMAGE, Trained, record, rendered, words

PLACE = {"latitude": "30.2741", "longitude": "120.1551"}


@pytest.mark.parametrize("preset", presets())
@pytest.mark.parametrize("city", ["Hangzhou", ""])
def test_training_asks_what_inference_asks_and_is_read_back(preset: str, city: str) -> None:
    dialect = Dialect.preset(preset)
    sample = rendered(record("geolocation", answer=city, extra=PLACE), dialect)
    answer = sample["messages"][-1]["content"][0]["text"]
    assert answer == ("[Hangzhou, (30.2741, 120.1551)]" if city else "[(30.2741, 120.1551)]")
    (found,) = rscovlm.locate(engine := Trained(dialect, answer), [IMAGE], city=bool(city))
    assert words(engine.asked[0].messages) == words(sample["messages"][:-1])
    assert (found.city, found.coordinates, found.problems) == (city, (30.2741, 120.1551), {})
    figures = task_of("geolocation").measure([Answered(answer, answer), Answered("no idea", answer)], dialect)
    assert next(iter(figures)) == "within_200km" and set(figures.values()) == {0.5}


def test_the_papers_notation_is_switched_on_in_the_dialect() -> None:
    plain = Dialect.preset("rscovlm-v1")
    marked = Dialect.from_dict({"name": "mine", "wording": {"marks": True}})
    sample = rendered(record("geolocation", answer="Hangzhou", extra=PLACE), marked)
    asked = sample["messages"][0]["content"][-1]["text"]
    assert asked == f"[geoloc] {plain.ask('locate').user}"
    rscovlm.locate(engine := Trained(marked, ""), [IMAGE])
    assert words(engine.asked[0].messages) == words(sample["messages"][:-1])
    assert Dialect.from_dict(marked.to_dict()) == marked and marked.wording.marks == PAPER_MARKS
    own = Dialect.from_dict({"name": "mine", "wording": {"marks": {"locate": "<where>"}}})
    assert own.ask("locate").user.startswith("<where> ") and own.ask("caption") == plain.ask("caption")
    assert plain.with_wording(own.wording).ask("locate") == own.ask("locate")


@pytest.mark.parametrize(
    ("marks", "reason"),
    [
        ({"lokate": "[x]"}, "did you mean 'locate'"),
        ({"locate": ""}, "give a text"),
        ("[x]", "give true for the paper's"),
    ],
)
def test_marks_that_mean_nothing_are_refused(marks: object, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Dialect.from_dict({"name": "mine", "wording": {"marks": marks}})


@pytest.mark.parametrize(
    ("extra", "reason"),
    [
        ({}, "no coordinates"),
        ({"latitude": "3"}, "no coordinates"),
        ({"latitude": "90.5", "longitude": "3"}, "coordinates out of range"),
        ({"latitude": "north", "longitude": "3"}, "coordinates out of range"),
        ({"latitude": "nan", "longitude": "3"}, "coordinates out of range"),
        ({"latitude": "3", "longitude": "400"}, "coordinates out of range"),
    ],
)
def test_records_without_a_place_are_counted_by_reason(extra: dict[str, str], reason: str) -> None:
    made = record("geolocation", extra=extra)
    assert [why for lacks, why in task_of("geolocation").needs(made) if lacks] == [reason]
    with pytest.raises(ValueError, match=reason):
        rendered(made, Dialect.preset("rscovlm-v1"))


def _geotiff(path: Path, *, crs: str | None, corner: tuple[float, float], step: float) -> None:
    rasterio = pytest.importorskip("rasterio")
    path.parent.mkdir(parents=True, exist_ok=True)
    where = {"crs": crs, "transform": rasterio.Affine(step, 0, corner[0], 0, -step, corner[1])} if crs else {}
    with rasterio.open(path, "w", driver="GTiff", width=60, height=40, count=3, dtype="uint8", **where) as file:
        file.write(np.full((3, 40, 60), 90, np.uint8))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    _geotiff(tmp_path / "train/utm.tif", crs="EPSG:32651", corner=(221_000, 3_353_500), step=10)
    _geotiff(tmp_path / "train/deep/degrees.tif", crs="EPSG:4326", corner=(179.9, -16.9), step=0.005)
    _geotiff(tmp_path / "train/nowhere.tif", crs=None, corner=(0, 0), step=1)
    _geotiff(tmp_path / "train/metres_called_degrees.tif", crs="EPSG:4326", corner=(5e5, 5e6), step=1)
    (tmp_path / "cities.csv").write_text(
        "name,latitude,longitude\nHangzhou,30.2741,120.1551\nNingbo,29.87,121.55\nbad,x,1\nfar,95,1\n,1,1\nshort\n",
        encoding="utf-8",
    )
    return tmp_path


def test_records_from_geotiffs_of_any_system(folder: Path) -> None:
    transform = pytest.importorskip("rasterio.warp").transform
    tally = Tally(1.0)
    rows = {row.id.rpartition("/")[2]: row for row in convert("georeferenced", folder, tally=tally)}
    assert set(rows) == {"utm.tif", "degrees.tif"}
    (longitude,), (latitude,) = transform("EPSG:32651", "EPSG:4326", [221_300], [3_353_300])
    assert float(rows["utm.tif"].extra["latitude"]) == pytest.approx(latitude, abs=1e-6)
    assert float(rows["utm.tif"].extra["longitude"]) == pytest.approx(longitude, abs=1e-6)
    assert rows["utm.tif"].answer == "Hangzhou"
    # The middle lies beyond the 180th meridian, and no city is near.
    assert float(rows["degrees.tif"].extra["longitude"]) == pytest.approx(-179.95)
    assert rows["degrees.tif"].answer == ""
    assert tally.dropped == {"no map coordinates": 1, "coordinates out of range": 1, "malformed city": 4}
    for row in rows.values():
        sample = RecordRenderer(Dialect.preset("rscovlm-v1"), PixelBudget(), folder, RenderOptions(rephrase_rate=0))(
            row, np.random.default_rng(0)
        )
        assert sample["messages"][-1]["content"][0]["text"].startswith("[")


class Guide:
    """Answers each image by its size."""

    def __init__(self, answers: dict[tuple[int, int], str]) -> None:
        self.dialect = Dialect.preset("rscovlm-v1")
        self.codec, self.budget, self.answers = self.dialect.codec, PixelBudget(), answers

    def generate(self, conversations: Iterable[Conversation], **_: Any) -> list[Reply]:
        return [Reply(self.answers[one.images()[0].size]) for one in conversations]


def test_rows_hold_the_answer_the_true_place_and_the_distance(folder: Path, tmp_path: Path) -> None:
    Image.new("RGB", (112, 112)).save(folder / "plain.png")
    seen = {(60, 40): "[Hangzhou, (30.3, 120.1)]", (112, 112): "I cannot tell."}
    names = {"utm": "train/utm.tif", "plain": "plain.png", "odd": "train/metres_called_degrees.tif"}
    items = [Item(name, folder / file) for name, file in names.items()]
    engine = Guide(seen)
    counts = predict(engine, items, DefaultQuestion("locate"), tmp_path / "out.jsonl")
    assert counts["errors"] == 0
    rows = LatestRows(tmp_path / "out.jsonl")
    assert (rows["utm"]["city"], rows["utm"]["latitude"], rows["utm"]["longitude"]) == ("Hangzhou", 30.3, 120.1)
    assert 0 < rows["utm"]["error_km"] < 30 and rows["utm"]["true_longitude"] == pytest.approx(120.1, abs=0.05)
    assert rows["plain"]["latitude"] is None and rows["plain"]["problems"] == {"no_coordinates": 1}
    assert "error_km" not in rows["plain"] and "no longitude and latitude" in rows["odd"]["unplaced"]
    reasons: list[tuple[str, str]] = []
    written = write_objects(rows, tmp_path / "map.geojson", report=lambda *given: reasons.append(given))
    assert written == (2, 1) and reasons == [("plain", "its answer holds no coordinates")]
    content = json.loads((tmp_path / "map.geojson").read_text())
    assert [one["geometry"] for one in content["features"]] == [{"type": "Point", "coordinates": [120.1, 30.3]}] * 2
    assert [one["properties"]["city"] for one in content["features"]] == ["Hangzhou"] * 2
    (tmp_path / "map.geojson").unlink()
    assert write_objects({"plain": rows["plain"]}, tmp_path / "map.geojson", report=lambda *_: None) == (0, 0)


def test_a_record_is_the_same_after_its_json() -> None:
    made = record("geolocation", answer="Hangzhou", extra=PLACE)
    assert Record.from_json(made.to_json()) == made
