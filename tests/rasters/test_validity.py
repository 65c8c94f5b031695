"""Which pixels are valid: what rasterio's dataset mask says, with GDAL and without, whatever kind of file says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rscovlm.rasters import Stretch, open_image
from tests.evidence import evidence
from tests.rasters.files import write_tiff
from tests.shared_data import shared

BACKENDS: list[Any] = ["rasterio", "plain"]
HEIGHT, WIDTH = 60, 80
KNOWN = np.zeros((HEIGHT, WIDTH), dtype=bool)
KNOWN[20:50, 10:70] = True

rasterio = pytest.importorskip("rasterio", reason="rasterio (extra geo) is not installed")


def bands(count: int, dtype: str = "uint16", low: float = 300, high: float = 3000) -> NDArray[Any]:
    return np.random.default_rng(0).uniform(low, high, (HEIGHT, WIDTH, count)).astype(dtype)


def with_alpha(colours: NDArray[Any], top: float, known: NDArray[np.bool_] = KNOWN) -> NDArray[Any]:
    alpha = np.where(known, top, 0).astype(colours.dtype)
    return np.concatenate([colours, alpha[..., None]], axis=-1)


def theirs(path: Path) -> NDArray[np.bool_]:
    with rasterio.open(path) as file:
        valid: NDArray[np.bool_] = file.dataset_mask() > 0
    return valid


ALPHAS = [
    ("uint8", 3, 1),
    ("uint8", 3, 255),
    ("uint8", 1, 1),
    ("uint16", 3, 255),
    ("uint16", 3, 1),
    ("uint16", 3, 4095),
    ("uint16", 3, 65535),
    ("uint16", 1, 255),
    ("int16", 3, 32767),
    ("float32", 3, 1),
    ("float32", 3, 255),
]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("dtype", "count", "top"), ALPHAS)
def test_alpha_of_any_scale_is_what_rasterio_takes_it_for(
    dtype: str, count: int, top: float, backend: Any, tmp_path: Path
) -> None:
    colours = bands(count, dtype, 30, 120)
    path = write_tiff(
        tmp_path / "a.tif", with_alpha(colours, top), photometric="rgb" if count == 3 else "minisblack", alpha="yes"
    )
    view = open_image(path, backend=backend, stretch=Stretch((0.0,), (255.0,))).overview()
    assert view.valid is not None and np.array_equal(view.valid, KNOWN)
    if dtype.startswith("uint"):  # GDAL makes no mask of alpha in other types, though it says that it is alpha
        assert np.array_equal(view.valid, theirs(path))
    assert np.abs(np.asarray(view.image)[KNOWN].astype(float) - colours[KNOWN]).max() <= 0.5  # opaque there
    assert not np.asarray(view.image)[~KNOWN].any()


@pytest.mark.parametrize("backend", BACKENDS)
def test_half_transparent_pixels_are_valid_and_half_as_bright(backend: Any, tmp_path: Path) -> None:
    colours = np.full((HEIGHT, WIDTH, 3), 100, dtype=np.uint8)
    array = with_alpha(colours, 255)
    array[20:50, 10:40, 3] = 51
    path = write_tiff(tmp_path / "a.tif", array, photometric="rgb", alpha="yes")
    raster = open_image(path, backend=backend)
    view = raster.overview()
    assert view.valid is not None and np.array_equal(view.valid, theirs(path))
    assert np.unique(np.asarray(view.image)[20:50, 10:40]).tolist() == [20]
    small = raster.overview(size=(16, 12))  # averaged squares of 5 x 5: the same places, the same brightness
    assert small.valid is not None and np.array_equal(small.valid, KNOWN[2::5, 2::5])
    assert np.unique(np.asarray(small.image)[5:9, 3:7]).tolist() == [20]


@pytest.mark.parametrize("backend", BACKENDS)
def test_colours_stored_multiplied_by_alpha_are_multiplied_once(backend: Any, tmp_path: Path) -> None:
    colours = bands(3, "uint8", 40, 200)
    opacity = np.where(KNOWN, 255, 128).astype(np.uint8)
    stored = np.round(colours * (opacity[..., None] / 255)).astype(np.uint8)
    path = write_tiff(
        tmp_path / "a.tif", np.dstack([stored, opacity]), photometric="rgb", alpha="premultiplied", compress="deflate"
    )
    view = open_image(path, backend=backend).overview()
    assert np.abs(np.asarray(view.image).astype(int) - stored).max() <= 1  # over black it looks as it is stored
    assert view.coverage == 1


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("chosen", [[1, 2, 3], [3, 2, 1], [2]])
@pytest.mark.parametrize("kind", ["alpha", "mask", "nodata"])
def test_a_choice_of_bands_keeps_what_is_valid(kind: str, chosen: list[int], backend: Any, tmp_path: Path) -> None:
    colours = bands(3)
    colours[~KNOWN] = 65535
    options: dict[str, Any] = {"photometric": "rgb"}
    if kind == "alpha":
        path = write_tiff(tmp_path / "a.tif", with_alpha(colours, 65535), alpha="yes", **options)
    elif kind == "mask":
        path = write_tiff(tmp_path / "a.tif", colours, mask=KNOWN, **options)
    else:
        path = write_tiff(tmp_path / "a.tif", colours, nodata=65535, **options)
    raster = open_image(path, bands=chosen, backend=backend)
    view = raster.overview()
    assert view.valid is not None and np.array_equal(view.valid, theirs(path)) and np.array_equal(view.valid, KNOWN)
    assert view.stretch is not None and max(view.stretch.high) < 3000
    assert 110 < np.asarray(view.image)[KNOWN].mean() < 145


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_alpha_band_that_is_chosen_is_shown(backend: Any, tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", with_alpha(bands(3, "uint8", 9, 99), 77), photometric="rgb", alpha="yes")
    view = open_image(path, bands=[4], backend=backend).overview()
    assert view.coverage == 1 and (np.asarray(view.image)[KNOWN] == 77).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_near_infrared_marked_as_alpha_is_mentioned(backend: Any, tmp_path: Path) -> None:
    colours = bands(4, "uint8", 60, 200)
    path = write_tiff(tmp_path / "naip.tif", colours)  # GDAL marks the fourth band of bytes as alpha
    with rasterio.open(path) as file:
        assert file.colorinterp[3].name == "alpha"
    raster = open_image(path, backend=backend)
    raster.overview()
    (note,) = raster.notes
    assert note.startswith("band 4 is marked as alpha and holds numbers up to 199 as a picture does")
    assert "opaque=True" in note
    plain = open_image(path, backend=backend, opaque=True)
    assert np.array_equal(np.asarray(plain.overview().image), colours[..., :3]) and plain.overview().coverage == 1
    assert plain.notes == ()
    infrared = open_image(path, backend=backend, bands=[4, 1, 2])
    assert np.array_equal(np.asarray(infrared.overview().image), colours[..., [3, 0, 1]]) and infrared.notes == ()


def test_soft_masks_are_not_taken_for_pictures(tmp_path: Path) -> None:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    inside = np.minimum.reduce([x, y, WIDTH - 1 - x, HEIGHT - 1 - y])
    soft = (inside * 32).clip(0, 255).astype(np.uint8)
    path = write_tiff(tmp_path / "a.tif", np.dstack([bands(3, "uint8", 9, 99), soft]), photometric="rgb", alpha="yes")
    for backend in BACKENDS:
        raster = open_image(path, backend=backend)
        view = raster.overview()
        assert view.valid is not None and np.array_equal(view.valid, theirs(path)) and raster.notes == ()


@pytest.mark.parametrize("kind", ["alpha", "mask", "nodata"])
def test_a_picture_of_which_almost_nothing_is_valid_is_a_warning(kind: str, tmp_path: Path) -> None:
    known = np.zeros_like(KNOWN)
    known[5, 7:12] = True
    colours = bands(3)
    if kind == "alpha":
        path = write_tiff(tmp_path / "a.tif", with_alpha(colours, 255, known), photometric="rgb", alpha="yes")
    elif kind == "mask":
        path = write_tiff(tmp_path / "a.tif", colours, mask=known, photometric="rgb")
    else:
        path = write_tiff(tmp_path / "a.tif", np.where(known[..., None], colours, 0), nodata=0, photometric="rgb")
    for backend in BACKENDS:
        raster = open_image(path, backend=backend)
        assert raster.overview().coverage == theirs(path).mean()
        (note,) = raster.notes
        assert note.startswith("only 0.1 % of its pixels are valid, by its ") and "opaque=True" in note
        assert {"alpha": "alpha band 4", "mask": "mask", "nodata": "no-data value 0"}[kind] in note
        whole = open_image(path, backend=backend, opaque=True)
        assert whole.overview().coverage == 1 and whole.notes == ()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("hole", [np.nan, -9999.0])
def test_a_pixel_that_lacks_one_band_shows_the_others(hole: float, backend: Any, tmp_path: Path) -> None:
    numbers = bands(3, "float32")
    whole = numbers.copy()
    numbers[~KNOWN, 1] = hole
    numbers[:5] = hole
    path = write_tiff(tmp_path / "a.tif", numbers, nodata=hole, photometric="rgb")
    with rasterio.open(path) as file:
        anywhere = np.logical_or.reduce([file.read_masks(k) > 0 for k in (1, 2, 3)])
    fixed = Stretch((0.0,), (3000.0,))
    raster = open_image(path, backend=backend, stretch=fixed)
    view = raster.overview()
    assert view.valid is not None
    if not np.isnan(hole):  # rasterio's own mask takes numbers that are none for valid
        assert np.array_equal(anywhere, theirs(path)) and np.array_equal(view.valid, anywhere)
    assert not view.valid[:5].any() and view.valid[5:].all()
    picture = np.asarray(view.image)
    assert np.abs(picture[5:][..., [0, 2]] - whole[5:][..., [0, 2]] * 255 / 3000).max() <= 0.51
    assert not picture[..., 1][~KNOWN].any()
    small = np.asarray(raster.overview(size=(16, 12)).image)[..., 1]  # what is not there takes no part in means
    inside = KNOWN[2::5, 2::5]
    assert small[inside].min() > 90 and abs(small[inside].mean() - 1650 * 255 / 3000) < 3
    assert not small[:3].any() and not small[:, :1].any()
    found = open_image(path, backend=backend).stretch
    assert found is not None and all(300 < low < 400 and 2900 < high < 3000 for low, high in zip(found.low, found.high))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_band_of_nothing_does_not_hide_the_others(backend: Any, tmp_path: Path) -> None:
    numbers = bands(3, "float32")
    numbers[..., 2] = np.nan
    view = open_image(write_tiff(tmp_path / "a.tif", numbers, photometric="rgb"), backend=backend).overview()
    assert view.coverage == 1 and np.asarray(view.image)[..., :2].mean() > 100


def test_black_is_a_colour_where_zero_means_no_data(tmp_path: Path) -> None:
    colours = bands(3, "uint8", 0, 3)
    path = write_tiff(tmp_path / "a.tif", colours, nodata=0, photometric="rgb")
    for backend in BACKENDS:
        view = open_image(path, backend=backend).overview()
        assert view.valid is not None and np.array_equal(view.valid, theirs(path))
        assert np.array_equal(np.asarray(view.image), colours)


@pytest.mark.parametrize("backend", BACKENDS)
def test_levels_without_a_mask_do_not_show_what_is_masked(backend: Any, tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", bands(3, "uint8", 9, 99), photometric="rgb", overviews=(2, 4))
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK="YES"), rasterio.open(path, "r+") as file:
        file.write_mask(KNOWN)
    view = open_image(path, backend=backend).overview(size=(20, 15))
    assert view.valid is not None and view.coverage == pytest.approx(theirs(path).mean(), abs=0.06)
    masked = write_tiff(tmp_path / "b.tif", bands(3, "uint8", 9, 99), mask=KNOWN, photometric="rgb", overviews=(2, 4))
    raster = open_image(masked, backend=backend)
    assert len(raster._reader.levels) == 3 and raster.overview(size=(20, 15)).coverage == pytest.approx(0.375, abs=0.06)


@pytest.mark.parametrize("bits", [9, 10, 12, 14])
@pytest.mark.parametrize("layout", ["pixel", "band"])
def test_numbers_of_odd_bits_are_read_the_same(bits: int, layout: str, tmp_path: Path) -> None:
    top = 2**bits - 1
    colours = bands(3, "uint16", 0, top + 1)[:, :-3]
    path = write_tiff(
        tmp_path / "a.tif", colours, nbits=bits, photometric="rgb", interleave=layout, compress="deflate", blockysize=7
    )
    fixed = Stretch((0.0,), (float(top),))
    one, two = (np.asarray(open_image(path, backend=b, stretch=fixed).overview().image) for b in BACKENDS)
    with rasterio.open(path) as file:
        right = np.moveaxis(file.read(), 0, -1)
    assert np.array_equal(right, colours) and np.array_equal(one, two)
    assert np.abs(one - right * (255 / top)).max() <= 0.51


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["int8", "int16", "int32"])
def test_negative_numbers_are_numbers(dtype: str, backend: Any, tmp_path: Path) -> None:
    numbers = np.random.default_rng(0).integers(-120, 90, (HEIGHT, WIDTH)).astype(dtype)
    numbers[~KNOWN] = -128
    path = write_tiff(tmp_path / "a.tif", numbers, nodata=-128)
    view = open_image(path, backend=backend, percentiles=(0, 100)).overview()
    assert view.valid is not None and np.array_equal(view.valid, theirs(path))
    expected = (numbers[KNOWN].astype(float) + 120) * 255 / 209
    assert np.abs(np.asarray(view.image)[KNOWN][:, 0] - expected).max() <= 0.51


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_tile_may_be_larger_than_the_image(backend: Any, tmp_path: Path) -> None:
    colours = bands(3, "uint8", 0, 255)
    for compress in ("none", "deflate", "lzw", "jpeg"):
        options: dict[str, Any] = {"quality": 100} if compress == "jpeg" else {}
        path = write_tiff(
            tmp_path / "a.tif",
            colours,
            photometric="rgb",
            compress=compress,
            tiled=True,
            blockxsize=512,
            blockysize=256,
            **options,
        )
        raster = open_image(path, backend=backend)
        with rasterio.open(path) as file:
            right = np.moveaxis(file.read(), 0, -1)
        off = np.abs(np.asarray(raster.overview().image).astype(int) - right).max()
        assert off <= (2 if compress == "jpeg" else 0)
        assert np.array_equal(
            np.asarray(raster.read((30, 20, 80, 60)).image), np.asarray(raster.overview().image)[20:, 30:]
        )


@pytest.mark.parametrize("backend", BACKENDS)
def test_decibels_are_not_taken_the_logarithm_of(backend: Any, tmp_path: Path) -> None:
    intensity = np.random.default_rng(0).gamma(1.0, 0.05, (HEIGHT, WIDTH)).astype(np.float32)
    decibels = 10 * np.log10(intensity)
    pictures = []
    for name, numbers in (("linear", intensity), ("decibels", decibels)):
        raster = open_image(write_tiff(tmp_path / f"{name}.tif", numbers), backend=backend, stretch="log")
        pictures.append(np.asarray(raster.overview().image).astype(int))
        assert ("are decibels already" in " ".join(raster.notes)) == (name == "decibels")
    assert np.abs(pictures[0] - pictures[1]).max() <= 1


@pytest.mark.parametrize("name", ["landsat.tif", "neon.tif"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_real_files_are_as_valid_as_rasterio_says(name: str, backend: Any) -> None:
    path = evidence(f"images/{name}")
    raster = open_image(path, backend=backend)
    view = raster.read((0, 0, raster.width, raster.height))
    assert view.coverage == pytest.approx(theirs(path).mean(), abs=1e-9)
    assert 0.5 < view.coverage < 1 or name == "neon.tif"


def test_every_file_of_the_shared_set_is_as_valid_as_rasterio_says() -> None:
    for name in ("RGB.byte.tif", "mosaic_cog1.tif", "rgb1.tif", "cog_gcps.tif"):
        path = shared(f"geotiff/{name}")
        for backend in BACKENDS:
            raster = open_image(path, backend=backend)
            view = raster.read((0, 0, raster.width, raster.height))
            assert view.coverage == pytest.approx(theirs(path).mean(), abs=1e-9), name


def test_opacity_beside_inks_is_read_or_said_not_to_be(tmp_path: Path) -> None:
    """GDAL turns CMYK into colours and takes all of it as opaque; tifffile shows what is stored."""
    import tifffile

    inks = np.random.default_rng(0).integers(0, 255, (100, 80, 5), np.uint8)
    inks[:50, :, 4], inks[50:, :, 4] = 0, 255
    path = tmp_path / "inks.tif"
    tifffile.imwrite(path, inks, photometric="separated", extrasamples=["unassalpha"])
    ways: list[Any] = ["auto", "plain"]
    for backend in ways:
        for source in (path, path.read_bytes()):
            image = open_image(source, backend=backend)
            assert image.overview().coverage == 0.5 and not image.notes
    image = open_image(path, backend="rasterio")
    assert image.overview().coverage == 1
    assert any("opacity beside its inks" in note for note in image.notes)
    tifffile.imwrite(path, inks[..., :4], photometric="separated")
    for backend in [*ways, "rasterio"]:
        image = open_image(path, backend=backend)
        assert image.overview().coverage == 1 and not image.notes
