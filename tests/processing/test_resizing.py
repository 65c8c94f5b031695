"""The fast resizer against Pillow itself: no value more than one grey level off, few that are, whatever is resized to what."""

from __future__ import annotations

import json
import warnings
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from rscovlm.processing import RSCoVLMImageProcessor, RSCoVLMProcessor, chat_template
from rscovlm.processing.resizing import RESIZERS, fast_resizer, resized
from rscovlm.processing.tokenizer import build_tokenizer
from rscovlm.scenes.scene import SceneConfig, make_scene
from rscovlm.training.collator import Collator, PackedCollator

BICUBIC = Image.Resampling.BICUBIC
RNG = np.random.default_rng(15)


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(RNG.integers(0, 256, (height, width, 3), dtype=np.uint8))


def extremes(width: int, height: int) -> Image.Image:
    """Black or white by chance: values between the passes are clipped everywhere."""
    return Image.fromarray(RNG.integers(0, 2, (height, width, 3), dtype=np.uint8) * np.uint8(255))


PICTURES = {
    "noise": noise(411, 307),
    "black and white": extremes(411, 307),
    "stripes": Image.fromarray(np.broadcast_to(RNG.integers(0, 256, (1, 411, 3), dtype=np.uint8), (307, 411, 3))),
    "photograph": Image.open(str(files("rscovlm.testing") / "tile" / "neon.tif")).convert("RGB"),
    "drawn scene": make_scene(4, SceneConfig(size=333, min_objects=6, max_objects=9)).image,
    "grey as RGB": noise(411, 307).convert("L").convert("RGB"),
}


def off(picture: Image.Image, size: tuple[int, int]) -> Any:
    """Return how far each value of the fast resizer is from Pillow's."""
    wanted = np.asarray(picture.resize(size, BICUBIC)).astype(int)
    made = resized(picture, size, resizer="torch")
    assert made.dtype == np.uint8 and made.shape == wanted.shape
    return np.abs(made - wanted)


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize(
    "size",
    [
        (404, 302),
        (336, 224),
        (1008, 756),
        (111, 83),
        (37, 19),
        (700, 90),
        (90, 700),
        (411, 200),
        (200, 307),
        (405, 200),
    ],
    ids=str,
)
def test_no_value_is_more_than_one_grey_level_from_pillow(name: str, size: tuple[int, int]) -> None:
    apart = off(PICTURES[name], size)
    assert apart.max() <= 1
    assert (apart > 0).mean() < 0.01


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 260), st.integers(1, 260), st.integers(1, 260), st.integers(1, 260), st.booleans())
def test_any_size_to_any_other(width: int, height: int, wide: int, high: int, clipped: bool) -> None:
    assert off((extremes if clipped else noise)(width, height), (wide, high)).max() <= 1


@pytest.mark.parametrize("size", [(1, 1), (1, 90), (90, 1), (2, 3), (3000, 2), (2, 3000)], ids=str)
def test_sides_of_one_pixel(size: tuple[int, int]) -> None:
    for other in ((1, 1), (28, 28), (1, 56), (56, 1), (300, 3)):
        assert off(noise(*size), other).max() <= 1


def test_one_colour_stays_that_colour() -> None:
    for grey in range(0, 256, 15):
        flat = Image.new("RGB", (61, 47), (grey, 255 - grey, 7))
        assert {tuple(value) for value in resized(flat, (84, 28), resizer="torch").reshape(-1, 3).tolist()} == {
            (grey, 255 - grey, 7)
        }


def test_filters_other_than_bicubic_are_pillows() -> None:
    picture = PICTURES["noise"]
    for one in (Image.Resampling.BILINEAR, Image.Resampling.LANCZOS, Image.Resampling.NEAREST):
        assert np.array_equal(resized(picture, (90, 80), one, "torch"), np.asarray(picture.resize((90, 80), one)))


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "RGBA", "CMYK"])
def test_the_image_processor_within_one_grey_level(mode: str) -> None:
    pictures = [PICTURES["photograph"].convert(mode), PICTURES["noise"].resize((33, 1200)).convert(mode)]
    values = [RSCoVLMImageProcessor()(pictures, return_tensors="np", resizer=name) for name in RESIZERS]
    assert np.array_equal(values[0]["image_grid_thw"], values[1]["image_grid_thw"])
    level = 1 / 255 / np.array(RSCoVLMImageProcessor().image_std).min()
    apart = np.abs(values[0]["pixel_values"] - values[1]["pixel_values"])
    assert 0 < apart.max() < level * 1.0001
    assert (apart > 1e-5).mean() < 0.01


def test_arrays_however_they_lie_in_memory() -> None:
    array = np.asarray(PICTURES["noise"])  # which may not be written
    process = RSCoVLMImageProcessor(resizer="torch")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        wanted = process(array, return_tensors="np")["pixel_values"]
        turned = np.ascontiguousarray(array.transpose(1, 0, 2)).transpose(1, 0, 2)
        for one in (array[::-1, ::-1][::-1, ::-1], turned, array.transpose(2, 0, 1), PICTURES["noise"], array.copy()):
            assert np.array_equal(process(one, return_tensors="np")["pixel_values"], wanted)
    assert np.array_equal(array, np.asarray(PICTURES["noise"]))


def test_it_is_off_unless_asked_and_not_saved(tmp_path: Path) -> None:
    process = RSCoVLMImageProcessor()
    plain = process(PICTURES["noise"], return_tensors="np")["pixel_values"]
    assert np.array_equal(process(PICTURES["noise"], return_tensors="np", resizer="pillow")["pixel_values"], plain)
    process.resizer = "torch"
    fast = process(PICTURES["noise"], return_tensors="np")["pixel_values"]
    assert not np.array_equal(fast, plain)
    process.save_pretrained(tmp_path)
    assert "resizer" not in json.loads((tmp_path / "preprocessor_config.json").read_text())
    again = RSCoVLMImageProcessor.from_pretrained(tmp_path)
    assert np.array_equal(again(PICTURES["noise"], return_tensors="np")["pixel_values"], plain)
    for refused in (lambda: process(PICTURES["noise"], resizer="opencv"), lambda: Collator(None, resizer="opencv")):  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=r"'opencv'; choose one of pillow, torch"):
            refused()


@pytest.mark.parametrize("packed", [False, True])
def test_collators_take_the_fast_one_unless_told_otherwise(packed: bool) -> None:
    tokenizer = build_tokenizer(["What is this? noise"], phrases=["You are a helpful assistant."])
    processor = RSCoVLMProcessor(RSCoVLMImageProcessor(), tokenizer, chat_template("qwen2_5_vl"))
    turns = [
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is this?"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "noise"}]},
    ]
    sample = {"messages": turns, "images": [PICTURES["noise"]]}
    rows: list[Any] = [{"samples": [sample]}] if packed else [sample]
    kind = PackedCollator if packed else Collator
    plain, fast, usual = (kind(processor, resizer=name)(rows) for name in ("pillow", "torch", None))
    stock = processor(images=[PICTURES["noise"]], text=[processor.image_token], return_tensors="pt")
    assert plain["pixel_values"].equal(stock["pixel_values"])
    assert usual["pixel_values"].equal(fast["pixel_values"] if fast_resizer() == "torch" else plain["pixel_values"])
    assert fast["input_ids"].equal(plain["input_ids"])
    apart = (fast["pixel_values"] - plain["pixel_values"]).abs()
    assert 0 < float(apart.max()) < 1.0001 / 255 / min(processor.image_processor.image_std)
