"""Objects as GeoPackage and GeoParquet, which GIS programs and data frames open."""

from __future__ import annotations

import json
import os
import sqlite3
import struct
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from rscovlm.exports.geojson import ACCURACY, accuracy_of, counter_clockwise, placed
from rscovlm.files import mark, replacing
from rscovlm.geometry import Objects
from rscovlm.geometry.affine import Floats
from rscovlm.rasters.crs import read_crs
from rscovlm.rasters.world import LONGITUDE_LATITUDE, WGS84

TABLE = "objects"
OWN = 100_000
"""Number under which a system without an EPSG code is listed in a GeoPackage."""


def to_geopackage(
    objects: Objects, path: str | os.PathLike[str], *, crs: str | None = None, overwrite: bool = False
) -> Path:
    """Write objects as polygons of the layer ``objects`` of a GeoPackage 1.3.

    Columns: label (text), score (real, empty if there is none) and, where the image was placed by control points,
    accuracy_pixels (real: the r.m.s. error to expect). Longitudes go on beyond 180 degrees.

    Args:
        objects: Labelled boxes with a frame on an image that has map coordinates.
        path: File to write, usually ``.gpkg``.
        crs: System to write; None for the image's own.
        overwrite: Replace a file that something else wrote.

    Raises:
        ValueError: The image has no map coordinates, these cannot be changed, or another file is there.
    """
    rings, wanted = _ground(objects, crs)
    with replacing(path, "geopackage", overwrite=overwrite) as part:
        connection = sqlite3.connect(part)
        try:
            with connection:
                _write_package(connection, objects, rings, wanted)
        finally:
            connection.close()
    return Path(path)


def to_geoparquet(
    objects: Objects, path: str | os.PathLike[str], *, crs: str | None = WGS84, overwrite: bool = False
) -> Path:
    """Write objects as GeoParquet 1.1 with columns geometry (WKB polygons), label and score; needs pyarrow.

    Where the image was placed by control points there is accuracy_pixels too, as in `to_geopackage`.

    Args:
        objects: Labelled boxes with a frame on an image that has map coordinates.
        path: File to write.
        crs: System to write, longitude and latitude by default; None for the image's own.
        overwrite: Replace a file that something else wrote.

    Raises:
        ValueError: pyarrow is not installed, the image has no map coordinates, these cannot be changed, or another file
            is there.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise ValueError("GeoParquet needs pyarrow: pip install rscovlm[geo]") from None
    rings, wanted = _ground(objects, crs)
    column: dict[str, Any] = {
        "encoding": "WKB",
        "geometry_types": ["Polygon"],
        "orientation": "counterclockwise",
        "bbox": _bounds(rings) if rings else [0, 0, 0, 0],
    }
    if wanted not in LONGITUDE_LATITUDE:  # absent means longitude and latitude
        column["crs"] = _projjson(wanted)
    about = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
    scores = None if objects.scores is None else objects.scores.tolist()
    columns = {
        "geometry": pa.array(_wkb(rings), type=pa.binary()),
        "label": pa.array(_labels(objects), type=pa.string()),
        "score": pa.array([None] * len(objects) if scores is None else scores, type=pa.float64()),
    }
    accuracy = accuracy_of(objects)
    if accuracy is not None:
        columns[ACCURACY] = pa.array([accuracy] * len(objects), type=pa.float64())
    table = pa.table(columns)
    with replacing(path, "geoparquet", overwrite=overwrite) as part:
        pq.write_table(table.replace_schema_metadata({"geo": json.dumps(about), "generator": mark("geoparquet")}), part)
    return Path(path)


def _labels(objects: Objects) -> list[str]:
    """Give the labels as Unicode: half a character, which a model may be made to write, becomes an escape."""
    return [label.encode("utf-8", "backslashreplace").decode("utf-8") for label in objects.labels]


def _ground(objects: Objects, crs: str | None) -> tuple[list[Floats], str]:
    """Return counter-clockwise rings, which go on beyond 180 degrees, and the name of their system."""
    rings, _, named = placed(objects, crs)
    if "coordinates" in named:
        raise ValueError(f"the objects' coordinates are {named['coordinates']}; use to_geojson or to_coco for these")
    frame = objects.boxes.frame
    wanted = crs if crs is not None or frame is None else frame.crs
    return [counter_clockwise(ring) for ring in rings], str(wanted)


def _wkb(rings: Sequence[Floats]) -> list[bytes]:
    polygons = [shapely.Polygon(ring) for ring in rings]
    return [bytes(value) for value in shapely.to_wkb(polygons, byte_order=1, output_dimension=2)]


def _bounds(rings: Sequence[Floats]) -> list[float]:
    points = np.concatenate(rings)
    return [*points.min(axis=0).tolist(), *points.max(axis=0).tolist()]


def _write_package(connection: sqlite3.Connection, objects: Objects, rings: Sequence[Floats], crs: str) -> None:
    connection.execute(f"PRAGMA application_id = {0x47504B47}")
    connection.execute("PRAGMA user_version = 10300")
    connection.executescript(SCHEMA)
    number, organisation, code, definition = _reference(crs)
    systems = {
        -1: ("Undefined Cartesian", "NONE", -1, "undefined"),
        0: ("Undefined geographic", "NONE", 0, "undefined"),
        4326: ("WGS 84", "EPSG", 4326, _reference(WGS84)[3]),
        number: (crs[:60], organisation, code, definition),
    }
    connection.executemany(
        "INSERT INTO gpkg_spatial_ref_sys (srs_name, srs_id, organization, organization_coordsys_id, definition) "
        "VALUES (?, ?, ?, ?, ?)",
        [(name, key, *rest) for key, (name, *rest) in systems.items()],
    )
    bounds = _bounds(rings) if rings else [None] * 4
    connection.execute(
        "INSERT INTO gpkg_contents VALUES (?, 'features', ?, ?, ?, ?, ?, ?, ?, ?)",
        (TABLE, TABLE, f"<{mark('geopackage')}>", f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.000Z}", *bounds, number),
    )
    connection.execute("INSERT INTO gpkg_geometry_columns VALUES (?, 'geom', 'POLYGON', ?, 0, 0)", (TABLE, number))
    scores = [None] * len(objects) if objects.scores is None else objects.scores.tolist()
    rows = [
        (_header(ring, number) + wkb, label, score)
        for ring, wkb, label, score in zip(rings, _wkb(rings), _labels(objects), scores, strict=True)
    ]
    connection.executemany(f"INSERT INTO {TABLE} (geom, label, score) VALUES (?, ?, ?)", rows)
    accuracy = accuracy_of(objects)
    if accuracy is not None:
        connection.execute(f"ALTER TABLE {TABLE} ADD COLUMN {ACCURACY} DOUBLE")
        connection.execute(f"UPDATE {TABLE} SET {ACCURACY} = ?", (accuracy,))


def _header(ring: Floats, number: int) -> bytes:
    """Return a GeoPackage geometry's header: magic, little-endian with an envelope, system, envelope."""
    (x1, y1), (x2, y2) = ring.min(axis=0), ring.max(axis=0)
    return b"GP" + struct.pack("<BBi4d", 0, 0b00000011, number, x1, x2, y1, y2)


