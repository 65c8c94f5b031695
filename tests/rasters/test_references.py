"""Opening a file reads that file: whatever it, or a file beside it, names is neither opened nor called.

The kernel tells which canaries are opened, a port which requests are made, and no pixel of a canary is ever shown.
"""

from __future__ import annotations

import contextlib
import random
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from rscovlm.exports import map_page, to_geojson, to_geopackage, to_geoparquet
from rscovlm.geometry import Boxes, Frame, Objects
from rscovlm.rasters import RasterError, open_image
from rscovlm.rasters.crs import check_crs, read_crs
from rscovlm.rasters.digests import content
from rscovlm.rasters.opening import Backend
from rscovlm.rasters.world import transformed
from tests.rasters.canaries import SECRET, Canaries, canaries
from tests.rasters.references import (
    GEOTIFF,
    GREY,
    XMP,
    aux_xml,
    box,
    gml,
    jp2,
    metadata,
    multi_domain,
    picture,
    png,
    tiff,
)

rasterio = pytest.importorskip("rasterio")
warp = pytest.importorskip("rasterio.warp")
CPLE_BaseError = pytest.importorskip("rasterio._err").CPLE_BaseError

BACKENDS: tuple[Backend, ...] = ("auto", "rasterio", "plain")
DOMAINS = ("OVERVIEWS", "overviews", "Overviews")
NAMES = ("OVERVIEW_FILE", "overview_file", "Overview_File")
ELSEWHERE = (
    ("", "OVERVIEW_FILE"),
    ("xml:VRT", "OVERVIEW_FILE"),
    ("GEOLOCATION", "X_DATASET"),
    ("SUBDATASETS", "SUBDATASET_1_NAME"),
    ("DERIVED_SUBDATASETS", "DERIVED_SUBDATASET_1_NAME"),
    ("ProxyOverviewRequest", "OVERVIEW_FILE"),
    ("MASK", "MASK_FILE"),
    ("RPC", "RPC_FILE"),
    ("IMD", "IMD_FILE"),
    ("COLOR_PROFILE", "SOURCE_ICC_PROFILE"),
)
SIDES = (".aux.xml", ".msk", ".prj", ".tab", ".aux", ".rrd", ".xml", ".imd", ".rpb", "_rpc.txt", ".tfw", ".wld", ".map")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Canaries]:
    with canaries(tmp_path_factory.mktemp("canaries") / "private") as found:
        yield found


def use(
    source: Path | bytes, folder: Path, *, allow_vrt: bool = False, side_files: bool = False, exports: bool = False
) -> list[str]:
    """Open a file every way and do everything with it that a person might; return its notes."""
    notes: list[str] = []
    for backend in BACKENDS:
        try:
            raster = open_image(source, backend=backend, allow_vrt=allow_vrt, side_files=side_files)
        except RasterError:
            continue
        with raster:
            notes += raster.notes
            with contextlib.suppress(RasterError):  # not every reader takes every odd file
                for view in (raster.overview(900), raster.read((8, 8, 40, 40))):
                    assert not (np.asarray(view.image) == SECRET).any()
                raster.digest()
            found = Objects(Boxes([[10, 10, 30, 30]], "hbb", raster.frame), ("a",))
            with contextlib.suppress(ValueError):  # a place that cannot be changed into longitude and latitude
                to_geojson(found)
            if exports and backend == "auto" and raster.frame.crs:
                with contextlib.suppress(ValueError):
                    to_geopackage(found, folder / "out.gpkg")
                with contextlib.suppress(ValueError):
                    to_geoparquet(found, folder / "out.parquet", crs=None)
                with contextlib.suppress(ValueError):
                    map_page(folder / "out.html", raster.overview(900), found)
    return notes


def both_ways(data: bytes, name: str, folder: Path, *, exports: bool = False) -> list[str]:
    """Use a file from a path and from its bytes."""
    path = folder / name
    path.write_bytes(data)
    return use(path, folder, exports=exports) + use(data, folder)


