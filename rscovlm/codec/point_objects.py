"""Objects as sets of points: corners of a turned box, a box with keypoints, or closed polygons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import shapely
from numpy.typing import ArrayLike

from rscovlm.codec.problems import DROPPED, SETS_DROPPED
from rscovlm.geometry import Boxes, Frame, PointSets
from rscovlm.geometry.shapes import rings_of, shape_of

SetForm: TypeAlias = Literal["corners", "prompt", "polygon"]
"""What the sets of an object are: four corners; a box by two corners, points inside and points outside of the object; rings."""

SET_FORMS: tuple[SetForm, ...] = get_args(SetForm)


@dataclass(frozen=True)
class PointObject:
    """One object as sets of points.

    Attributes:
        label: Class name or expression.
        form: What the sets are.
        sets: ``"corners"``: one set of four points. ``"prompt"``: the upper left and lower right corner of a box; then, if there
            are any, points inside the object; then, if there are any, points outside of it. ``"polygon"``: rings whose first
            point is not repeated; what an odd number of them encloses is the object.

    Raises:
        ValueError: The form is unknown or the sets are not of that form.

    >>> field = PointObject.polygon("field", [[(0, 0), (40, 0), (20, 30)]], Frame(100, 100))
    >>> field.box.coords.tolist(), field.shape.area
    ([[0.0, 0.0, 40.0, 30.0]], 600.0)
    """

    label: str
    form: SetForm
    sets: PointSets

    def __post_init__(self) -> None:
        counts = [len(one) for one in self.sets.points]
        if self.form not in SET_FORMS:
            raise ValueError(f"form is {self.form!r}; choose one of {', '.join(SET_FORMS)}")
        fits = {
            "corners": counts == [4],
            "prompt": counts[:1] == [2] and len(counts) <= 3,
            "polygon": bool(counts) and min(counts, default=0) >= 3,
        }
        if not fits[self.form]:
            wanted = {
                "corners": "one set of four points",
                "prompt": "two corners of a box, then at most two sets of points",
                "polygon": "rings of three points or more",
            }
            raise ValueError(f"{self.form!r} has sets of {counts} points; give {wanted[self.form]}")

    @classmethod
    def corners(cls, label: str, points: ArrayLike, frame: Frame) -> PointObject:
        """Return an object by four corners, (4, 2)."""
        return cls(label, "corners", PointSets([points], frame))

    @classmethod
    def prompt(
        cls, label: str, box: Sequence[float], inside: ArrayLike, frame: Frame, outside: ArrayLike = ()
    ) -> PointObject:
        """Return an object by its horizontal box x1, y1, x2, y2 and (n, 2) points inside it; optionally points outside."""
        x1, y1, x2, y2 = box
        given = [points for points in (inside, outside) if len(points)]  # type: ignore[arg-type]  # tables of points
        return cls(label, "prompt", PointSets([[(x1, y1), (x2, y2)], *given], frame))

    @classmethod
    def polygon(cls, label: str, rings: Sequence[ArrayLike], frame: Frame) -> PointObject:
        """Return an object by its rings, (k, 2) each, the first point not repeated."""
        return cls(label, "polygon", PointSets(rings, frame))

    @classmethod
    def area(cls, label: str, shape: Any, frame: Frame) -> PointObject:
        """Return an object by the rings of a shapely polygon or multipolygon.

        Raises:
            ValueError: The shape is empty.
        """
        return cls.polygon(label, rings_of(shape), frame)

    @property
    def shape(self) -> Any:
        """The area as a valid shapely polygon or multipolygon: of a box with points, the box."""
        if self.form == "prompt":
            return shapely.box(*self.box.coords[0])
        return shape_of(self.sets.points)

    @property
    def box(self) -> Boxes:
        """The horizontal box around the object."""
        if self.form == "prompt":
            return self.sets[:1].bounds()
        sides = self.sets.bounds().coords
        low, high = sides[:, :2].min(axis=0), sides[:, 2:].max(axis=0)
        return Boxes([[*low, *high]], "hbb", self.sets.frame)

    def to(self, frame: Frame) -> PointObject:
        """Return the object counted on another grid of the same root image."""
        return PointObject(self.label, self.form, self.sets.to(frame))


@dataclass(frozen=True)
class DecodedSets:
    """Objects read from an answer, and the count of everything that was not as it should be.

    Attributes:
        objects: Every whole object, in the order of the text, on the frame given.
        problems: Counts by reason (`rscovlm.codec.problems`).
        none: The answer says that there is nothing, and holds nothing.
        spans: For each object, where its text begins and ends, in characters.
    """

    objects: tuple[PointObject, ...]
    problems: dict[str, int]
    none: bool
    spans: tuple[tuple[int, int], ...] = ()

    @property
    def dropped(self) -> int:
        """How many objects could not be read, or 1 where the whole answer could not."""
        lost = {*DROPPED, *SETS_DROPPED}
        return sum(count for reason, count in self.problems.items() if reason in lost)
