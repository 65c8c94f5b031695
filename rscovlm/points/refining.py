"""Masks drawn again from the box and the points of the first ones: what an inexact box costs is partly won back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rscovlm.codec.point_objects import PointObject
from rscovlm.geometry.masks import Mask
from rscovlm.points.keypoints import prompt_of
from rscovlm.points.segmenter import Segmenter
from rscovlm.points.tiled import segment


def segment_refined(
    segmenter: Segmenter,
    image: Any,
    prompts: Sequence[PointObject],
    *,
    rounds: int = 1,
    points: int = 2,
    **options: Any,
) -> list[Mask]:
    """Return the mask of each prompt after further rounds, each from the box of the mask before and points deep inside it.

    A prompt of which nothing was found stays as it was given.

    Args:
        segmenter: Who draws the masks.
        image: Whatever `open_image` takes.
        prompts: Boxes with points, or other shapes.
        rounds: After the first drawing; 0 draws once.
        points: Inside each mask.
        options: ``tile`` and ``overlap`` of `segment`.

    Raises:
        ValueError: ``rounds`` is negative, or as for `segment`.

    >>> import numpy as np
    >>> from rscovlm.geometry import Frame
    >>> from rscovlm.points.segmenter import FilledShapes
    >>> box = PointObject.prompt("ship", (2, 1, 5, 3), [], Frame(8, 8))
    >>> [mask.area for mask in segment_refined(FilledShapes(), np.zeros((8, 8, 3), np.uint8), [box])]
    [6]
    """
    if rounds < 0:
        raise ValueError(f"rounds is {rounds}; give 0 or more")
    given = list(prompts)
    masks = segment(segmenter, image, given, **options)
    for _ in range(rounds):
        given = [
            prompt_of(mask, one.label, inside=points) if mask.area else one
            for mask, one in zip(masks, given, strict=True)
        ]
        masks = segment(segmenter, image, given, **options)
    return masks
