"""What a model scores without looking: the same questions without the image, or about another image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, get_args

from rscovlm.benchmarks.items import BenchmarkItem
from rscovlm.records.record import ImageRef

Control = Literal["", "no-image", "shuffled"]
"""``no-image`` asks without any image (detection: about a grey one); ``shuffled`` asks about another item's image."""

CONTROLS: tuple[Control, ...] = tuple(name for name in get_args(Control) if name)


def shuffled(items: Sequence[BenchmarkItem]) -> dict[str, tuple[ImageRef, ...]]:
    """Return other images for each item: those of an item half the list away that shows another image.

    An item keeps its own where all items show one image.

    Args:
        items: The whole benchmark, so that shards and resumed runs give each item the same image.
    """
    found = {}
    for place, item in enumerate(items):
        others = (items[(place + len(items) // 2 + step) % len(items)] for step in range(len(items)))
        other = next((one for one in others if one.image != item.image and one.root == item.root), item)
        found[item.id] = other.record.images
    return found


def with_images(item: BenchmarkItem, images: tuple[ImageRef, ...]) -> BenchmarkItem:
    """Return an item whose question is about other images; what is true stays."""
    return replace(item, record=replace(item.record, images=images))
