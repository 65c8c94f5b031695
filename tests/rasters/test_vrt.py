"""GDAL's virtual files are opened only when allowed, and only over plain local images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rscovlm.rasters import RasterError, open_image
from tests.rasters.files import write_tiff
from tests.rasters.test_raster import picture

BAND = """<VRTRasterBand dataType="Byte" band="{band}"{more}><SimpleSource>
<SourceFilename relativeToVRT="{relative}">{source}</SourceFilename><SourceBand>{band}</SourceBand>
<SrcRect xOff="10" yOff="5" xSize="60" ySize="40"/><DstRect xOff="0" yOff="0" xSize="60" ySize="40"/>
</SimpleSource></VRTRasterBand>"""


def vrt(path: Path, source: str, *, relative: bool = True, more: str = "") -> Path:
    bands = "".join(BAND.format(band=k, source=source, relative=int(relative), more=more) for k in (1, 2, 3))
    path.write_text(f'<VRTDataset rasterXSize="60" rasterYSize="40">{bands}</VRTDataset>')
    return path


def test_a_vrt_needs_permission(tmp_path: Path) -> None:
    array = picture(90, 70)
    write_tiff(tmp_path / "a.tif", array)
    path = vrt(tmp_path / "a.vrt", "a.tif")
    with pytest.raises(RasterError, match="allow_vrt=True"):
        open_image(path)
    assert np.array_equal(np.asarray(open_image(path, allow_vrt=True).overview().image), array[5:45, 10:70])


@pytest.mark.parametrize(
    "source",
    [
        "/etc/passwd",
        "/vsicurl/http://127.0.0.1/a.tif",
        "http://127.0.0.1/a.tif",
        "absent.tif",
        "",
        "WMS:http://x",
        "b.vrt",
    ],
)
def test_sources_other_than_local_images_are_refused(source: str, tmp_path: Path) -> None:
    pytest.importorskip("rasterio")
    vrt(tmp_path / "b.vrt", "a.tif")
    path = vrt(tmp_path / "a.vrt", source, relative=source.endswith(("f", "t")) and ":" not in source)
    with pytest.raises(RasterError, match=r"a\.vrt.*(not a local file|is a VRT itself)|passwd' is not an image"):
        open_image(path, allow_vrt=True)


@pytest.mark.parametrize("name", ["{outside}", "../outside/a.tif", "link.tif", "a/../../outside/a.tif"])
def test_a_picture_outside_the_folder_is_refused_however_it_is_named(name: str, tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    for folder in (inside, outside, inside / "a"):
        folder.mkdir()
    write_tiff(outside / "a.tif", picture(90, 70))
    (inside / "link.tif").symlink_to(outside / "a.tif")
    source = name.format(outside=outside / "a.tif")
    path = vrt(inside / "a.vrt", source, relative=source == name)
    with pytest.raises(RasterError, match=r"a\.vrt: its source .* is not a local file under the folder of the VRT"):
        open_image(path, allow_vrt=True)


@pytest.mark.parametrize(
    "text",
    [
        '<VRTDataset rasterXSize="9" rasterYSize="9"><VRTRasterBand subClass="VRTRawRasterBand"/></VRTDataset>',
        '<VRTDataset rasterXSize="9" rasterYSize="9"><PixelFunctionCode>import os</PixelFunctionCode></VRTDataset>',
        '<!DOCTYPE x [<!ENTITY a "aaaa">]><VRTDataset rasterXSize="9" rasterYSize="9">&a;</VRTDataset>',
        '<VRTDataset rasterXSize="9" rasterYSize="9"><VRTRasterBand>',
    ],
)
def test_raw_files_code_entities_and_broken_xml_are_refused(text: str, tmp_path: Path) -> None:
    pytest.importorskip("rasterio")
    path = tmp_path / "a.vrt"
    path.write_text(text)
    with pytest.raises(RasterError, match=r"a\.vrt"):
        open_image(path, allow_vrt=True)