def _reference(crs: str) -> tuple[int, str, int, str]:
    """Return number, organisation, its code and WKT of a system."""
    code = crs.upper().removeprefix("EPSG:")
    try:
        text = str(read_crs(crs).to_wkt())
    except ImportError:
        text = WGS84_WKT if crs in LONGITUDE_LATITUDE else "undefined"
    if crs in LONGITUDE_LATITUDE:
        return 4326, "EPSG", 4326, text
    if code.isdigit():
        return int(code), "EPSG", int(code), text
    return OWN, "NONE", OWN, text


def _projjson(crs: str) -> dict[str, Any]:
    try:
        described: dict[str, Any] = read_crs(crs).to_dict(projjson=True)
    except ImportError:
        raise ValueError(f"{crs[:40]} cannot be described without rasterio; install rscovlm[geo]") from None
    return described


WGS84_WKT = (
    'GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563,AUTHORITY["EPSG","7030"]],'
    'AUTHORITY["EPSG","6326"]],PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433],AUTHORITY["EPSG","4326"]]'
)

SCHEMA = f"""
CREATE TABLE gpkg_spatial_ref_sys (
  srs_name TEXT NOT NULL, srs_id INTEGER PRIMARY KEY, organization TEXT NOT NULL,
  organization_coordsys_id INTEGER NOT NULL, definition TEXT NOT NULL, description TEXT);
CREATE TABLE gpkg_contents (
  table_name TEXT NOT NULL PRIMARY KEY, data_type TEXT NOT NULL, identifier TEXT UNIQUE, description TEXT DEFAULT '',
  last_change DATETIME NOT NULL, min_x DOUBLE, min_y DOUBLE, max_x DOUBLE, max_y DOUBLE, srs_id INTEGER,
  CONSTRAINT fk_gc_r_srs_id FOREIGN KEY (srs_id) REFERENCES gpkg_spatial_ref_sys (srs_id));
CREATE TABLE gpkg_geometry_columns (
  table_name TEXT NOT NULL, column_name TEXT NOT NULL, geometry_type_name TEXT NOT NULL, srs_id INTEGER NOT NULL,
  z TINYINT NOT NULL, m TINYINT NOT NULL, CONSTRAINT pk_geom_cols PRIMARY KEY (table_name, column_name),
  CONSTRAINT fk_gc_tn FOREIGN KEY (table_name) REFERENCES gpkg_contents (table_name),
  CONSTRAINT fk_gc_srs FOREIGN KEY (srs_id) REFERENCES gpkg_spatial_ref_sys (srs_id));
CREATE TABLE {TABLE} (fid INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, geom POLYGON, label TEXT, score DOUBLE);
"""