def test_the_traps_spring(kept: Canaries, tmp_path: Path) -> None:
    """What the other tests see nothing of, GDAL and PROJ do when they are let."""
    local, url = (metadata([("OVERVIEWS", "OVERVIEW_FILE", kept.targets()[k])]) for k in (0, 3))
    boxed = box(b"xml ", multi_domain([("OVERVIEWS", "OVERVIEW_FILE", kept.targets()[0])]).encode())
    for name, data in {"l.tif": tiff(local), "u.tif": tiff(url), "b.jp2": jp2(boxed)}.items():
        (tmp_path / name).write_bytes(data)
        kept.touched()
        with rasterio.open(tmp_path / name) as file:
            file.overviews(1)
        assert kept.touched(), name
    for system in (kept.systems()[0], kept.systems()[4], kept.systems()[5]):
        kept.touched()
        with contextlib.suppress(rasterio.errors.RasterioError, CPLE_BaseError):
            warp.transform(rasterio.crs.CRS.from_user_input(system), "EPSG:4326", [10], [50])
        assert kept.touched(), system


@pytest.mark.parametrize("domain", DOMAINS)
def test_overview_files_named_in_a_tiff(domain: str, kept: Canaries, tmp_path: Path) -> None:
    for k, target in enumerate(kept.targets()):
        notes = both_ways(tiff(metadata([(domain, NAMES[k % 3], target)])), "a.tif", tmp_path)
        assert any("name another file for its overviews" in note for note in notes)
        assert not kept.touched(), target


@pytest.mark.parametrize("form", ["big", "entities", "twice", "nested"])
def test_overview_files_named_in_other_forms(form: str, kept: Canaries, tmp_path: Path) -> None:
    for target in kept.targets():
        items = [("OVERVIEWS", "OVERVIEW_FILE", target)]
        text = metadata(items * (2 if form == "twice" else 1), entities=form == "entities")
        text = f"<a><b/>{text}</a>" if form == "nested" else text
        both_ways(tiff(text, big=form == "big"), "a.tif", tmp_path)
        assert not kept.touched(), target


@pytest.mark.parametrize(("domain", "name"), ELSEWHERE)
def test_files_named_in_other_metadata(domain: str, name: str, kept: Canaries, tmp_path: Path) -> None:
    for k, target in enumerate(kept.targets()):
        items = [(domain, name, target)]
        if k % 2:
            both_ways(tiff(metadata(items)), "a.tif", tmp_path)
        else:
            both_ways(jp2(box(b"xml ", multi_domain(items).encode())), "a.jp2", tmp_path)
        assert not kept.touched(), target


@pytest.mark.parametrize("key", [1026, 2049, 3073])
def test_coordinate_systems_in_a_tiff_that_name_files(key: int, kept: Canaries, tmp_path: Path) -> None:
    for system in kept.systems():
        for text in (f"ESRI PE String = {system}", *[system] * (key == 1026)):
            both_ways(tiff(citation=text, key=key), "a.tif", tmp_path, exports=text != system)
            uuid = box(b"uuid", GEOTIFF + tiff(citation=text, key=key))
            use(jp2(uuid), tmp_path)
            assert not kept.touched(), text


@pytest.mark.parametrize("form", ["xml", "gml", "jumbf", "url", "xmp", "ipr"])
def test_files_named_in_the_boxes_of_a_jpeg_2000(form: str, kept: Canaries, tmp_path: Path) -> None:
    for target in kept.targets():
        text = multi_domain([("OVERVIEWS", "OVERVIEW_FILE", target)])
        boxes = {
            "xml": box(b"xml ", text.encode()),
            "gml": gml("urn:ogc:def:crs:EPSG::32633", text),
            "jumbf": box(b"jumb", box(b"xml ", text.encode())),
            "url": box(b"dtbl", struct_url(target)) + box(b"ftbl", box(b"url ", bytes(4) + target.encode() + b"\0")),
            "xmp": box(b"uuid", XMP + text.encode()),
            "ipr": box(b"jp2i", text.encode()),
        }
        both_ways(jp2(boxes[form]), "a.jp2", tmp_path)
        assert not kept.touched(), target


def struct_url(target: str) -> bytes:
    """Return a data reference of one URL."""
    return b"\0\1" + box(b"url ", bytes(4) + target.encode() + b"\0")


