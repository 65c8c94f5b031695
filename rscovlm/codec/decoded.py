"""What was read from an answer."""

from __future__ import annotations

from dataclasses import dataclass

from rscovlm.codec.problems import DROPPED
from rscovlm.geometry import Objects, PointSets


@dataclass(frozen=True)
class Decoded:
    """Objects read from an answer, and the count of everything that was not as it should be.

    Attributes:
        objects: Every whole object, in the order of the text, on the frame given to `Codec.decode`.
        problems: Counts by reason; `rscovlm.codec.problems` says what each reason means and whether it lost an object.
        none: The answer says that there is nothing, and holds nothing.
        spans: For each object, where its text begins and ends, in characters.
        points: Points that stand for objects, a set of one point each, in the order of the text; None where there are none.
        point_labels: A label for each of them.
    """

    objects: Objects
    problems: dict[str, int]
    none: bool
    spans: tuple[tuple[int, int], ...] = ()
    points: PointSets | None = None
    point_labels: tuple[str, ...] = ()

    @property
    def dropped(self) -> int:
        """How many objects could not be read, or 1 where the whole answer could not."""
        return sum(count for reason, count in self.problems.items() if reason in DROPPED)
