"""Cyclic referring: describe what was found and find what was described; how far the two agree is a confidence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rscovlm.codec.control_tokens import harmless
from rscovlm.engines.engine import check_engine
from rscovlm.geometry import Objects
from rscovlm.geometry.kinds import Kind
from rscovlm.geometry.similarity import iou
from rscovlm.rasters import open_image
from rscovlm.tasks.describe import describe, expressions_of
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
    if describe_all is not None:
        texts = [text.strip() for text in describe_all(own)]
    else:
        texts = expressions_of(describe(engine, raster, own.boxes)) if len(own) else []
    if len(texts) != len(own):
        raise ValueError(f"{len(own)} objects have {len(texts)} descriptions; give one each")
    texts = [harmless(text).strip() for text in texts]
    said = [text for text in dict.fromkeys(texts) if text]
    answers = [one.objects for one in ground(engine, raster, said)] if find_all is None and said else []
    if find_all is not None and said:
        answers = list(find_all(said))
    by_text = dict(zip(said, answers, strict=True))
    nothing = Objects.empty("hbb", raster.frame)
    found = tuple(by_text.get(text, nothing) for text in texts)
    overlaps = np.array([_best(own[row], one) for row, one in enumerate(found)], dtype=np.float64)
    unique = np.array([bool(text) and texts.count(text) == 1 for text in texts], dtype=bool)
    unique &= np.array([len(one) == 1 for one in found], dtype=bool)
    return RoundTrips(own, tuple(texts), found, overlaps, unique)


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