def test_coordinate_systems_in_gml_that_name_files(kept: Canaries, tmp_path: Path) -> None:
    for system in kept.systems() + kept.targets():
        both_ways(jp2(gml(system)), "a.jp2", tmp_path)
        assert not kept.touched(), system


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP"])
def test_files_named_in_texts_of_a_picture(kind: str, kept: Canaries, tmp_path: Path) -> None:
    for target in kept.targets():
        if kind == "PNG":
            data = png(("OVERVIEW_FILE", target), ("OVERVIEWS", target), ("XML:com.adobe.xmp", target))
        else:
            data = picture(kind, f"OVERVIEWS OVERVIEW_FILE={target}")
        both_ways(data, f"a.{kind.lower()}", tmp_path)
        assert not kept.touched(), target


@pytest.mark.parametrize("side_files", [False, True])
@pytest.mark.parametrize("name", ["a.tif", "a.jp2", "a.png", "a.jpg"])
def test_files_beside_it_are_not_followed(name: str, side_files: bool, kept: Canaries, tmp_path: Path) -> None:
    data = {"a.tif": tiff(), "a.jp2": jp2(), "a.png": png(), "a.jpg": picture("JPEG", "")}[name]
    path = tmp_path / name
    path.write_bytes(data)
    for k, target in enumerate(kept.targets()):
        for system in kept.systems()[k % 14 :: 14]:
            for stem in (path.name, path.stem):
                for side in SIDES:
                    text = aux_xml(target, system) if side in (".aux.xml", ".xml") else system
                    (tmp_path / f"{stem}{side}").write_text(text)
            use(path, tmp_path, side_files=side_files)
            assert not kept.touched(), target


