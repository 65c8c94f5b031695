"""Objects to and from supervision and geopandas, with the real libraries, and the style that QGIS reads."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import ImageColor

from rscovlm.exports import (
    from_geopandas,
    from_supervision,
    to_geojson,
    to_geopandas,
    to_supervision,
    write_qgis_style,
)
from rscovlm.exports.drawing import colours_of
from rscovlm.geometry import Boxes, Frame, Objects

UTM = Frame(400, 300, root_to_world=(0.5, 0.1, 500_000, 0.1, -0.5, 5_400_000), crs="EPSG:32633")


def _some(kind: str, frame: Frame | None = UTM, *, scored: bool = True) -> Objects:
    rng = np.random.default_rng(3)
    turned = np.column_stack([rng.uniform(60, 240, (20, 2)), rng.uniform(9, 60, (20, 2)), rng.uniform(-80, 80, 20)])
    boxes = Boxes(turned, "obb", frame).as_kind(kind)  # type: ignore[arg-type]
    return Objects(boxes, tuple(f"class {k % 3}" for k in range(20)), rng.random(20) if scored else None)


@pytest.mark.parametrize("kind", ["hbb", "obb", "quad"])
@pytest.mark.parametrize("scored", [True, False])
def test_supervision_gives_back_what_it_was_given(kind: str, scored: bool) -> None:
    pytest.importorskip("supervision", reason="supervision is not installed")
    given = _some(kind, scored=scored)
    back = from_supervision(to_supervision(given), UTM)
    wanted = "hbb" if kind == "hbb" else "quad"
    assert back.boxes.kind == wanted and back.labels == given.labels and back.boxes.frame == UTM
    assert np.allclose(back.boxes.coords, given.boxes.as_kind(wanted).coords, atol=1e-3)
    assert (back.scores is None) if given.scores is None else np.allclose(back.scores, given.scores)  # type: ignore[arg-type]


def test_what_supervision_filters_stays_in_step_and_numbers_want_names() -> None:
    supervision = pytest.importorskip("supervision", reason="supervision is not installed")
    given = _some("obb")
    assert given.scores is not None
    kept = from_supervision(to_supervision(given)[given.scores > 0.5], UTM)
    assert kept.labels == given[given.scores > 0.5].labels
    bare = supervision.Detections(xyxy=np.array([[1.0, 2, 3, 4]]), class_id=np.array([1]))
    assert from_supervision(bare, classes=["plane", "ship"]).labels == ("ship",)
    with pytest.raises(ValueError, match="give classes="):
        from_supervision(bare)
    assert len(from_supervision(supervision.Detections.empty(), classes=["a"])) == 0


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857", None])
def test_geopandas_gives_back_what_it_was_given(crs: str | None) -> None:
    pytest.importorskip("geopandas", reason="geopandas is not installed")
    given = _some("obb")
    table = to_geopandas(given, crs=crs)
    assert table.crs == (crs or "EPSG:32633") and list(table["label"]) == list(given.labels)
    # Its own change of system (PROJ by pyproj) agrees with ours, to a centimetre.
    there = table.to_crs("EPSG:32633").geometry.centroid
    centres = UTM.places(given.boxes.as_kind("quad").coords.reshape(-1, 4, 2).mean(axis=1))
    assert np.allclose(np.column_stack([there.x, there.y]), centres, atol=0.05)
    back = from_geopandas(table, UTM)
    assert back.scores is not None and given.scores is not None and np.allclose(back.scores, given.scores)
    found = back.boxes.coords.reshape(-1, 4, 2)
    true = given.boxes.as_kind("quad").coords.reshape(-1, 4, 2)
    gaps = np.linalg.norm(found[:, :, None] - true[:, None], axis=3)
    assert gaps.min(axis=2).max() < 0.1 and gaps.min(axis=1).max() < 0.1


def test_tables_of_geopandas_that_cannot_be_boxes_are_refused() -> None:
    geopandas = pytest.importorskip("geopandas", reason="geopandas is not installed")
    from shapely.geometry import Point, Polygon, box

    pixels = geopandas.GeoDataFrame({"name": ["a"]}, geometry=[box(1, 2, 30, 40)])
    found = from_geopandas(pixels, Frame(50, 50), label="name")
    assert sorted(found.boxes.as_kind("hbb").coords[0].tolist()) == [1, 2, 30, 40]
    with pytest.raises(ValueError, match="no column 'label'"):
        from_geopandas(pixels, UTM)
    with pytest.raises(ValueError, match="the image has none"):
        from_geopandas(pixels.set_crs("EPSG:4326"), Frame(50, 50), label="name")
    for shape, words in ((Point(1, 1), "without an area"), (Polygon(), "has no shape")):
        with pytest.raises(ValueError, match=words):
            from_geopandas(geopandas.GeoDataFrame({"label": ["a"]}, geometry=[shape]), Frame(9, 9))
    empty = to_geopandas(Objects.empty("obb", UTM))
    assert len(empty) == 0 and empty.crs == "EPSG:4326" and len(from_geopandas(empty, UTM)) == 0
    assert to_geopandas(_some("hbb", Frame(400, 300))).crs is None


def test_geopandas_reads_the_files_we_write(tmp_path: Path) -> None:
    geopandas = pytest.importorskip("geopandas", reason="geopandas is not installed")
    given = _some("obb")
    to_geojson(given, tmp_path / "found.geojson")
    table = geopandas.read_file(tmp_path / "found.geojson")
    assert table.geom_equals_exact(to_geopandas(given), tolerance=1e-9).all()


def test_a_style_names_each_class_in_the_colour_of_our_drawings(tmp_path: Path) -> None:
    labels = ["plane", "ship & boat", "<tank>", "plane"]
    path = write_qgis_style(tmp_path / "found.qml", labels)
    root = ElementTree.parse(path).getroot()
    renderer = root.find("renderer-v2")
    assert renderer is not None and renderer.attrib["attr"] == "label"
    classes = {one.attrib["symbol"]: one.attrib["value"] for one in renderer.iter("category")}
    assert sorted(classes.values()) == sorted(set(labels))
    for symbol in renderer.iter("symbol"):
        options = {one.get("name"): one.get("value") for one in symbol.iter("Option")}
        colour = ImageColor.getrgb(colours_of(labels)[classes[symbol.attrib["name"]]])
        assert options["outline_color"] == ",".join(map(str, (*colour, 255)))
    write_qgis_style(path, ["plane"])
    assert len(re.findall("<category ", path.read_text(encoding="utf-8"))) == 1
    path.write_text("mine")
    with pytest.raises(ValueError, match="was not written by rscovlm"):
        write_qgis_style(path, ["plane"])
