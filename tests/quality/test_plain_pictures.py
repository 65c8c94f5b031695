"""Pictures with little to see are not called the same: shapes on plain ground, water, tiles without data."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from rscovlm.quality.lint import lint
from rscovlm.records.record import ImageRef, Record

SIDE = 256
Rng = np.random.Generator


def _shapes(rng: Rng) -> Image.Image:
    """Up to three turned boxes of three colours on one green."""
    picture = Image.new("RGB", (int(rng.choice([256, 320, 500])), SIDE), (90 + int(rng.integers(20)), 130, 80))
    draw = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(0, 4))):
        width, height, angle = rng.uniform(30, 90), rng.uniform(30, 70), rng.uniform(0, 1.4)
        x, y = rng.uniform(60, picture.width - 60), rng.uniform(60, SIDE - 60)
        along, across = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
        corners = [
            (x, y) + along * width * i / 2 + across * height * j / 2 for i, j in ((-1, -1), (1, -1), (1, 1), (-1, 1))
        ]
        colour = [(40, 120, 230), (190, 40, 40), (220, 220, 220)][int(rng.integers(3))]
        draw.polygon([tuple(corner.tolist()) for corner in corners], fill=colour)
    return picture


def _water(rng: Rng) -> Image.Image:
    """Waves without shape under light that falls off to one side."""
    shade = np.linspace(0, rng.uniform(5, 20), SIDE)[None, :, None]
    return _clipped(np.array([20, 60, 80]) + rng.normal(0, 4, (SIDE, SIDE, 1)) + shade)


def _no_data(rng: Rng) -> Image.Image:
    """Water with a corner that the sensor did not see."""
    ys, xs = np.mgrid[:SIDE, :SIDE]
    seen = xs + 0.3 * ys > rng.integers(60, 90)
    return _clipped(np.where(seen[..., None], np.asarray(_water(rng), float), 0))


def _nothing(_: Rng) -> Image.Image:
    return Image.new("RGB", (SIDE, SIDE))


def _clipped(values: Any) -> Image.Image:
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def _linted(root: Path, pictures: list[Image.Image]) -> dict[str, int]:
    records = []
    for number, picture in enumerate(pictures):
        picture.save(root / f"{number}.jpg", quality=95)
        image = ImageRef(f"{number}.jpg", width=picture.width, height=picture.height)
        split = "val" if number % 5 == 0 else "train"
        records.append(Record(str(number), "made", split, "caption", (image,), captions=("a field",)))
    return dict(lint(records, root).counts)


@pytest.mark.parametrize("draw", [_shapes, _water, _no_data, _nothing])
def test_no_unrelated_pair_is_called_the_same(tmp_path: Path, draw: Callable[[Rng], Image.Image]) -> None:
    rng = np.random.default_rng(1)
    assert _linted(tmp_path, [draw(rng) for _ in range(40)]) == {}


def test_pictures_with_detail_are_still_found(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    coarse = Image.fromarray(rng.integers(40, 200, (40, 40, 3), dtype=np.uint8))
    scene = coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    scene.save(buffer, "JPEG", quality=50)
    again = Image.open(buffer).convert("RGB")
    assert _linted(tmp_path, [scene, again]) == {"leak": 1}
