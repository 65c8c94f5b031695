"""Visual tokens of a question stay within the limit, whatever the images and whatever the model asks for."""

import random
from typing import Any

import pytest
from PIL import Image

from rscovlm.geometry import Frame
from rscovlm.processing.resolution import PixelBudget, plan_size
from rscovlm.rasters import Raster
from rscovlm.rasters.view import View
from rscovlm.zoom import ZoomChain
from tests.zoom.scripted import Scripted, call


class Blank(Raster):
    """A raster of any size that holds nothing; what is asked of it is what a real one would have to read."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height, self.path = width, height, "blank"
        self.frame = Frame(width, height)

    def read(self, window: Any, max_pixels: int | None = None, *, size: tuple[int, int] | None = None) -> View:
        x1, y1, x2, y2 = window
        assert 0 <= x1 < x2 <= self.width and 0 <= y1 < y2 <= self.height and max_pixels is None
        wanted = size or (x2 - x1, y2 - y1)
        return View(Image.new("L", wanted), self.frame.cropped(*window).resized(*wanted), None, None)


def sizes(rng: random.Random) -> tuple[int, int]:
    """Sides from 1 to 100,000, evenly in their logarithms."""
    return round(10 ** rng.uniform(0, 5)), round(10 ** rng.uniform(0, 5))


@pytest.mark.parametrize("factor", [28, 32])
def test_no_image_and_no_model_takes_more_visual_tokens_than_the_limit(factor: int) -> None:
    rng = random.Random(factor)
    budget = PixelBudget(factor=factor) if factor == 28 else PixelBudget(65_536, 16_777_216, factor)
    steps, spent = 0, []
    extremes = [
        (1, 100_000),
        (100_000, 1),
        (28, 5601),
        (3, 27_000),
        (100_000, 100_000),
        (100_000, 500),
        (500, 100_000),
        (1, 1),
        (1, 200),
        (27_000, 20_000),
        (1008, 1008),
    ]
    for number in range(150):
        images = [sizes(rng) for _ in range(1 if number % 3 else rng.randint(2, 9))]
        if number < len(extremes):
            images = [extremes[number]]
        several = len(images) > 1

        def greedy(conversation: Any, turn: int, several: bool = several) -> str:
            seen = conversation.images()
            assert sum(budget.tokens(plan_size(image.width, image.height, budget)) for image in seen) <= 3000
            corners = sorted(rng.uniform(0, 1200) for _ in range(2)), sorted(rng.uniform(0, 1200) for _ in range(2))
            (x1, x2), (y1, y2) = corners
            return call(x1, y1, x2, y2, **({"image": rng.randint(1, len(seen))} if several else {}))

        codec = "rscovlm-v1" if factor == 28 else "qwen3-vl"
        chain = ZoomChain(Scripted(greedy, codec, budget=budget), max_steps=40, max_refusals=40)
        result = chain.ask([Blank(*size) for size in images], "?")
        assert result.visual_tokens == sum(
            budget.tokens(plan_size(view.image.width, view.image.height, budget)) for view in result.views
        )
        assert result.visual_tokens <= 3000 and len(result.views) >= len(images)
        steps += len(result.crops)
        spent.append(result.visual_tokens)
    assert steps > 150 and max(spent) > 2700  # windows were shown, and the limit was come near to
