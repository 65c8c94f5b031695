"""Cyclic referring: describe what was found and find what was described; how far the two agree is a confidence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rscovlm.codec.control_tokens import harmless
from rscovlm.codec.point_objects import SetForm
from rscovlm.engines.engine import check_engine
from rscovlm.geometry import Boxes, Frame, Objects
from rscovlm.geometry.kinds import Kind
from rscovlm.geometry.masks import Mask
from rscovlm.geometry.similarity import iou
from rscovlm.points.segmenter import Segmenter
from rscovlm.rasters import Raster, open_image
from rscovlm.tasks.describe import describe, describe_change, expressions_of
from rscovlm.tasks.ground import ground

if TYPE_CHECKING:
    from rscovlm.engines.engine import Engine

DescribeAll = Callable[[Objects], Sequence[str]]
FindAll = Callable[[Sequence[str]], Sequence[Objects]]


@dataclass(frozen=True)
class RoundTrips:
    """Objects that were described and found again.

    Attributes:
        objects: What was described.
        texts: The description of each; empty where nothing was said.
        found: What each description found, in pixels of the original image.
        overlaps: (n,) IoU of each object with the best that its description found; 0 where that is nothing.
        unique: (n,) whether a description found exactly one thing, and no other object has the same description.
    """

    objects: Objects
    texts: tuple[str, ...]
    found: tuple[Objects, ...]
    overlaps: NDArray[np.float64]
    unique: NDArray[np.bool_]

    @property
    def confidence(self) -> NDArray[np.float64]:
        """The IoU of each round trip, shared among the things that its description found."""
        counts = np.array([max(1, len(one)) for one in self.found], dtype=np.float64)
        return np.asarray(self.overlaps / counts)

    def scores(self, least: float = 0.5) -> dict[str, float]:
        """Return the consistency of all round trips.

        Args:
            least: IoU from which an object was found again.

        Returns:
            ``mean_iou``, ``found_again`` (share with an IoU of at least `least`), ``unique`` (share of unique
            references), ``consistent`` (share that is both) and ``items``; zeros without any.
        """
        total = max(1, len(self.texts))
        again = self.overlaps >= least
        return {
            "mean_iou": float(self.overlaps.sum()) / total,
            "found_again": int(again.sum()) / total,
            "unique": int(self.unique.sum()) / total,
            "consistent": int((again & self.unique).sum()) / total,
            "items": len(self.texts),
        }

    def kept(self, least: float = 0.5) -> list[int]:
        """Return the rows that pass both filters: found again, by a unique reference."""
        return np.flatnonzero((self.overlaps >= least) & self.unique).tolist()


def round_trips(
    engine: Engine,
    image: Any,
    objects: Objects,
    *,
    describe_all: DescribeAll | None = None,
    find_all: FindAll | None = None,
) -> RoundTrips:
    """Describe each object of an image and find what was described, by the same model.

    Args:
        engine: Who describes and finds.
        image: Whatever ``open_image`` takes.
        objects: In pixels of the image; what `detect` or `ground` found, or true ones.
        describe_all: Describes objects instead of the engine's `describe`, such as by their labels.
        find_all: Finds expressions instead of the engine's `ground`.

    Returns:
        The round trips; `RoundTrips.confidence` is a confidence of each object.

    Raises:
        ValueError: The image cannot be read.

    Source:
        Cyclic referring of GeoRSMLLM (arXiv:2503.12490); as a self-check at inference ours.
    """
    check_engine(engine)
    raster = open_image(image)
    own = objects if objects.boxes.frame is None else objects.to(raster.frame)
    texts = _described(engine, raster, own, describe_all)
    said = [text for text in dict.fromkeys(texts) if text]
    answers = [one.objects for one in ground(engine, raster, said)] if find_all is None and said else []
    if find_all is not None and said:
        answers = list(find_all(said))
    by_text = dict(zip(said, answers, strict=True))
    nothing = Objects.empty("hbb", raster.frame)
    found = tuple(by_text.get(text, nothing) for text in texts)
    overlaps = np.array([_best(own[row], one) for row, one in enumerate(found)], dtype=np.float64)
    return RoundTrips(own, texts, found, overlaps, _unique(texts, found))


def mask_round_trips(
    engine: Engine,
    image: Any,
    masks: Sequence[Mask],
    *,
    segmenter: Segmenter | None = None,
    form: SetForm = "prompt",
    describe_all: DescribeAll | None = None,
) -> RoundTrips:
    """Describe each mask by its box and segment what was described; overlaps are those of masks.

    Args:
        engine: Who describes and segments.
        image: Whatever ``open_image`` takes.
        masks: In pixels of the image; what `segment` found, or true ones.
        segmenter: Who draws masks, as for `segment`.
        form: What the model is asked for, as for `segment`.
        describe_all: Describes the boxes of the masks instead of the engine's `describe`.

    Returns:
        The round trips, their objects and what was found as the boxes of masks.

    Raises:
        ValueError: The image cannot be read, or a mask is empty or one of an image of another size.
    """
    from rscovlm.tasks.segment import segment

    check_engine(engine)
    raster = open_image(image)
    _check_size(masks, raster)
    own = _boxes_of(masks, raster.frame)
    texts = _described(engine, raster, own, describe_all)
    by_text = {
        text: segment(engine, raster, expressions=[text], segmenter=segmenter, form=form).masks
        for text in dict.fromkeys(texts)
        if text
    }
    return _mask_trips(own, texts, masks, [by_text.get(text, ()) for text in texts], raster.frame)


def change_round_trips(
    engine: Engine, before: Any, after: Any, masks: Sequence[Mask], *, describe_all: DescribeAll | None = None
) -> RoundTrips:
    """Describe each change between two images by its box and outline what was described; overlaps are those of masks.

    Args:
        engine: Who describes and outlines.
        before: The earlier image, whatever ``open_image`` takes.
        after: The later one.
        masks: In pixels of the earlier image; what `change` found, or true ones.
        describe_all: Describes the boxes of the masks instead of the engine's `describe_change`.

    Returns:
        The round trips, their objects and what was found as the boxes of masks.

    Raises:
        ValueError: The images do not fit each other or cannot be read, or a mask is empty or one of an image of another size.
    """
    from rscovlm.tasks.change import change

    check_engine(engine)
    first, second = open_image(before), open_image(after)
    _check_size(masks, first)
    own = _boxes_of(masks, first.frame)

    def described(objects: Objects) -> Sequence[str]:
        return expressions_of(describe_change(engine, first, second, objects.boxes)) if len(objects) else []

    texts = _described(engine, first, own, describe_all or described)
    by_text = {
        text: change(engine, first, second, expression=text, check_shift=False).masks
        for text in dict.fromkeys(texts)
        if text
    }
    return _mask_trips(own, texts, masks, [by_text.get(text, ()) for text in texts], first.frame)


def _mask_trips(
    own: Objects, texts: tuple[str, ...], masks: Sequence[Mask], seen: Sequence[Sequence[Mask]], frame: Frame
) -> RoundTrips:
    overlaps = [
        max((_shared(mask, other) for other in others), default=0.0) for mask, others in zip(masks, seen, strict=True)
    ]
    found = tuple(_boxes_of(others, frame) for others in seen)
    return RoundTrips(own, texts, found, np.array(overlaps, dtype=np.float64), _unique(texts, found))


def _check_size(masks: Sequence[Mask], raster: Raster) -> None:
    for number, mask in enumerate(masks):
        if (mask.frame.width, mask.frame.height) != (raster.width, raster.height):
            raise ValueError(
                f"mask {number} is one of {mask.frame.width}x{mask.frame.height} pixels and the image has "
                f"{raster.width}x{raster.height}; bring it there with to()"
            )


def _described(engine: Engine, raster: Raster, own: Objects, describe_all: DescribeAll | None) -> tuple[str, ...]:
    """Return a description of each object, harmless in the next prompt.

    Raises:
        ValueError: There is another number of descriptions than of objects.
    """
    if describe_all is not None:
        texts = list(describe_all(own))
    else:
        texts = expressions_of(describe(engine, raster, own.boxes)) if len(own) else []
    if len(texts) != len(own):
        raise ValueError(f"{len(own)} objects have {len(texts)} descriptions; give one each")
    return tuple(harmless(text).strip() for text in texts)


def _unique(texts: Sequence[str], found: Sequence[Objects]) -> NDArray[np.bool_]:
    """Tell which descriptions are those of one object alone and found one thing."""
    pairs = zip(texts, found, strict=True)
    return np.array([bool(text) and texts.count(text) == 1 and len(one) == 1 for text, one in pairs], dtype=bool)


def _boxes_of(masks: Sequence[Mask], frame: Frame) -> Objects:
    sides = [mask.box.coords[0] for mask in masks]
    boxes = Boxes(np.array(sides), "hbb", frame) if sides else Boxes.empty("hbb", frame)
    return Objects(boxes, ("",) * len(sides))


def _shared(one: Mask, two: Mask) -> float:
    """Return the IoU of two masks of one image."""
    both = int(np.count_nonzero(two.part(one.window) & one.pixels))
    return both / (one.area + two.area - both)


def _best(one: Objects, found: Objects) -> float:
    """Return the largest IoU of an object with others, as horizontal boxes where one of them is horizontal."""
    if not len(found):
        return 0.0
    kind: Kind = "hbb" if "hbb" in (one.boxes.kind, found.boxes.kind) else "quad"
    mine, theirs = one.boxes.as_kind(kind).coords, found.boxes.as_kind(kind).coords
    return float(iou(mine, theirs).max())


def with_confidence(trips: RoundTrips) -> Objects:
    """Return the objects with the confidence of their round trips as scores."""
    return Objects(trips.objects.boxes, trips.objects.labels, trips.confidence)
