"""Our image processor against the stock PIL class, and on images that need converting or refusing."""

from typing import Any

import numpy as np
import pytest
import transformers
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version
from PIL import Image
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from rscovlm.processing import PixelBudget, RSCoVLMImageProcessor, plan_size
from rscovlm.processing.pixels import to_rgb

RNG = np.random.default_rng(0)
QWEN3 = {"patch_size": 16, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}


def picture(width: int, height: int, mode: str = "RGB") -> Image.Image:
    coarse = Image.fromarray(RNG.integers(0, 256, (max(2, height // 9), max(2, width // 9), 3), dtype=np.uint8))
    return coarse.resize((width, height), Image.Resampling.BICUBIC).convert(mode)


stock_blends = pytest.mark.skipif(
    Version(transformers.__version__) < Version("5.21"),
    reason="the stock processor of transformers before 5.21 drops alpha and refuses grey arrays; ours does not change",
)


def both(images: Any, **options: Any) -> tuple[Any, Any]:
    values = {"size": {"shortest_edge": 224 * 224, "longest_edge": 1008 * 1008}, **options}
    ours, stock = RSCoVLMImageProcessor(**values), Qwen2VLImageProcessorPil(**values)
    return ours(images, return_tensors="np"), stock(images, return_tensors="np")


@pytest.mark.parametrize("family", [{}, QWEN3], ids=["qwen2_5_vl", "qwen3_vl"])
@pytest.mark.parametrize(
    "size", [(1008, 1008), (1024, 1024), (512, 512), (37, 61), (300, 200), (1999, 640), (20, 4000)]
)
def test_values_equal_the_stock_processor(size: tuple[int, int], family: dict[str, Any]) -> None:
    ours, stock = both(picture(*size), **family)
    assert np.array_equal(ours["image_grid_thw"], stock["image_grid_thw"])
    assert np.abs(ours["pixel_values"] - stock["pixel_values"]).max() < 1e-5
    assert ours["pixel_values"].dtype == np.float32


@stock_blends
@pytest.mark.parametrize("mode", ["L", "1", "P", "RGBA", "LA", "CMYK", "YCbCr", "HSV", "PA"])
def test_other_modes_convert_as_in_the_stock_processor(mode: str) -> None:
    image = picture(90, 60).convert("P" if mode == "PA" else "RGB").convert(mode)
    if "A" in mode:
        image.putalpha(Image.fromarray(RNG.integers(0, 256, (60, 90), dtype=np.uint8)))
    ours, stock = both(image)
    assert np.abs(ours["pixel_values"] - stock["pixel_values"]).max() < 1 / 255 / 0.25


@stock_blends
@pytest.mark.parametrize("shape", [(84, 112, 3), (3, 84, 112), (84, 112, 1), (84, 112, 4), (4, 84, 112)])
def test_arrays_convert_as_in_the_stock_processor(shape: tuple[int, ...]) -> None:
    array = RNG.integers(0, 256, shape, dtype=np.uint8)
    ours, stock = both(array, size={"shortest_edge": 28 * 28, "longest_edge": 1008 * 1008})
    # One level: the stock class rounds alpha differently.
    assert np.abs(ours["pixel_values"] - stock["pixel_values"]).max() < 1.01 / 255 / 0.26


def test_floats_integers_and_flat_arrays_give_the_same_pixels() -> None:
    band = RNG.integers(0, 256, (30, 40), dtype=np.uint8)
    expected = np.asarray(to_rgb(np.dstack([band] * 3)))
    for same in (band, band / 255.0, (band / 255.0).astype(np.float32), band.astype(np.int64), band[..., None]):
        assert np.array_equal(np.asarray(to_rgb(same)), expected)
    assert np.array_equal(np.asarray(to_rgb(Image.fromarray(band))), expected)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (Image.new("I;16", (40, 40)), "mode 'I;16', more than 8 bits"),
        (Image.new("I", (40, 40)), "mode 'I'"),
        (Image.new("F", (40, 40)), "mode 'F'"),
        (Image.new("RGB", (0, 40)), "empty"),
        (np.zeros((0, 10, 3), np.uint8), "empty"),
        (np.full((20, 20, 3), np.nan), "1200 NaN"),
        (np.full((20, 20, 3), np.inf, np.float32), "1200 NaN or infinite"),
        (np.full((20, 20, 3), 1.5), "from 1.5 to 1.5"),
        (np.full((20, 20, 3), 4000, np.uint16), "uint16 values from 4000"),
        (np.full((20, 20, 3), -1, np.int16), "from -1"),
        (np.zeros((20, 20, 3), bool), "holds bool"),
        (np.zeros((20, 20, 8), np.uint8), "8 bands"),
        (np.zeros((20, 20, 2), np.uint8), "2 bands"),
        (np.zeros(5, np.uint8), "shape"),
        (Image.new("RGB", (4000, 10)), "4000x10.*aspect ratio"),
    ],
)
def test_what_cannot_be_shown_is_named_with_its_place(image: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"image 1 of 2: .*{message}"):
        RSCoVLMImageProcessor()([picture(30, 30), image], return_tensors="np")


def test_planned_size_is_the_grid_for_every_mode() -> None:
    sizes = [(37, 61), (500, 300), (1400, 90), (64, 64)]
    for mode in ("native", "max", "fixed"):
        for factor, family in ((28, {}), (32, QWEN3)):
            budget = PixelBudget(112 * 112, 448 * 448, factor, mode)
            processor = RSCoVLMImageProcessor(**family)
            processor.budget = budget
            grid = processor([picture(*size) for size in sizes], return_tensors="np")["image_grid_thw"]
            patch = processor.patch_size
            assert [(w * patch, h * patch) for _, h, w in grid.tolist()] == [plan_size(*size, budget) for size in sizes]
            counted = [processor.get_number_of_image_patches(height, width) for width, height in sizes]
            assert counted == grid.prod(1).tolist()


def test_mode_and_limits_can_be_given_per_call_and_survive_saving(tmp_path: Any) -> None:
    processor = RSCoVLMImageProcessor(mode="max")
    assert processor(picture(100, 100), return_tensors="np")["image_grid_thw"].tolist() == [[1, 72, 72]]
    small = {"shortest_edge": 1, "longest_edge": 56 * 56}
    assert processor(picture(100, 100), size=small, return_tensors="np")["image_grid_thw"].tolist() == [[1, 4, 4]]
    assert processor(picture(100, 100), mode="native", return_tensors="np")["image_grid_thw"].tolist() == [[1, 16, 16]]
    processor.save_pretrained(tmp_path)
    assert RSCoVLMImageProcessor.from_pretrained(tmp_path).budget == processor.budget == PixelBudget(mode="max")


def test_a_budget_of_another_factor_is_refused() -> None:
    with pytest.raises(ValueError, match="32.*28"):
        RSCoVLMImageProcessor().budget = PixelBudget(factor=32)
    assert RSCoVLMImageProcessor.for_family("qwen3_vl", PixelBudget(factor=32)).patch_size == 16
    with pytest.raises(ValueError, match="'llava'"):
        RSCoVLMImageProcessor.for_family("llava")


def test_rescaling_and_normalising_can_be_off_and_tensors_come_out() -> None:
    import torch

    image = picture(56, 56)
    for options in ({"do_rescale": False}, {"do_normalize": False}, {"do_resize": False}):
        ours, stock = both(image, **options)
        assert np.abs(ours["pixel_values"] - stock["pixel_values"]).max() < 1e-3
    out = RSCoVLMImageProcessor()([image, image], return_tensors="pt")
    assert isinstance(out["pixel_values"], torch.Tensor) and out["image_grid_thw"].shape == (2, 3)
    tensor = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)
    assert torch.equal(RSCoVLMImageProcessor()(tensor, return_tensors="pt")["pixel_values"], out["pixel_values"][:256])


def test_preprocessing_is_at_least_four_times_as_fast_as_the_stock_class() -> None:
    from tests.benchmarks.bench_image_processor import measure

    assert measure(rounds=3, repeats=5)["ratio"] >= 4


@given(
    width=st.integers(20, 900),
    height=st.integers(20, 900),
    limits=st.tuples(st.integers(1, 300), st.integers(1, 300)).map(sorted),
    how=st.sampled_from(["size at the call", "limits at the call", "size", "attributes", "init", "loaded"]),
)
def test_limits_are_taken_wherever_the_stock_class_takes_them(
    width: int, height: int, limits: list[int], how: str
) -> None:
    """The same grid as the stock class, and the same budget as the grid."""
    least, most = limits[0] * 28 * 28, limits[1] * 28 * 28
    size, pixels = {"shortest_edge": least, "longest_edge": most}, {"min_pixels": least, "max_pixels": most}
    grids = []
    for kind in (RSCoVLMImageProcessor, Qwen2VLImageProcessorPil):
        starts: dict[str, dict[str, Any]] = {"init": pixels, "loaded": {"size": size}}
        given_at_start = starts.get(how, {})
        processor = kind.from_dict({}, **given_at_start) if how == "loaded" else kind(**given_at_start)
        if how == "size":
            processor.size = dict(size)
        elif how == "attributes":
            processor.min_pixels, processor.max_pixels = least, most
        calls: dict[str, dict[str, Any]] = {"size at the call": {"size": size}, "limits at the call": pixels}
        options = calls.get(how, {})
        made = processor(Image.new("RGB", (width, height)), return_tensors="np", **options)
        counted = processor.get_number_of_image_patches(height, width, {} if "call" not in how else pixels)
        grids.append(made["image_grid_thw"].tolist())
        if how != "attributes" or kind is RSCoVLMImageProcessor:  # the stock one does not count these
            assert counted == made["image_grid_thw"].prod()
        if kind is RSCoVLMImageProcessor and "call" not in how:
            planned = plan_size(width, height, processor.budget)
            assert [planned.height // 14, planned.width // 14] == grids[0][0][1:]
    assert grids[0] == grids[1]


def test_a_maximum_below_the_minimum_is_kept() -> None:
    """Where the maximum alone is given: at the call, as an attribute, or while the object is made."""
    picture, most = Image.new("RGB", (1500, 1000)), 28 * 28 * 9
    for processor in (RSCoVLMImageProcessor(), RSCoVLMImageProcessor(max_pixels=most)):
        made = processor(picture, max_pixels=most, return_tensors="np")
        assert made["image_grid_thw"].prod() * 14 * 14 <= most
        assert processor.get_number_of_image_patches(1000, 1500, {"max_pixels": most}) == made["image_grid_thw"].prod()
    processor = RSCoVLMImageProcessor()
    processor.max_pixels = most
    assert processor.budget == PixelBudget(most, most)
    processor.budget = PixelBudget()
    assert processor.budget == PixelBudget()
