"""The table of formats against Pillow, which writes the files and knows their usual names."""

import io

import pytest
from PIL import Image

from rscovlm.rasters.errors import RasterError
from rscovlm.rasters.formats import FORMATS, PICTURE_ENDINGS, sniff
from rscovlm.rasters.limits import PixelLimits
from rscovlm.rasters.pillow import PillowReader

WRITTEN = {"tiff": "TIFF", "png": "PNG", "jpeg": "JPEG", "jp2": "JPEG2000", "webp": "WEBP", "bmp": "BMP", "gif": "GIF"}


def encoded(name: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (37, 23), (200, 30, 90)).save(buffer, WRITTEN[name])
    return buffer.getvalue()


def test_every_format_but_the_virtual_one_is_written_here() -> None:
    assert set(FORMATS) - {"vrt"} == set(WRITTEN)


@pytest.mark.parametrize("name", WRITTEN)
def test_a_file_is_known_by_its_first_bytes_and_read_by_its_plugin(name: str) -> None:
    data = encoded(name)
    assert [one.name for one in FORMATS.values() if one.begins(data[:4096])] == [name]
    assert sniff(data[:4096], "a") == name
    root = PillowReader(data, name, name="a", limits=PixelLimits()).levels[0]
    assert (root.width, root.height) == (37, 23)


@pytest.mark.parametrize("name", WRITTEN)
def test_pillow_reads_a_file_of_each_usual_ending_as_that_format(name: str) -> None:
    Image.init()
    known = Image.registered_extensions()
    told = {end: known[end] for end in FORMATS[name].endings if end in known}
    assert told
    # Several JPEGs in one file begin as one does, and Windows writes .dib with the head of a .bmp.
    assert set(told.values()) - {WRITTEN[name]} <= {"jpeg": {"MPO"}, "bmp": {"DIB"}}.get(name, set())


@pytest.mark.parametrize("marks", [b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"])
def test_both_byte_orders_and_both_sizes_of_tiff_are_known(marks: bytes) -> None:
    assert sniff(marks + bytes(60), "a") == "tiff"


def test_a_riff_of_sound_is_no_picture() -> None:
    assert sniff(b"RIFF\n\n\n\nWEBPVP8 ", "a") == "webp"  # a size may hold any byte, a line's end too
    with pytest.raises(RasterError, match="not an image of a kind that is read"):
        sniff(b"RIFF\x24\0\0\0WAVEfmt ", "a")


@pytest.mark.parametrize(("before", "known"), [(0, True), (4085, True), (4086, False)])
def test_a_virtual_file_may_begin_with_comments(before: int, known: bool) -> None:
    head = b" " * before + b"<VRTDataset rasterXSize='9'>"
    if known:
        assert sniff(head, "a") == "vrt"
    else:
        with pytest.raises(RasterError):
            sniff(head, "a")


def test_overviews_and_virtual_files_are_no_pictures_of_a_folder() -> None:
    assert not {".ovr", ".vrt"} & set(PICTURE_ENDINGS)
    assert {".tif", ".jpg", ".png", ".jp2", ".webp", ".bmp", ".gif"} <= set(PICTURE_ENDINGS)
