"""Whatever coordinate system or file comes, no error of GDAL, PROJ or rasterio leaves the package as such."""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rscovlm.exports import map_page, to_geojson
from rscovlm.exports.geopackage import to_geopackage
from rscovlm.exports.geoparquet import to_geoparquet
from rscovlm.geometry import Boxes, Frame, Objects
from rscovlm.rasters import RasterError, open_image
from tests.rasters.files import write_tiff

rasterio = pytest.importorskip("rasterio")
pytestmark = pytest.mark.filterwarnings("ignore")

SPHERE = 'GEOGCS["{0}",DATUM["D_{0}",SPHEROID["{0}",{1},0]],PRIMEM["0",0],UNIT["degree",0.0174532925199433]]'
UNNAMED = (
    'PROJCS["unnamed",GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563]],PRIMEM["Greenwich",0],'
    'UNIT["degree",0.0174532925199433]],PROJECTION["Of_My_Own"],UNIT["metre",1]]'
)
ODD = (
    'LOCAL_CS["RGF93 v1 / Lambert-93",UNIT["metre",1],AXIS["Easting",EAST],AXIS["Northing",NORTH]]',
    'ENGCRS["site",EDATUM["site"],CS[Cartesian,2],AXIS["x",east],AXIS["y",north],LENGTHUNIT["metre",1]]',
    'VERT_CS["heights",VERT_DATUM["heights",2005],UNIT["metre",1],AXIS["Up",UP]]',
    SPHERE.format("Mars", 3396190),
    SPHERE.format("Moon", 1737400),
    SPHERE.format("Pebble", 0.001),
    SPHERE.format("Nothing", 0),
    UNNAMED,
    "+proj=geos +h=35785831 +lon_0=0 +sweep=y +ellps=WGS84",
    "+proj=ortho +lat_0=80 +lon_0=0 +ellps=WGS84",
    "+proj=gnom +lat_0=90 +lon_0=0 +ellps=WGS84",
    "+proj=nsper +h=3000000 +lat_0=-20 +lon_0=145",
    "+proj=ob_tran +o_proj=longlat +o_lon_p=0 +o_lat_p=30 +lon_0=0",
    "+proj=tmerc +lon_0=0 +k=1e-300",
    "+proj=utm +zone=61",
    "+proj=merc +nadgrids=absent.gsb",
    "+proj=pipeline +step +proj=merc",
    "EPSG:4978",
    "EPSG:5773",
    "EPSG:9518",
    "EPSG:0",
    "EPSG:999999999999999999999",
    "ESRI:54030",
    "IAU_2015:49900",
    "OGC:CRS84",
    "urn:ogc:def:crs:EPSG::32633",
    'PROJCS["cut short',
    "not a system",
    "",
    " ",
    "{}",
    '{"type": "GeographicCRS"}',
    "a\0b",
    "\ud800",
    "EPSG:" + "9" * 5000,
    "(" * 5000,
)
PLACES = (
    (1.0, 0.0, 500000.0, 0.0, -1.0, 4000000.0),
    (27500.0, 0, -5.5e6, 0, -27500.0, 5.5e6),
    (1e150, 0, 0, 0, -1e150, 0),
)


def _ours(call: Callable[[], object], what: str) -> None:
    try:
        call()
    except ValueError as error:
        assert type(error).__module__.partition(".")[0] != "rasterio", f"{what}: {error!r}"
        assert str(error).strip(), what


def _entries(frame: Frame, view: Any, folder: Path, crs: str) -> Iterator[tuple[str, Callable[[], object]]]:
    found = Objects(Boxes([[1, 1, 20, 20], [30, 30, 39, 39]], "hbb", frame), ("a", "b"))
    yield "geojson", lambda: to_geojson(found)
    yield "own geojson", lambda: to_geojson(found, crs=None)
    for target in (None, "EPSG:4326"):
        yield f"geopackage in {target}", lambda t=target: to_geopackage(found, folder / "a.gpkg", crs=t)  # type: ignore[misc]
        yield f"geoparquet in {target}", lambda t=target: to_geoparquet(found, folder / "a.parquet", crs=t)  # type: ignore[misc]
    if view is not None:
        yield "map", lambda: map_page(folder / "a.html", view, found)
        yield "map of nothing", lambda: map_page(folder / "b.html", view)


