"""What detection metrics read: boxes, labels and flags of many images, checked and laid out flat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rscovlm.geometry.affine import Floats

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Rows:
    """All boxes of one side (found or true), one row each, in the order given.

    Attributes:
        quads: (n, 8) corners in pixels.
        image: (n,) number of the image.
        label: (n,) number of the class.
        flags: (n,) True where difficult; all False for predictions.
        scores: (n,) or None where the items carry none.
    """

    quads: Floats
    image: Ints
    label: Ints
    flags: Bools
    scores: Floats | None

    def __len__(self) -> int:
        return len(self.image)

    def redrawn(self, images: NDArray[np.intp], total: int) -> tuple[Rows, NDArray[np.intp], NDArray[np.intp]]:
        """Return the rows of images drawn anew, any image any number of times.

        Args:
            images: Numbers of the images drawn; the k-th becomes image k.
            total: How many images there were.

        Returns:
            The rows; for each the row it was; and for each draw the row its image now starts at.
        """
        starts = np.searchsorted(self.image, np.arange(total + 1))
        counts = np.diff(starts)[images]
        begins = np.cumsum(counts) - counts
        source = np.repeat(starts[:-1][images] - begins, counts) + np.arange(counts.sum())
        rows = Rows(
            quads=self.quads[source],
            image=np.repeat(np.arange(len(images)), counts),
            label=self.label[source],
            flags=self.flags[source],
            scores=None if self.scores is None else self.scores[source],
        )
        return rows, source, begins


def read_items(
    predictions: Sequence[Any], references: Sequence[Any], classes: Sequence[str] | None
) -> tuple[Rows, Rows, tuple[str, ...]]:
    """Check the items of both sides and return found rows, true rows and the class names.

    Args:
        predictions: One item per image: a mapping with ``"boxes"`` ((n, 8) corners or a `Boxes` of any kind),
            ``"labels"`` (n names) and, for all items or for none, ``"scores"`` (n numbers); or an `Objects`.
        references: The same for what is true, with ``"difficult"`` (n flags) where there is any.
        classes: Names to evaluate. None takes every name that occurs, sorted.

    Raises:
        ValueError: If lengths differ, an item is malformed or not finite, a label is not among `classes`, or the two
            sides of an item lie on different frames.
    """
    if len(predictions) != len(references):
        raise ValueError(
            f"predictions has {len(predictions)} items and references {len(references)}; give one of each per image"
        )
    if len(references) == 0:
        raise ValueError("there are no images: predictions and references are empty; give at least one item of each")
    for i, (mine, theirs) in enumerate(zip(predictions, references, strict=True)):
        same_frame(_boxes(mine), _boxes(theirs), f"predictions[{i}]", f"references[{i}]")
    found = [_item(item, f"predictions[{i}]") for i, item in enumerate(predictions)]
    true = [_item(item, f"references[{i}]") for i, item in enumerate(references)]
    if classes is None:
        names = {name for item in (*found, *true) for name in set(item.labels)}
        classes = sorted(names)
    elif isinstance(classes, str) or len(set(classes)) != len(classes):
        raise ValueError(f"classes is {classes!r}; give a list of distinct names")
    number = {str(name): k for k, name in enumerate(classes)}
    return _rows(found, number, "predictions"), _rows(true, number, "references"), tuple(number)


def same_frame(a: Any, b: Any, name_a: str, name_b: str) -> None:
    """Check that two `Boxes` that both know their frame lie on the same one.

    Raises:
        ValueError: If they do not.
    """
    mine, theirs = getattr(a, "frame", None), getattr(b, "frame", None)
    if mine is not None and theirs is not None and mine != theirs:
        raise ValueError(f"{name_a} lies on {mine} and {name_b} on {theirs}; bring both to one frame with to first")


def _boxes(item: Any) -> Any:
    return item.get("boxes") if isinstance(item, Mapping) else getattr(item, "boxes", None)


@dataclass(frozen=True)
class _Item:
    boxes: Floats
    labels: list[str]
    scores: Floats | None
    flags: Bools | None


def _item(item: Any, name: str) -> _Item:
    """Read one image's boxes, labels, scores and flags."""
    if isinstance(item, Mapping):
        missing = [key for key in ("boxes", "labels") if key not in item]
        if missing:
            raise ValueError(f"{name} has no {missing[0]!r} (it has {sorted(map(str, item))}); add it")
        boxes, labels, scores, flags = item["boxes"], item["labels"], item.get("scores"), item.get("difficult")
    elif hasattr(item, "boxes") and hasattr(item, "labels"):
        boxes, labels, scores, flags = item.boxes, item.labels, getattr(item, "scores", None), None
    else:
        raise ValueError(f"{name} is a {type(item).__name__}; give a mapping with 'boxes' and 'labels', or Objects")
    corners = quads(boxes, f"{name}['boxes']")
    if isinstance(labels, str) or len(labels) != len(corners):
        raise ValueError(f"{name} has {len(corners)} boxes and {len(labels)} labels; give one label per box")
    for kind in set(map(type, labels)):
        if not issubclass(kind, str):
            raise ValueError(f"{name}['labels'] holds a {kind.__name__}; labels are class names (str)")
    return _Item(
        corners,
        list(labels),
        None if scores is None else _column(scores, len(corners), f"{name}['scores']"),
        None if flags is None else _column(flags, len(corners), f"{name}['difficult']").astype(bool),
    )


