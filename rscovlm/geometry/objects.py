"""Labelled boxes: what a detector finds and what truth says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import SupportsIndex

import numpy as np

from rscovlm.geometry.affine import Floats
from rscovlm.geometry.boxes import Boxes
from rscovlm.geometry.checks import Index, chosen
from rscovlm.geometry.frame import Frame
from rscovlm.geometry.kinds import Kind


@dataclass(frozen=True, eq=False)
class Objects:
    """Boxes with a label each and, from a detector, a score each.

    Attributes:
        boxes: n boxes.
        labels: n class names or phrases.
        scores: (n,) confidences, read-only; None where there are none.

    Raises:
        ValueError: When the numbers of boxes, labels and scores differ, a label is not a string, or a score is not finite.

    >>> found = Objects(Boxes([[0, 0, 9, 9], [5, 5, 8, 9]], "hbb"), ("plane", "ship"), np.array([0.9, 0.4]))
    >>> found[found.scores > 0.5].labels
    ('plane',)
    """

    boxes: Boxes
    labels: tuple[str, ...]
    scores: Floats | None = None

    def __post_init__(self) -> None:
        if isinstance(self.labels, str):
            raise ValueError(f"labels is the string {self.labels!r}; give one label a box, such as ({self.labels!r},)")
        labels = tuple(self.labels)
        if len(labels) != len(self.boxes):
            raise ValueError(f"there are {len(self.boxes)} boxes and {len(labels)} labels; give one label a box")
        for row, label in enumerate(labels):
            if not isinstance(label, str):
                raise ValueError(f"label {row} is {label!r}; give a string")
        object.__setattr__(self, "labels", labels)
        if self.scores is not None:
            object.__setattr__(self, "scores", _validated(self.scores, len(labels)))

    @classmethod
    def empty(cls, kind: Kind, frame: Frame | None = None) -> Objects:
        """Return no objects, of a kind and on a grid."""
        return cls(Boxes.empty(kind, frame), ())

    @classmethod
    def concatenate(cls, parts: Sequence[Objects]) -> Objects:
        """Return the objects of all `parts` in order.

        Raises:
            ValueError: When there are no parts, they differ in kind or frame, or only some have scores.
        """
        boxes = Boxes.concatenate([part.boxes for part in parts])
        labels = tuple(label for part in parts for label in part.labels)
        scores = [part.scores for part in parts if part.scores is not None]
        # Parts without objects have no scores to miss.
        unscored = [number for number, part in enumerate(parts) if part.scores is None and len(part)]
        if scores and unscored:
            raise ValueError(f"part {unscored[0]} has no scores and others have; give scores to all parts or to none")
        return cls(boxes, labels, np.concatenate(scores) if scores else None)

    def to(self, frame: Frame) -> Objects:
        """Return the same objects counted on another grid of the same root image; see `Boxes.to`."""
        return Objects(self.boxes.to(frame), self.labels, self.scores)

    def as_kind(self, kind: Kind) -> Objects:
        """Return the same objects with the smallest boxes of another kind around them; see `Boxes.as_kind`."""
        return Objects(self.boxes.as_kind(kind), self.labels, self.scores)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Index) -> Objects:
        if isinstance(index, SupportsIndex) and not isinstance(index, np.ndarray):
            index = [range(len(self))[index]]
        rows = np.arange(len(self))[index] if isinstance(index, slice) else chosen(index, len(self))
        scores = None if self.scores is None else self.scores[rows]
        return Objects(self.boxes[rows], tuple(self.labels[row] for row in rows), scores)

    def __iter__(self) -> Iterator[Objects]:
        return (self[row] for row in range(len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Objects):
            return NotImplemented
        if (self.scores is None) != (other.scores is None) or self.labels != other.labels:
            return False
        same = self.scores is None or other.scores is None or np.array_equal(self.scores, other.scores)
        return same and self.boxes == other.boxes

    __hash__ = None  # type: ignore[assignment]


def _validated(scores: Floats, count: int) -> Floats:
    values = np.array(scores, dtype=np.float64)
    if values.shape != (count,):
        raise ValueError(f"scores have shape {values.shape} for {count} boxes; give one number a box")
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values))[0])
        raise ValueError(f"score {row} is {values[row]}; every score must be finite")
    values.flags.writeable = False
    return values
