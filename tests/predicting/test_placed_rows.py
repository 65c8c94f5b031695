"""One GeoJSON file has one coordinate system; what cannot be placed is named and counted."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

from rscovlm.predicting.placed_rows import write_objects
from rscovlm.rasters import open_image
from rscovlm.tasks.boxes import frame_of, frame_row

rasterio = pytest.importorskip("rasterio")
LOCAL = 'LOCAL_CS["grid",UNIT["metre",1],AXIS["Easting",EAST],AXIS["Northing",NORTH]]'
MARS = 'GEOGCS["Mars",DATUM["D_Mars",SPHEROID["Mars",3396190,169.89]],PRIMEM["0",0],UNIT["degree",0.0174532925199433]]'
GEOSTATIONARY = "+proj=geos +h=35785831 +lon_0=0 +sweep=y +ellps=WGS84"
PLACES: dict[str, tuple[Any, Any]] = {
    "utm": ("EPSG:32610", (500000, 4000000, 1, 1)),
    "degrees": ("EPSG:4326", (10, 50, 0.001, 0.001)),
    "unknown": (None, (500000, 4000000, 1, 1)),
    "pixels": (None, None),
    "engineering": (LOCAL, (650000, 6860000, 0.2, 0.2)),
    "mars": (MARS, (10, 50, 0.001, 0.001)),
    "limb": (GEOSTATIONARY, (-5.5e6, 5.5e6, 27500, 27500)),
    "metres": ("EPSG:4326", (500000, 4000000, 1, 1)),  # said to be degrees
    "european": ("EPSG:4258", (500000, 4000000, 1, 1)),
}


def _row(folder: Path, name: str) -> dict[str, Any]:
    crs, place = PLACES[name]
    path = folder / f"{name}.tif"
    options: dict[str, Any] = {"driver": "GTiff", "width": 40, "height": 40, "count": 1, "dtype": "uint8"}
    if place is not None:
        options["transform"] = rasterio.transform.from_origin(*place)
    if crs is not None:
        parse = rasterio.crs.CRS.from_proj4 if crs.startswith("+") else rasterio.crs.CRS.from_user_input
        options["crs"] = parse(crs)
    with rasterio.open(path, "w", **options) as file:
        file.write(np.zeros((1, 40, 40), "uint8"))
    frame = open_image(path).frame
    objects = [{"label": "ship", "kind": "hbb", "box": [1.0, 2.0, 11.0, 8.0]}]
    return json.loads(json.dumps({"objects": objects, "frame": frame_row(frame)}))  # type: ignore[no-any-return]


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_every_mixture_of_places_gives_one_system(tmp_path: Path) -> None:
    rows = {name: _row(tmp_path, name) for name in PLACES}
    reasons: dict[str, str] = {}
    out = tmp_path / "all.geojson"
    written, left_out = write_objects(rows, out, report=reasons.__setitem__)
    found = json.loads(out.read_text())
    assert (written, left_out) == (2, 7) and set(reasons) == set(PLACES) - {"utm", "degrees"}
    assert "--crs" in reasons["metres"] and "EPSG:4326" in reasons["metres"]
    assert set(found) == {"generator", "type", "features"}
    with rasterio.open(tmp_path / "utm.tif") as file:
        corners = [file.transform * corner for corner in ((1, 2), (11, 2), (11, 8), (1, 8))]
        xs, ys = rasterio.warp.transform(file.crs, "EPSG:4326", *map(list, zip(*corners, strict=True)))
    truth = shapely.Polygon(zip(xs, ys, strict=True))
    (shape,) = [shapely.geometry.shape(f["geometry"]) for f in found["features"] if f["properties"]["image"] == "utm"]
    assert shape.symmetric_difference(truth).area < 1e-9 * truth.area + 1e-12
    for names in (["unknown"], ["pixels", "unknown"], ["engineering", "mars"], ["limb", "pixels"]):
        some = {name: rows[name] for name in names}
        assert write_objects(some, out) == (len(names), 0)
        found = json.loads(out.read_text())
        assert "pixels" in found["coordinates"]
        for feature in found["features"]:
            assert feature["geometry"]["coordinates"][0][0] in ([1, 2], [11, 2], [11, 8], [1, 8])


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_places_between_control_points_come_back_from_a_row(tmp_path: Path) -> None:
    """Radar images are placed by points that no affine map meets."""
    path, out = tmp_path / "points.tif", tmp_path / "points.geojson"
    bent = [
        (row, column, 10 + column / 100 + (row / 40) ** 2, 50 - row / 100)
        for row in (0, 20, 40)
        for column in (0, 20, 40)
    ]
    points = [rasterio.control.GroundControlPoint(row, column, x, y) for row, column, x, y in bent]
    with rasterio.open(
        path, "w", driver="GTiff", width=40, height=40, count=1, dtype="uint8", gcps=points, crs="EPSG:4326"
    ) as file:
        file.write(np.zeros((1, 40, 40), "uint8"))
    frame = open_image(path).frame
    row = json.loads(
        json.dumps({"objects": [{"label": "a", "kind": "hbb", "box": [0, 20, 20, 40]}], "frame": frame_row(frame)})
    )
    assert frame_of(row["frame"]) == frame
    assert write_objects({"a": row}, out) == (1, 0)
    ring = json.loads(out.read_text())["features"][0]["geometry"]["coordinates"][0]
    truth = {(round(x, 6), round(y, 6)) for row, column, x, y in bent if row >= 20 and column <= 20}
    assert {
        (round(x, 6), round(y, 6)) for x, y in ring
    } >= truth  # the corners, and points where edges bend between them
