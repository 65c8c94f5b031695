"""Objects as GeoPackage, which GIS programs open."""

from __future__ import annotations

import os
import sqlite3
import struct
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rscovlm.exports.polygons import COLUMNS, AreaChunk, Extent, Polygons, columns_of, polygons_of
from rscovlm.files import mark, replacing
from rscovlm.geometry import Objects
from rscovlm.rasters.crs import read_crs
from rscovlm.rasters.world import LONGITUDE_LATITUDE, WGS84

GEOPACKAGE = "geopackage"
TABLE = "objects"
OWN = 100_000
"""Number under which a system without an EPSG code is listed in a GeoPackage."""

_TYPES = {str: "TEXT", float: "DOUBLE", bool: "BOOLEAN"}


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
    polygons, wanted = polygons_of(objects, crs)
    with replacing(path, GEOPACKAGE, overwrite=overwrite) as part:
        write_geopackage(part, [polygons], wanted, columns_of(objects))
    return Path(path)


def write_geopackage(
    path: Path, chunks: Iterable[Polygons | AreaChunk], crs: str, columns: Sequence[str], *, form: str = "Polygon"
) -> int:
    """Write a new GeoPackage of polygons as they come, and return how many there are.

    Args:
        path: A file that does not exist.
        chunks: The polygons, all of one form.
        crs: Their system.
        columns: Names of `COLUMNS`.
        form: ``"Polygon"`` or ``"MultiPolygon"``.
    """
    connection = sqlite3.connect(path)
    try:
        with connection:
            # What is written is a new file that takes its place when it is whole: no journal is needed to undo it.
            connection.execute("PRAGMA journal_mode = OFF")
            return _write(connection, chunks, crs, columns, form.upper())
    finally:
        connection.close()


def _write(
    connection: sqlite3.Connection,
    chunks: Iterable[Polygons | AreaChunk],
    crs: str,
    columns: Sequence[str],
    geometry: str,
) -> int:
    connection.execute(f"PRAGMA application_id = {0x47504B47}")
    connection.execute("PRAGMA user_version = 10300")
    connection.executescript(SCHEMA)
    number = _write_system(connection, crs)
    connection.execute(
        "INSERT INTO gpkg_contents VALUES (?, 'features', ?, ?, ?, NULL, NULL, NULL, NULL, ?)",
        (TABLE, TABLE, f"<{mark(GEOPACKAGE)}>", f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.000Z}", number),
    )
    connection.execute("INSERT INTO gpkg_geometry_columns VALUES (?, 'geom', ?, ?, 0, 0)", (TABLE, geometry, number))
    fields = ", ".join(f"{name} {_TYPES[COLUMNS[name]]}" for name in columns)
    connection.execute(
        f"CREATE TABLE {TABLE} (fid INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, geom {geometry}, {fields})"
    )
    command = f"INSERT INTO {TABLE} (geom, {', '.join(columns)}) VALUES (?{', ?' * len(columns)})"
    extent, count = Extent(), 0
    for chunk in chunks:
        bounds = chunk.bounds()
        extent.add(bounds)
        shapes = [_header(sides, number) + wkb for sides, wkb in zip(bounds.tolist(), chunk.wkb(), strict=True)]
        connection.executemany(command, zip(shapes, *map(chunk.column, columns), strict=True))
        count += len(chunk)
    connection.execute(
        "UPDATE gpkg_contents SET min_x = ?, min_y = ?, max_x = ?, max_y = ?", extent.sides or [None] * 4
    )
    return count


def _write_system(connection: sqlite3.Connection, crs: str) -> int:
    """List the systems that the standard wants and that of the objects; return its number."""
    number, organisation, code, definition = _reference(crs)
    systems: dict[int, tuple[Any, ...]] = {
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
    return number


def _header(sides: Sequence[float], number: int) -> bytes:
    """Return a GeoPackage geometry's header: magic, little-endian with an envelope, system, envelope."""
    x1, y1, x2, y2 = sides
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


WGS84_WKT = (
    'GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563,AUTHORITY["EPSG","7030"]],'
    'AUTHORITY["EPSG","6326"]],PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433],AUTHORITY["EPSG","4326"]]'
)

SCHEMA = """
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
"""