def quads(boxes: Any, name: str) -> Floats:
    """Return boxes as (n, 8) corners.

    Args:
        boxes: `Boxes` of any kind, or n rows of eight finite numbers.
        name: How an error calls them.

    Raises:
        ValueError: If a row has not eight numbers or one is not finite.
    """
    if hasattr(boxes, "as_kind"):
        boxes = boxes.as_kind("quad").coords
    try:
        corners = np.asarray(boxes, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} is not n rows of 8 numbers ({error}); give x1 y1 ... x4 y4 per box") from None
    if corners.size == 0 and corners.ndim <= 2:
        return np.zeros((0, 8))
    if corners.ndim != 2 or corners.shape[1] != 8:
        raise ValueError(f"{name} has shape {corners.shape}; give (n, 8), x1 y1 ... x4 y4 per box, or Boxes")
    if not np.isfinite(corners).all():
        row = int(np.flatnonzero(~np.isfinite(corners).all(axis=1))[0])
        raise ValueError(f"{name}[{row}] is {corners[row].tolist()}; every coordinate must be finite")
    return corners


def above(item: Any, threshold: float, name: str) -> dict[str, Any]:
    """Return an item of predictions without the boxes whose score is not above a threshold.

    Raises:
        ValueError: If the item is malformed or has no scores.
    """
    parts = _item(item, name)
    if parts.scores is None:
        raise ValueError(f"{name} has no 'scores'; a threshold needs them")
    keep = parts.scores > threshold
    labels = [label for label, kept in zip(parts.labels, keep, strict=True) if kept]
    return {"boxes": parts.boxes[keep], "labels": labels, "scores": parts.scores[keep]}


def _column(values: Any, n: int, name: str) -> Floats:
    try:
        column = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} is not a row of numbers ({error}); give one per box") from None
    if column.shape != (n,):
        raise ValueError(f"{name} has shape {column.shape} for {n} boxes; give one number per box")
    if not np.isfinite(column).all():
        raise ValueError(f"{name} holds {column[~np.isfinite(column)][0]}; every value must be finite")
    return column


def _rows(items: list[_Item], number: dict[str, int], side: str) -> Rows:
    label: list[int] = []
    for i, item in enumerate(items):
        try:
            own = [number[name] for name in item.labels]
        except KeyError as error:
            raise ValueError(
                f"{side}[{i}]['labels'] holds {error.args[0]!r}, which is not among classes {list(number)}; "
                "rename or remove those boxes, or extend classes"
            ) from None
        label.extend(own)
    counts = [len(item.boxes) for item in items]
    with_scores = [i for i, item in enumerate(items) if item.scores is not None and len(item.boxes)]
    scores: list[Floats] | None = None
    if with_scores:
        bare = [i for i, item in enumerate(items) if item.scores is None and len(item.boxes)]
        if bare:
            raise ValueError(f"{side}[{bare[0]}] has no 'scores' but {side}[{with_scores[0]}] has; give all or none")
        scores = [np.zeros(0) if item.scores is None else item.scores for item in items]
    flags = [np.zeros(len(item.boxes), bool) if item.flags is None else item.flags for item in items]
    return Rows(
        quads=np.concatenate([item.boxes for item in items]),
        image=np.repeat(np.arange(len(items)), counts),
        label=np.asarray(label, dtype=np.int64),
        flags=np.concatenate(flags),
        scores=None if scores is None else np.concatenate(scores),
    )
