"""What segmentation of an image gives: masks with labels, the prompts they were drawn from, and what could not be read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rscovlm.codec.point_objects import PointObject
from rscovlm.geometry import Frame
from rscovlm.geometry.masks import Mask
from rscovlm.points.polygons import polygons_each


@dataclass(frozen=True)
class Segmented:
    """The masks of what was asked for.

    Attributes:
        masks: One an object, in pixels of the original image; empty ones are left out and counted as ``empty_mask``.
        labels: A label for each.
        prompts: The boxes with points, or polygons, that the model gave, in original pixels.
        frame: The image's grid.
        problems: Counts by reason of what could not be read.
        texts: The answers as the model wrote them.
    """

    masks: tuple[Mask, ...]
    labels: tuple[str, ...]
    prompts: tuple[PointObject, ...]
    frame: Frame
    problems: dict[str, int] = field(default_factory=dict)
    texts: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        pairs: Iterable[tuple[str, Mask]],
        prompts: Iterable[PointObject],
        frame: Frame,
        problems: Mapping[str, int],
        texts: Iterable[str],
    ) -> Segmented:
        """Return the result of labelled masks; reasons that never occurred are left out.

        Args:
            pairs: A label and its mask, empty ones left out.
            prompts: What they were drawn from.
            frame: The image's grid.
            problems: Counts by reason.
            texts: The answers.
        """
        kept = list(pairs)
        counts = {reason: count for reason, count in sorted(problems.items()) if count}
        labels, masks = tuple(label for label, _ in kept), tuple(mask for _, mask in kept)
        return cls(masks, labels, tuple(prompts), frame, counts, tuple(texts))

    def polygons(self, **options: Any) -> list[PointObject]:
        """Return the connected parts of all masks as polygons; options are those of `polygons_each`."""
        return [one for found in polygons_each(self.masks, self.labels, **options) for one in found.objects]