@pytest.mark.parametrize("side_files", [False, True])
def test_links_beside_it_that_lead_elsewhere_are_not_opened(side_files: bool, kept: Canaries, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(tiff())
    for side in (".ovr", *SIDES):
        for stem in (path.name, path.stem):
            (tmp_path / f"{stem}{side}").unlink(missing_ok=True)
            (tmp_path / f"{stem}{side}").symlink_to(kept.folder / "secret.tif")
    use(path, tmp_path, side_files=side_files)
    content(path)
    assert not kept.touched()


def test_coordinate_systems_that_name_files_are_refused_wherever_they_come_from(kept: Canaries, tmp_path: Path) -> None:
    for system in kept.systems():
        with pytest.raises(ValueError, match="coordinate system"):
            check_crs(system)
        frame = Frame(100, 100, root_to_world=(1.0, 0.0, 0.0, 0.0, -1.0, 0.0), crs=system)
        found = Objects(Boxes([[10, 10, 30, 30]], "hbb", frame), ("a",))
        for change in (
            lambda system=system: transformed(np.zeros((1, 2)), system, "EPSG:4326"),
            lambda system=system: transformed(np.zeros((1, 2)), "EPSG:4326", system),
            lambda found=found: to_geojson(found),
            lambda found=found: to_geopackage(found, tmp_path / "a.gpkg"),
            lambda found=found: to_geoparquet(found, tmp_path / "a.parquet", crs=None),
        ):
            with pytest.raises(ValueError, match="coordinate system"):
                change()
    assert not kept.touched()


def test_every_system_that_proj_writes_is_taken() -> None:
    """Definitions of registered systems, as PROJ and Esri write them, pass."""
    CRS = rasterio.crs.CRS
    codes = [*range(2000, 2100, 7), *range(3001, 5000, 101), 3857, 4326, 4978, 27700, 28992, 31467, 32661, 32633]
    taken = 0
    for code in codes:
        try:
            known = CRS.from_epsg(code)
        except rasterio.errors.CRSError:
            continue
        for version in ("WKT1_GDAL", "WKT1_ESRI", "WKT2_2015", "WKT2_2019"):
            try:
                text = known.to_wkt(version=version)
            except rasterio.errors.CRSError:
                continue
            check_crs(text)
            taken += 1
        assert read_crs(f"urn:ogc:def:crs:EPSG::{code}") == known
    assert taken > 100


SOURCE = "<SimpleSource><SourceFilename{}>{}</SourceFilename><SourceBand>1</SourceBand></SimpleSource>"
DATASET = '<VRTDataset rasterXSize="50" rasterYSize="50">{}<VRTRasterBand dataType="Byte" band="1">{}</VRTRasterBand></VRTDataset>'
VIRTUAL = {
    "plain": DATASET.format("", SOURCE.format("", "{}")),
    "lower": DATASET.format("", SOURCE.format("", "{}").lower()).replace("vrtrasterband", "VRTRasterBand"),
    "all lower": DATASET.format("", SOURCE.format("", "{}")).replace("SourceFilename", "sourcefilename"),
    "attribute": DATASET.format("", '<SimpleSource SourceFilename="{}"><SourceBand>1</SourceBand></SimpleSource>'),
    "named twice": DATASET.format(
        "", SOURCE.format("", "a.tif").replace("<SourceBand>", "<SourceFilename>{}</SourceFilename><SourceBand>")
    ),
    "comment": DATASET.format("", SOURCE.format("", "<!-- a.tif -->{}")),
    "cdata": DATASET.format("", SOURCE.format("", "<![CDATA[{}]]>")),
    "namespace": DATASET.format(
        "", '<x:SimpleSource xmlns:x="y">' + SOURCE.format("", "{}")[14:-15] + "</x:SimpleSource>"
    ),
    "overview": DATASET.format(
        "", "<Overview><SourceFilename>{}</SourceFilename><SourceBand>1</SourceBand></Overview>"
    ),
    "overview file": DATASET.format(
        '<Metadata domain="OVERVIEWS"><MDI key="OVERVIEW_FILE">{}</MDI></Metadata>',
        SOURCE.format(' relativeToVRT="1"', "a.tif"),
    ),
    "mask": DATASET.format("<MaskBand><VRTRasterBand>" + SOURCE.format("", "{}") + "</VRTRasterBand></MaskBand>", ""),
    "dataset": DATASET.format("", "<SimpleSource><SourceDataset>{}</SourceDataset></SimpleSource>"),
    "raw": DATASET.format("", "")
    .replace('band="1"', 'band="1" subClass="VRTRawRasterBand"')
    .replace("</VRTRasterBand>", "<SourceFilename>{}</SourceFilename></VRTRasterBand>"),
    "warped": DATASET.format("<GDALWarpOptions><SourceDataset>{}</SourceDataset></GDALWarpOptions>", "").replace(
        "<VRTDataset ", '<VRTDataset subClass="VRTWarpedDataset" '
    ),
    "srs": DATASET.format("<SRS>{}</SRS><GeoTransform>0,1,0,0,0,-1</GeoTransform>", ""),
    "options": DATASET.format(
        "", SOURCE.format("", "{}").replace("</Sim", '<OpenOptions><OOI key="a">{}</OOI></OpenOptions></Sim')
    ),
    "complex": DATASET.format("", SOURCE.format("", "{}").replace("Simple", "Complex")),
}


@pytest.mark.parametrize("form", VIRTUAL)
def test_a_vrt_reaches_nothing_outside_its_folder(form: str, kept: Canaries, tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(tiff())
    (tmp_path / "link.tif").symlink_to(kept.folder / "secret.tif")
    inner = tmp_path / "inner.vrt"
    inner.write_text(DATASET.format("", SOURCE.format("", str(kept.folder / "secret.tif"))))
    named = [*kept.targets(), *kept.systems(), str(tmp_path / "link.tif"), str(inner)]
    for target in named:
        path = tmp_path / "a.vrt"
        quoted = target.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
        path.write_text(VIRTUAL[form].replace("{}", target if form == "cdata" else quoted))
        use(path, tmp_path, allow_vrt=True)
        use(path, tmp_path)
        assert not kept.touched(), target


def test_a_vrts_sources_are_read_as_files_are(kept: Canaries, tmp_path: Path) -> None:
    for target in kept.targets():
        (tmp_path / "a.tif").write_bytes(tiff(metadata([("OVERVIEWS", "OVERVIEW_FILE", target)])))
        path = tmp_path / "a.vrt"
        path.write_text(DATASET.format("", SOURCE.format(' relativeToVRT="1"', "a.tif")))
        view = open_image(path, allow_vrt=True).overview(400)
        assert set(np.unique(np.asarray(view.image))) == {GREY}
        use(path, tmp_path, allow_vrt=True)
        assert not kept.touched(), target


def drawn(draw: random.Random, kept: Canaries) -> tuple[str, bytes]:
    """Return a file of a drawn format with some drawn references in drawn places."""

    def odd(word: str) -> str:
        return "".join(draw.choice((letter.upper(), letter.lower())) for letter in word)

    def text() -> str:
        target = draw.choice([*kept.targets(), *kept.systems()])
        return draw.choice((target, target + " ", " " + target, f"ESRI PE String = {target}", f"{target}|{target}"))

    items = [
        draw.choice(
            (
                (odd("OVERVIEWS"), odd("OVERVIEW_FILE"), text()),
                (*draw.choice(ELSEWHERE), text()),
                (draw.choice(("xml:GML", "xml:XMP", "", odd("OVERVIEWS"))), odd("OVERVIEW_FILE"), text()),
            )
        )
        for _ in range(draw.randint(1, 4))
    ]
    kind = draw.choice(("tif", "tif", "jp2", "jp2", "png", "jpg", "vrt"))
    if kind == "png":
        return "a.png", png(*((name or "a", value) for _, name, value in items))
    if kind == "jpg":
        return "a.jpg", picture("JPEG", items[0][2])
    if kind == "vrt":
        body = draw.choice(list(VIRTUAL.values()))
        cut = draw.choice((body, odd(body), body.replace("SimpleSource", odd("SimpleSource"))))
        return "a.vrt", cut.replace("{}", text().replace("&", "&amp;").replace("<", "&lt;")).encode()
    geo = tiff(
        metadata(items, entities=draw.random() < 0.3),
        draw.choice((None, text())),
        key=draw.choice((1026, 2049, 3073)),
        big=draw.random() < 0.3,
    )
    if kind == "tif":
        return "a.tif", geo
    boxes = [
        box(b"xml ", multi_domain(items).encode()),
        box(b"uuid", GEOTIFF + geo),
        gml(text(), multi_domain(items)),
        box(b"jumb", box(b"xml ", multi_domain(items).encode())),
    ]
    return "a.jp2", jp2(*draw.sample(boxes, draw.randint(1, 4)))


@pytest.mark.parametrize("seed", range(4))
def test_references_at_random(seed: int, kept: Canaries, tmp_path: Path) -> None:
    draw = random.Random(seed)
    for _ in range(25):
        name, data = drawn(draw, kept)
        path = tmp_path / name
        path.write_bytes(data)
        use(path, tmp_path, allow_vrt=True, side_files=draw.random() < 0.5)
        use(data, tmp_path)
        assert not kept.touched(), (seed, name, data[:4000])


def test_files_and_systems_are_opened_in_one_place_each() -> None:
    """GDAL opens files in `gdal.py` alone, and PROJ reads definitions in `crs.py` alone, where they are checked."""
    package = Path(__file__).parents[2] / "rscovlm"
    opens = re.compile(r"rasterio\.open\(|MemoryFile\(|WarpedVRT\(")
    parses = re.compile(r"CRS\.from_\w+\(|CRS\(|rasterio\.crs|(?:src|dst)_crs=(?!read_crs\(|MERCATOR)")
    for path in sorted(package.rglob("*.py")):
        text = path.read_text("utf-8")
        assert path.name == "gdal.py" or not opens.search(text), path
        assert path.name == "crs.py" or not parses.search(text), path


def test_a_path_that_gdal_would_take_for_another_is_refused(tmp_path: Path) -> None:
    for name in (
        "/vsimem/a.tif",
        "/./vsicurl/http:/127.0.0.1/a.tif",
        "/VSICURL/http://127.0.0.1/a",
        "GTIFF_DIR:1:a.tif",
    ):
        with pytest.raises(RasterError):
            open_image(name)
