"""Mosaics that a VRT describes hold what GDAL reads through the same VRT."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from rscovlm.rasters import RasterError, open_image
from rscovlm.rasters.digests import content
from rscovlm.rasters.opening import Backend
from tests.rasters.files import write_tiff
from tests.rasters.test_raster import picture

rasterio = pytest.importorskip("rasterio")


def same(valid: NDArray[np.bool_] | None, expected: NDArray[np.bool_]) -> bool:
    """Tell whether a view marks as valid what is expected."""
    return valid is not None and np.array_equal(valid, expected)


ALL: tuple[Backend, ...] = ("rasterio", "plain")
SRS = '<SRS dataAxisToSRSAxisMapping="1,2">EPSG:32633</SRS><GeoTransform>400000,0.5,0,5000000,0,-0.5</GeoTransform>'


def source(name: str, band: int | str, src: tuple[float, ...], dst: tuple[float, ...], more: str = "") -> str:
    kind = "ComplexSource" if more else "SimpleSource"
    boxes = [
        f'<{tag} xOff="{x}" yOff="{y}" xSize="{w}" ySize="{h}"/>'
        for tag, (x, y, w, h) in (("SrcRect", src), ("DstRect", dst))
    ]
    return (
        f'<{kind}><SourceFilename relativeToVRT="1">{name}</SourceFilename><SourceBand>{band}</SourceBand>'
        f"{boxes[0]}{boxes[1]}{more}</{kind}>"
    )


def vrt(path: Path, width: int, height: int, *bands: str, dtype: str = "Byte", more: str = SRS, head: str = "") -> Path:
    written = "".join(
        f'<VRTRasterBand dataType="{dtype}" band="{k}">{head}{band}</VRTRasterBand>' for k, band in enumerate(bands, 1)
    )
    path.write_text(f'<VRTDataset rasterXSize="{width}" rasterYSize="{height}">{more}{written}</VRTDataset>')
    return path


def stored(path: Path, band: int = 0) -> NDArray[Any]:
    """Return a band of a mosaic as it is stored."""
    raster = open_image(path, allow_vrt=True)
    found: NDArray[Any] = raster._reader.read(0, (0, 0, raster.width, raster.height), [band])[0]
    return found


def by_gdal(path: Path, band: int = 1) -> NDArray[Any]:
    with rasterio.open(path) as file:
        found: NDArray[Any] = file.read(band)
    return found


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    write_tiff(tmp_path / "a.tif", picture(90, 70), overviews=(2, 4), tiled=True, blockxsize=32, blockysize=32)
    write_tiff(tmp_path / "b.tif", 255 - picture(90, 70), overviews=(2, 4), tiled=True, blockxsize=32, blockysize=32)
    Image.fromarray(picture(40, 30)).save(tmp_path / "c.png")
    Image.fromarray(picture(40, 30)).save(tmp_path / "c.webp", lossless=True)
    write_tiff(tmp_path / "d.tif", (picture(40, 30)[..., 0].astype(np.int16) - 100) * 7, nodata=-700)
    return tmp_path


MADE = {
    "side by side": [("a.tif", 1, (0, 0, 90, 70), (0, 0, 90, 70), ""), ("b.tif", 1, (0, 0, 90, 70), (90, 0, 90, 70), "")],
    "over each other": [("a.tif", 2, (10, 5, 60, 40), (0, 0, 60, 40), ""), ("b.tif", 3, (0, 0, 50, 50), (30, 20, 50, 50), "")],
    "beyond its edge": [("a.tif", 1, (50, 40, 40, 30), (160, 50, 40, 30), "")],
    "larger": [("a.tif", 1, (10, 10, 30, 20), (5, 5, 120, 60), "")],
    "smaller": [("a.tif", 1, (0, 0, 90, 70), (20, 10, 30, 35), "")],
    "png": [("c.png", 2, (0, 0, 40, 30), (7, 9, 40, 30), "")],
    "scaled": [("a.tif", 1, (0, 0, 90, 70), (0, 0, 90, 70), "<ScaleOffset>3</ScaleOffset><ScaleRatio>0.7</ScaleRatio>")],
    "clipped": [("a.tif", 1, (0, 0, 90, 70), (0, 0, 90, 70), "<ScaleOffset>-60</ScaleOffset><ScaleRatio>2</ScaleRatio>")],
    "no-data": [("b.tif", 1, (0, 0, 90, 70), (0, 0, 90, 70), ""), ("a.tif", 1, (0, 0, 90, 70), (40, 30, 90, 70), "<NODATA>0</NODATA>")],
    "table": [("a.tif", 1, (0, 0, 90, 70), (0, 0, 90, 70), "<LUT>0:10,100:50,255:250</LUT>")],
}  # fmt: skip


@pytest.mark.parametrize("form", MADE)
def test_a_mosaic_holds_what_gdal_reads(form: str, sources: Path) -> None:
    path = vrt(sources / "m.vrt", 180, 80, "".join(source(*parts) for parts in MADE[form]))
    assert np.array_equal(stored(path), by_gdal(path))


@pytest.mark.parametrize("component", [1, 2, 3, 4])
@pytest.mark.parametrize("name", ["p.png", "clear.png", "p.gif", "p.bmp", "p.tif"])
def test_colours_of_a_palette_are_those_that_gdal_looks_up(name: str, component: int, tmp_path: Path) -> None:
    """As ``gdal_translate -expand rgba`` writes it: each band looks one colour up, whatever the file is read by."""
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 7, (30, 40), dtype=np.uint8), "P")
    image.putpalette(rng.integers(0, 256, (7, 3), dtype=np.uint8).ravel().tolist())
    options: dict[str, Any] = {"transparency": 3} if name.startswith("clear") else {}
    image.save(tmp_path / name, **options)
    more = f"<ColorTableComponent>{component}</ColorTableComponent>"
    path = vrt(tmp_path / "m.vrt", 60, 50, source(name, 1, (0, 0, 40, 30), (7, 9, 40, 30), more))
    assert np.array_equal(stored(path), by_gdal(path))


@pytest.mark.parametrize("more", ["", "<ColorTableComponent>1</ColorTableComponent><NODATA>3</NODATA>"])
def test_numbers_of_a_palette_that_are_read_as_colours_are_no_numbers(more: str, tmp_path: Path) -> None:
    image = Image.fromarray(np.arange(200, dtype=np.uint8).reshape(10, 20) % 7, "P")
    image.putpalette(list(range(21)))
    for name in ("p.png", "p.tif"):
        image.save(tmp_path / name)
    body = (0, 0, 20, 10), (0, 0, 20, 10), more
    with pytest.raises(RasterError, match=r"m.vrt: p.png is read as the colours of its palette, .*-expand rgba"):
        open_image(vrt(tmp_path / "m.vrt", 20, 10, source("p.png", 1, *body)), allow_vrt=True).overview()
    path = vrt(tmp_path / "n.vrt", 20, 10, source("p.tif", 1, *body))
    assert np.array_equal(stored(path), by_gdal(path))


def test_numbers_of_more_than_bytes_and_no_data(sources: Path) -> None:
    body = source("d.tif", 1, (0, 0, 40, 30), (5, 5, 40, 30), "<NODATA>-700</NODATA>")
    for dtype in ("Int16", "Float32", "Byte", "UInt16", "Int32"):
        head = "<NoDataValue>9</NoDataValue>"
        path = vrt(sources / "m.vrt", 60, 50, body, dtype=dtype, head=head)
        assert np.array_equal(stored(path), by_gdal(path)), dtype
        with rasterio.open(path) as file:
            assert same(open_image(path, allow_vrt=True).read((0, 0, 60, 50)).valid, file.read_masks(1) > 0), dtype


def test_its_place_colours_and_mask_are_those_that_it_states(sources: Path) -> None:
    mask = vrt(sources / "mask.vrt", 90, 70, source("a.tif", "mask,1", (0, 0, 90, 70), (20, 0, 90, 70))).read_text()
    inner = mask[mask.index("<VRTRasterBand") : mask.index("</VRTDataset>")]
    bands = [source("a.tif", k, (0, 0, 90, 70), (0, 0, 90, 70)) for k in (1, 2, 3)]
    path = vrt(sources / "m.vrt", 90, 70, *bands, more=f"{SRS}<MaskBand>{inner}</MaskBand>")
    raster = open_image(path, allow_vrt=True)
    with rasterio.open(path) as file:
        assert raster.frame.crs == f"EPSG:{file.crs.to_epsg()}"
        assert raster.frame.root_to_world == tuple(file.transform)[:6]
        valid = file.read_masks(1) > 0
    assert same(raster.read((0, 0, 90, 70)).valid, valid)


@pytest.mark.parametrize("backend", ALL)
def test_its_overviews_are_those_of_its_sources(backend: Backend, sources: Path) -> None:
    bands = [
        source("a.tif", k, (0, 0, 90, 70), (0, 0, 90, 70)) + source("b.tif", k, (0, 0, 90, 70), (90, 0, 90, 70))
        for k in (1, 2, 3)
    ]
    raster = open_image(vrt(sources / "m.vrt", 180, 70, *bands), allow_vrt=True, backend=backend)
    assert [level.width for level in raster._reader.levels] == [180, 90, 45]
    whole = np.concatenate([picture(90, 70), 255 - picture(90, 70)], axis=1).astype(float)
    expected = np.asarray(Image.fromarray(whole.astype(np.uint8)).resize((90, 35), Image.Resampling.BOX)).astype(int)
    shown = np.asarray(raster.overview(90 * 35).image).astype(int)
    assert np.abs(shown - expected).max() <= 2
    assert np.array_equal(np.asarray(raster.read((80, 10, 110, 40)).image), whole[10:40, 80:110])


def test_halves_of_an_odd_mosaic_keep_its_last_row_and_column(sources: Path) -> None:
    tiles = source("a.tif", 1, (0, 0, 90, 70), (0, 0, 90, 70)) + source("b.tif", 1, (0, 0, 90, 70), (93, 0, 90, 70))
    levels = open_image(vrt(sources / "m.vrt", 183, 71, tiles), allow_vrt=True)._reader.levels
    assert [(level.width, level.height) for level in levels] == [(183, 71), (92, 36), (46, 18)]


def test_windows_over_no_source_are_known_on_every_level(sources: Path) -> None:
    # A low wide mosaic with sources of unequal sides: x taken for y would show.
    placed = [(8, 4, 60, 40), (120, 60, 90, 20)]
    tiles = "".join(source("a.tif", 1, (0, 0, 90, 70), place) for place in placed)
    reader = open_image(vrt(sources / "m.vrt", 240, 96, tiles), allow_vrt=True)._reader
    covered = np.zeros((96, 240), dtype=bool)
    for x, y, width, height in placed:
        covered[y : y + height, x : x + width] = True
    for level, grid in enumerate(reader.levels):
        step = 240 // grid.width
        found, empty = [], []
        for x in range(0, grid.width, 4):
            for y in range(0, grid.height, 4):
                for wide, high in ((4, 4), (12, 4), (4, 12)):
                    window = (x, y, min(x + wide, grid.width), min(y + high, grid.height))
                    x1, y1, x2, y2 = (step * side for side in window)
                    empty.append(not covered[y1:y2, x1:x2].any())
                    found.append(reader.blank(level, window))
        assert found == empty and 0 < sum(found) < len(found)


def test_formats_that_gdal_does_not_read_here_are_read(sources: Path) -> None:
    path = vrt(sources / "m.vrt", 40, 30, source("c.webp", 1, (0, 0, 40, 30), (0, 0, 40, 30)))
    assert np.array_equal(stored(path), picture(40, 30)[..., 0])


def test_many_sources_are_not_all_kept_open(tmp_path: Path) -> None:
    tiles = []
    for k in range(70):
        write_tiff(tmp_path / f"{k}.tif", np.full((8, 8), k, dtype=np.uint8))
        tiles.append(source(f"{k}.tif", 1, (0, 0, 8, 8), (8 * k, 0, 8, 8)))
    raster = open_image(vrt(tmp_path / "m.vrt", 560, 8, "".join(tiles)), allow_vrt=True)
    shown = np.asarray(raster.read((0, 0, 560, 8)).image)[4, 4::8, 0]
    assert shown.tolist() == list(range(70))
    assert len(raster._reader._readers) <= 32  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("<AveragedSource><SourceFilename>a.tif</SourceFilename></AveragedSource>", "AveragedSource"),
        ("<KernelFilteredSource><SourceFilename>a.tif</SourceFilename></KernelFilteredSource>", "KernelFiltered"),
        ("<PixelFunctionType>sum</PixelFunctionType>", "PixelFunctionType"),
        ("<SimpleSource><SourceBand>1</SourceBand></SimpleSource>", "not a local file"),
        (source("a.tif", 1, (0, 0, -1, 5), (0, 0, 5, 5)), "not a whole VRT"),
        (source("a.tif", 9, (0, 0, 5, 5), (0, 0, 5, 5)), "band 9 of a.tif does not exist"),
    ],
)
def test_what_is_not_computed_is_refused_by_name(body: str, why: str, sources: Path) -> None:
    path = vrt(sources / "m.vrt", 20, 20, body)
    with pytest.raises(RasterError, match=why):
        open_image(path, allow_vrt=True).overview()


def test_a_mosaic_of_itself_is_refused_and_has_a_digest(tmp_path: Path) -> None:
    path = vrt(tmp_path / "m.vrt", 20, 20, source("m.vrt", 1, (0, 0, 20, 20), (0, 0, 20, 20)))
    assert len(content(path)) == 64
    with pytest.raises(RasterError, match="is a VRT itself"):
        open_image(path, allow_vrt=True)
