"""Whether a server shows its model images as planned: pictures of known size, and how many tokens they take there."""

from __future__ import annotations

import math
from collections.abc import Callable

from PIL import Image

from rscovlm.processing.resolution import PixelBudget, Size, plan_size

AROUND = 8
"""Tokens that may stand around those of an image, such as its start and its end."""


class BudgetMismatch(ValueError):
    """A server does not show its model images as they are planned, so that every box would lie elsewhere."""


PromptTokens = Callable[[Image.Image | None], int]
"""Returns the tokens of a prompt with an image, or of the same prompt without; 0 where they are not counted."""


def probe_budget(count: PromptTokens, budget: PixelBudget) -> str | None:
    """Return what is wrong with a budget, by the tokens that its smallest and its largest picture take.

    Args:
        count: Has the server read a prompt.
        budget: How images are planned before they are sent.

    Returns:
        The mismatch in words; "" for none; None where the server does not count the tokens of images.
    """
    sizes = list(dict.fromkeys(_planned(area, budget) for area in (budget.min_pixels, budget.max_pixels)))
    alone = count(None)
    found = {size: count(Image.new("RGB", size, "grey")) for size in sizes} if alone else {}
    if set(found.values()) <= {0, alone}:
        return None
    around = {size: tokens - alone - budget.tokens(size) for size, tokens in found.items()}
    if len(set(around.values())) == 1 and 0 <= min(around.values()) <= AROUND:
        return ""
    worst = max(sizes, key=lambda size: abs(around[size]))
    return (
        f"a picture of {worst.width}x{worst.height} pixels takes about {found[worst] - alone} tokens there, and "
        f"{budget.tokens(worst)} by {budget}"
    )


def _planned(area: int, budget: PixelBudget) -> Size:
    """Return the planned size of a square of about an area, within the limits."""
    side = math.isqrt(area)
    return plan_size(side, side, budget)
