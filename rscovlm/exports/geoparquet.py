"""Objects as GeoParquet, which GIS programs and data frames open."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rscovlm.exports.polygons import COLUMNS, AreaChunk, Extent, Polygons, columns_of, polygons_of, projjson
from rscovlm.files import mark, replacing
from rscovlm.geometry import Objects
from rscovlm.rasters.world import LONGITUDE_LATITUDE, WGS84

GEOPARQUET = "geoparquet"

GROUP = 65_536
"""Objects of a row group, at least, but for the last one."""


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
    check_pyarrow()
    polygons, wanted = polygons_of(objects, crs)
    with replacing(path, GEOPARQUET, overwrite=overwrite) as part:
        write_geoparquet(part, [polygons], wanted, columns_of(objects))
    return Path(path)


def check_pyarrow() -> None:
    """Refuse to begin where pyarrow is missing.

    Raises:
        ValueError: It is not installed.
    """
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        raise ValueError("GeoParquet needs pyarrow: pip install rscovlm[geo]") from None


def write_geoparquet(
    path: Path, chunks: Iterable[Polygons | AreaChunk], crs: str, columns: Sequence[str], *, form: str = "Polygon"
) -> int:
    """Write a new GeoParquet file of polygons as they come, and return how many there are; needs pyarrow.

    Args:
        path: A file that does not exist.
        chunks: The polygons, all of one form.
        crs: Their system.
        columns: Names of `COLUMNS`.
        form: ``"Polygon"`` or ``"MultiPolygon"``.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {str: pa.string(), float: pa.float64(), bool: pa.bool_()}
    schema = pa.schema({"geometry": pa.binary(), **{name: types[COLUMNS[name]] for name in columns}})
    column: dict[str, Any] = {"encoding": "WKB", "geometry_types": [form], "orientation": "counterclockwise"}
    if crs not in LONGITUDE_LATITUDE:  # absent means longitude and latitude
        column["crs"] = projjson(crs)
    extent, count = Extent(), 0
    waiting: list[Any] = []
    # With Arrow's own schema stored too, readers would take the metadata from there, which is written first.
    with pq.ParquetWriter(path, schema, store_schema=False) as writer:
        for chunk in chunks:
            extent.add(chunk.bounds())
            values = {"geometry": chunk.wkb(), **{name: chunk.column(name) for name in columns}}
            waiting.append(pa.record_batch(values, schema=schema))
            count += len(chunk)
            if sum(map(len, waiting)) >= GROUP:
                writer.write_table(pa.Table.from_batches(waiting))
                waiting = []
        writer.write_table(pa.Table.from_batches(waiting, schema=schema))
        # The bounds are known at the end only; the metadata stand there too.
        column["bbox"] = extent.sides or [0, 0, 0, 0]
        about = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
        writer.add_key_value_metadata({"geo": json.dumps(about), "generator": mark(GEOPARQUET)})
    return count
