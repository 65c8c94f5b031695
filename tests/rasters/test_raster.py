"""Overviews and windows of images in memory, held against plain numpy and Pillow."""

from __future__ import annotations

import multiprocessing
import pickle
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from rscovlm.geometry import Boxes
from rscovlm.rasters import Raster, RasterError, open_image
from rscovlm.rasters.opening import Backend
from rscovlm.rasters.raster import planned
from tests.rasters.files import write_tiff


def picture(width: int, height: int, seed: int = 0) -> NDArray[np.uint8]:
    """Smooth random colours, so that resampled pictures can be compared."""
    small = np.random.default_rng(seed).integers(0, 256, (max(height // 16, 2), max(width // 16, 2), 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def test_a_window_at_full_resolution_is_the_pixels_themselves() -> None:
    array = picture(300, 200)
    view = open_image(array).read((37, 11, 181, 199))
    assert np.array_equal(np.asarray(view.image), array[11:199, 37:181])
    assert view.image.mode == "RGB" and view.stretch is None and view.valid is None


@pytest.mark.parametrize("size", [(640, 320), (500, 250), (320, 160), (160, 80), (91, 53), (33, 16)])
def test_an_overview_is_as_good_as_pillows_slow_and_exact_one(size: tuple[int, int]) -> None:
    array = picture(640, 320)
    view = open_image(array).overview(size=size)
    oracle = Image.fromarray(array).resize(size, Image.Resampling.BICUBIC)
    assert np.abs(np.asarray(view.image).astype(int) - np.asarray(oracle)).mean() <= 2


def test_the_frame_of_a_view_takes_boxes_to_the_original_image() -> None:
    raster = open_image(picture(640, 320))
    view = raster.read((100, 60, 500, 260), max_pixels=5_000)
    assert view.image.size == (view.frame.width, view.frame.height) == (100, 50)
    box = Boxes(np.array([[25.0, 5.0, 50.0, 10.0]]), "hbb", view.frame).to(raster.frame)
    assert box.coords.tolist() == [[200.0, 80.0, 300.0, 100.0]]


@settings(max_examples=60)
@given(st.integers(1, 40_000), st.integers(1, 40_000), st.integers(1, 3_000_000))
def test_a_planned_size_keeps_within_the_budget_and_the_image(width: int, height: int, budget: int) -> None:
    across, down = planned(width, height, budget)
    assert 1 <= across <= width and 1 <= down <= height
    assert across * down <= max(budget, 1)
    if width * height <= budget:
        assert (across, down) == (width, height)


@settings(max_examples=60)
@given(st.data())
def test_any_window_at_any_size_lies_where_its_frame_says(data: st.DataObject) -> None:
    """On a ramp a pixel's number is its place, which any symmetric average keeps."""
    ramp = np.stack(np.broadcast_arrays(np.arange(220.0)[None, :], np.arange(170.0)[:, None], np.float64(0)), axis=-1)
    raster = open_image(ramp.astype(np.float32), stretch="none")
    x1, y1 = data.draw(st.integers(0, 150)), data.draw(st.integers(0, 100))
    x2, y2 = data.draw(st.integers(x1 + 40, 220)), data.draw(st.integers(y1 + 40, 170))
    size = (data.draw(st.integers(8, 90)), data.draw(st.integers(8, 90)))
    view = raster.read((x1, y1, x2, y2), size=size)
    shown = np.asarray(view.image, dtype=float)
    centres = np.stack(np.meshgrid(np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5), axis=-1)
    a, _, c, _, e, f = view.frame.to_root
    expected = centres * (a, e) + (c, f) - 0.5  # pixel k holds the number k, and its centre is k + 0.5
    wrong = np.abs(shown[..., :2] - expected)[2:-2, 2:-2]
    assert (wrong <= 0.51 + 0.05 * np.array([a, e])).all()  # rounding, and a twentieth of a pixel of the view


@pytest.mark.parametrize(
    ("window", "said"),
    [
        ((-5, 0, 10, 10), r"part inside is \(0, 0, 10, 10\)"),
        ((0, 0, 301, 200), r"part inside is \(0, 0, 300, 200\)"),
        ((400, 0, 500, 10), "choose one inside"),
        ((10, 10, 5, 20), "empty or inverted"),
        ((10, 10, 10, 20), "empty or inverted"),
        ((0.5, 0, 10, 10), "four whole numbers"),
        ((float("nan"), 0, 10, 10), "four whole numbers"),
        ((0, 0, 10), "four whole numbers"),
        (None, "four whole numbers"),
    ],
)
def test_a_window_that_cannot_be_read_is_named(window: object, said: str) -> None:
    raster = open_image(picture(300, 200))
    with pytest.raises(RasterError, match=said) as caught:
        raster.read(window)  # type: ignore[arg-type]
    assert str(caught.value).startswith("array")


@pytest.mark.parametrize("budget", [0, -4, 2.5, True])
def test_a_budget_that_is_no_number_of_pixels_is_named(budget: int) -> None:
    with pytest.raises(ValueError, match="max_pixels"):
        open_image(picture(300, 200)).overview(budget)


def test_threads_may_share_a_raster() -> None:
    array = picture(300, 200)
    raster = open_image(array)
    wrong: list[int] = []

    def work(k: int) -> None:
        for step in range(20):
            x, y = (k * 31 + step * 7) % 200, (k * 17 + step * 5) % 100
            if not np.array_equal(np.asarray(raster.read((x, y, x + 64, y + 64)).image), array[y : y + 64, x : x + 64]):
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def _first_pixel(raster: Raster, corner: tuple[int, int]) -> list[int]:
    x, y = corner
    view = raster.read((x, y, x + 1, y + 1))
    pixel: list[int] = np.asarray(view.image)[0, 0].tolist()
    return pixel


@pytest.mark.parametrize("backend", ["rasterio", "plain"])
def test_forked_processes_may_read_one_raster_at_once(backend: Backend, tmp_path: Path) -> None:
    """Data loaders fork: a place in the file shared with the parent would mix up the blocks."""
    array = picture(512, 512)
    raster = open_image(
        write_tiff(tmp_path / "a.tif", array, tiled=True, blockxsize=16, blockysize=16), backend=backend
    )
    raster.overview(size=(4, 4))
    corners = [(int(x), int(y)) for x, y in np.random.default_rng(0).integers(0, 512, (300, 2))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # pytest's own threads, which do not touch the file
        with multiprocessing.get_context("fork").Pool(3, initializer=_keep, initargs=(raster,)) as pool:
            seen = pool.map(_look, corners, chunksize=10)
    assert seen == [array[y, x].tolist() for x, y in corners]


_KEPT: list[Raster] = []


def _keep(raster: Raster) -> None:
    _KEPT.append(raster)


def _look(corner: tuple[int, int]) -> list[int]:
    return _first_pixel(_KEPT[-1], corner)


def test_a_raster_is_pickled_as_the_way_it_was_opened(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", picture(64, 64))
    raster = open_image(path, bands=(3, 2, 1), stretch="percentiles")
    again = pickle.loads(pickle.dumps(raster))
    assert (again.path, again.bands, again.stretch) == (raster.path, raster.bands, raster.stretch)
    assert np.array_equal(np.asarray(again.overview().image), np.asarray(raster.overview().image))
