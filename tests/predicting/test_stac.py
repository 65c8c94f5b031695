"""STAC items in and out: what pystac wrote is predicted on, and what comes out pystac reads."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from rscovlm.cli import app
from rscovlm.geometry import Frame
from rscovlm.predicting.stac import ASSET, read_stac
from rscovlm.scenes import make_scene, write_geotiff
from rscovlm.scenes.scene import SceneConfig

WORLD = Frame(84, 84, root_to_world=(0.5, 0, 500_000, 0, -0.5, 5_400_000), crs="EPSG:32633")
CONFIG = SceneConfig(min_objects=3, max_objects=3, classes=("plane", "ship", "tank"), texture_seed=777)
PLAIN: dict[str, Any] = {
    "type": "Feature",
    "stac_version": "1.0.0",
    "id": "tile/1",
    "geometry": None,
    "properties": {"datetime": "2026-01-01T00:00:00Z"},
    "links": [{"rel": "self", "href": "item.json"}, {"rel": "collection", "href": "../collection.json"}],
    "assets": {
        "meta": {"href": "https://example.org/meta.xml", "roles": ["metadata"]},
        "thumbnail": {"href": "./thumbnail.png", "roles": ["thumbnail"]},
        "B04": {"href": "./image.tif", "type": "image/tiff; application=geotiff", "roles": ["data"]},
    },
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    image = make_scene(3, CONFIG).image
    write_geotiff(tmp_path / "in/image.tif", WORLD, lambda *window: image.crop(window))
    image.resize((9, 9)).save(tmp_path / "in/thumbnail.png")
    (tmp_path / "in/item.json").write_text(json.dumps(PLAIN))
    return tmp_path


def _predict(folder: Path, item: Path, *more: str) -> Any:
    words = ["predict", "--stac", str(item), "--task", "detect", "--classes", "plane,ship,tank"]
    return CliRunner().invoke(app, [*words, "--out", str(folder / "rows.jsonl"), *more])


def test_an_item_is_predicted_on_and_written_with_its_objects(folder: Path) -> None:
    done = _predict(folder, folder / "in/item.json", "--stac-out", str(folder / "out"))
    assert done.exit_code == 0 and "1 STAC items" in done.output, done.output
    row = json.loads((folder / "rows.jsonl").read_text().splitlines()[-1])
    assert row["id"] == "tile/1" and row["image"].endswith("image.tif") and row["objects"]
    written = json.loads((folder / "out/tile%2F1.json").read_text())
    assert {key: written[key] for key in ("id", "geometry", "properties")} == {
        key: PLAIN[key] for key in ("id", "geometry", "properties")
    }
    # Every address leads from the new folder to where it led before; those of the net are as they were.
    hrefs = {key: one["href"] for key, one in written["assets"].items()}
    assert hrefs.pop("meta") == "https://example.org/meta.xml"
    assert all((folder / "out" / href).is_file() for href in hrefs.values()), hrefs
    found = json.loads((folder / "out" / hrefs[ASSET]).read_text())
    assert len(found["features"]) == len(row["objects"])
    links = {link["rel"]: link["href"] for link in written["links"]}
    assert links == {"collection": "../collection.json", "derived_from": "../in/item.json"}
    # What came out goes in again, by the name of its asset; without it the image with a role is found.
    again, _ = read_stac(folder / "in/item.json", "thumbnail")
    assert again.image.name == "thumbnail.png"


def test_pystac_writes_what_we_read_and_reads_what_we_write(folder: Path) -> None:
    pystac = pytest.importorskip("pystac", reason="pystac is not installed")
    ring = [[15.0, 48.7], [15.1, 48.7], [15.1, 48.8], [15.0, 48.7]]
    geometry = {"type": "Polygon", "coordinates": [ring]}
    when = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    item = pystac.Item("scene", geometry, [15.0, 48.7, 15.1, 48.8], when, {"platform": "drawn"})
    item.add_asset("visual", pystac.Asset("./image.tif", media_type=pystac.MediaType.GEOTIFF, roles=["visual"]))
    item.save_object(include_self_link=False, dest_href=str(folder / "in/by_pystac.json"))
    done = _predict(folder, folder / "in/by_pystac.json", "--stac-out", str(folder / "out"))
    assert done.exit_code == 0, done.output
    read = pystac.Item.from_file(str(folder / "out/scene.json"))
    assert read.id == "scene" and read.datetime == when and read.bbox == item.bbox
    assert Path(read.assets["visual"].get_absolute_href()).samefile(folder / "in/image.tif")
    objects = read.assets[ASSET]
    assert objects.media_type == pystac.MediaType.GEOJSON and "labels" in objects.roles
    assert json.loads(Path(objects.get_absolute_href()).read_text())["features"]
    assert Path(read.get_single_link("derived_from").get_absolute_href()).samefile(folder / "in/by_pystac.json")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"type": "Collection"}, "is no STAC item"),
        ({"assets": {}}, "no asset that is an image"),
        ({"assets": {"a": {"href": "/etc/passwd.tif"}}}, "is absolute"),
        ({"assets": {"a": {"href": "../secret.tif"}}}, "climbs out"),
        ({"assets": {"a": {"href": "https://example.org/a.tif"}}}, "URL scheme"),
        ({"assets": {"a": {"href": "/vsicurl/http://x/a.tif"}}}, "is absolute"),
        ({"id": 7}, "has no id"),
        (None, "is not JSON"),
    ],
)
def test_items_that_cannot_be_read_are_refused_before_a_model_is_loaded(
    folder: Path, changed: dict[str, Any] | None, words: str
) -> None:
    text = "{" if changed is None else json.dumps({**PLAIN, **changed})
    (folder / "in/bad.json").write_text(text)
    done = _predict(folder, folder / "in/bad.json")
    assert done.exit_code == 2 and words in done.output, done.output
    assert not (folder / "rows.jsonl").exists()


def test_options_that_do_not_fit_together_are_refused(folder: Path) -> None:
    twice = _predict(folder, folder / "in/item.json", "--stac", str(folder / "in/item.json"))
    asset = _predict(folder, folder / "in/item.json", "--stac-asset", "B08")
    task = CliRunner().invoke(app, ["predict", "--stac", str(folder / "in/item.json"), "--stac-out", str(folder / "o")])
    alone = CliRunner().invoke(app, ["predict", str(folder / "in"), "--stac-out", str(folder / "o")])
    none = CliRunner().invoke(app, ["predict"])
    for done, words in (
        (twice, "give each once"),
        (asset, "'B04'"),
        (task, "finds no objects"),
        (alone, "give --stac"),
        (none, "no image was found"),
    ):
        assert done.exit_code == 2 and words in done.output, done.output