@pytest.mark.parametrize("crs", ODD, ids=lambda crs: repr(crs)[:24])
def test_odd_systems_end_in_our_errors(crs: str, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    good = Frame(40, 40, root_to_world=PLACES[0], crs="EPSG:32610")
    _ours(lambda: to_geojson(Objects(Boxes([[1, 1, 9, 9]], "hbb", good), ("a",)), crs=crs), "target")
    plain = open_image(np.zeros((40, 40, 3), np.uint8))
    for place in PLACES[1:]:
        stated = Frame(40, 40, root_to_world=place, crs=crs)
        for name, call in _entries(stated, None, tmp_path, crs):
            _ours(call, f"{name}, {place[0]}")
    _ours(lambda: open_image(np.zeros((40, 40, 3), np.uint8), crs=crs), "open_image(crs=...)")
    assert plain.width == 40


@pytest.mark.parametrize("crs", ODD[:21], ids=lambda crs: repr(crs)[:24])
def test_files_with_odd_systems(crs: str, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    path = tmp_path / "a.tif"
    options = {"driver": "GTiff", "width": 40, "height": 40, "count": 3, "dtype": "uint8"}
    try:
        parse = rasterio.crs.CRS.from_proj4 if crs.startswith("+") else rasterio.crs.CRS.from_user_input
        system = parse(crs)
    except (rasterio.errors.CRSError, rasterio._err.CPLE_BaseError):
        pytest.skip("rasterio does not take it")
    for place in PLACES[:2]:
        try:
            with rasterio.open(path, "w", transform=rasterio.Affine(*place), crs=system, **options) as file:
                file.write(np.full((3, 40, 40), 90, "uint8"))
        except (rasterio.errors.RasterioError, rasterio._err.CPLE_BaseError):
            pytest.skip("rasterio does not write it")
        image = open_image(path)
        for name, call in _entries(image.frame, image.overview(), tmp_path, crs):
            _ours(call, f"{name}, {place[0]}")


def test_every_use_of_rasterio_translates() -> None:
    """A function that imports from rasterio does so to look whether it is there, or calls it inside `translated`."""
    package = Path(__file__).parents[2] / "rscovlm"
    bare = []
    for path in sorted(package.rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        users = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and _imports(node)]
        assert not any(_imports(node) for node in tree.body if not isinstance(node, ast.FunctionDef | ast.ClassDef)), (
            path
        )
        for function in users:
            inside = "with translated(" in ast.unparse(function)
            # The reader opens and reads in `_environment`, which is `translated`.
            if not inside and (path.name, function.name) not in NO_CALLS:
                bare.append(f"{path.relative_to(package)}: {function.name}")
    assert not bare, bare


NO_CALLS = {
    ("gdal.py", "available"),
    ("gdal.py", "__init__"),
    ("gdal.py", "_open"),
    ("gdal_facts.py", "has_mask"),
    ("gdal_errors.py", "translated"),
}


def _imports(node: ast.AST) -> bool:
    return any(
        (isinstance(part, ast.ImportFrom) and (part.module or "").partition(".")[0] in ("rasterio", "pyproj", "osgeo"))
        or (
            isinstance(part, ast.Import) and any(a.name.partition(".")[0] in ("rasterio", "pyproj") for a in part.names)
        )
        for part in ast.walk(node)
    )


@pytest.mark.parametrize("end", [120, 200, 300, 600, 3000])
def test_a_picture_in_memory_is_called_what_the_caller_knows_it_by(end: int, tmp_path: Path) -> None:
    """GDAL gives it a file name of its own, which means nothing to anybody."""
    pixels = np.random.default_rng(0).integers(0, 255, (100, 90, 3)).astype(np.uint8)
    data = write_tiff(
        tmp_path / "a.tif", pixels, compress="deflate", tiled=True, blockxsize=64, blockysize=64
    ).read_bytes()
    with pytest.raises(RasterError, match="^bytes") as found:
        open_image(data[:end], backend="rasterio").read((0, 0, 90, 100))
    words = str(found.value)
    assert "vsimem" not in words and not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}", words), words
