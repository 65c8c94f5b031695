"""Objects as sets of points in text: turned boxes by four corners, boxes with keypoints, closed polygons.

The notation is that of GeoRSMLLM (https://arxiv.org/abs/2503.12490, "set-of-points"), one object a line, or JSON. Corners::

    [(12,40),(30,44),(28,52),(10,48)] plane

A box, points inside the object and, where there are some, points outside of it::

    [(10,40),(30,52)],[(20,46),(14,45)],[(29,41)] plane

Polygons, each ring closed by its first point; an odd number of rings encloses the object, so that holes are rings inside::

    [(0,0),(90,0),(90,60),(0,60),(0,0)],[(30,20),(30,40),(60,40),(60,20),(30,20)] lake
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely

from rscovlm.codec.categories import Matcher, ranks
from rscovlm.codec.codec import Codec
from rscovlm.codec.grammar import Grammar
from rscovlm.codec.none_answers import says_none
from rscovlm.codec.point_objects import SET_FORMS, DecodedSets, PointObject, SetForm
from rscovlm.codec.set_grammar import set_grammar
from rscovlm.codec.set_reading import SetReader, WrittenObject
from rscovlm.codec.set_writing import JSON_KEYS, Steps, line_of, member_of, steps_of
from rscovlm.codec.settings import choose
from rscovlm.codec.spaces import SPACES, limits, pixels
from rscovlm.codec.writing import STYLES, Style, not_a_label
from rscovlm.geometry import Frame, PointSets
from rscovlm.geometry.affine import Floats
from rscovlm.geometry.frame import checked_frame
from rscovlm.geometry.shapes import rings_of, shape_of

MOST_REPAIRED = 256
"""Points of a polygon that is put right where it crosses itself: crossings grow with their square."""


@dataclass(frozen=True)
class SetOfPoints:
    """How objects are written as sets of points and read back, in the space, order and decimals of a codec.

    Attributes:
        codec: The dialect's codec.
        most_points: Points of a ring in text at most, the repeated one left out; `fitted` and the grammar keep to it.
        most_rings: Rings of an object at most.

    >>> text, grid = SetOfPoints(Codec.preset("rscovlm-v1")), Frame(504, 504)
    >>> field = PointObject.polygon("field", [[(0, 0), (40, 0.4), (20, 30)]], grid)
    >>> text.encode([field], grid)
    '[(0,0),(40,0),(20,30),(0,0)] field\\n'
    >>> text.decode("Here: [(0,0),(40,0),(20,30)] field", grid).problems
    {'open_polygon': 1}
    """

    codec: Codec
    most_points: int = 48
    most_rings: int = 4

    def encode(
        self,
        objects: Sequence[PointObject],
        frame: Frame,
        *,
        style: Style | None = None,
        categories: Sequence[str] | None = None,
    ) -> str:
        """Write objects as the answer a model should give.

        Points are rounded to the nearest step of the space and clipped to the grid, so that reading back moves none inside by
        more than half a step. Objects are ordered by category, then by y1, x1 of their box as written. Polygons that cross
        themselves are put right first (`shape_of`).

        Args:
            objects: What to write, on any frame of the same image.
            frame: Pixel grid the model sees.
            style: ``"plain"`` for set notation or ``"json"``; by default the codec's own, or plain where that is tagged.
            categories: All names that may occur; None orders by the labels there are.

        Raises:
            ValueError: A label is none of the categories, is empty, or could not be read back; or points have no frame.
        """
        lines = self.style(style)
        checked_frame(frame)
        if not objects:
            return self.codec.none
        for one in objects:
            why = _not_writable(one.label, lines)
            if why:
                raise ValueError(f"label {one.label!r} {why}; change the label or write style='json'")
        places = ranks([one.label for one in objects], categories)
        steps = [steps_of(one, self.codec, frame) for one in objects]
        keys = [(place, _corner(sets), _listed(sets)) for place, sets in zip(places, steps, strict=True)]
        order = sorted(range(len(objects)), key=lambda row: (*keys[row], objects[row].label))
        write = line_of if lines == "plain" else member_of
        parts = [write(steps[row], objects[row].label, objects[row].form, self.codec) for row in order]
        return "".join(parts) if lines == "plain" else "```json\n[\n\t" + ",\n\t".join(parts) + "\n]\n```"

    def decode(
        self,
        text: str,
        frame: Frame,
        *,
        form: SetForm | None = None,
        categories: Sequence[str] | None = None,
        cutoff: float | None = None,
    ) -> DecodedSets:
        """Read objects out of whatever a model wrote; never raises on any text.

        What an object is, its syntax tells: a first set of two points is a box, four points that are not closed are corners,
        anything else is rings. Open rings are closed, rings that cross themselves become valid (`shape_of`), both counted.

        Args:
            text: What the model wrote.
            frame: Pixel grid the model saw.
            form: What is expected; objects of another form are converted and counted: to polygons by their outline, to prompts by
                their box, to corners by the smallest turned box. A polygon of four points is then no set of corners.
            categories: Names that may occur; a label that differs in case, hyphens or spaces becomes the category.
            cutoff: As for `Codec.decode`.

        Raises:
            ValueError: The text is no string, or form or cutoff are not valid.
        """
        if not isinstance(text, str):
            raise ValueError(f"text is {type(text).__name__}; give the string a model wrote")
        checked_frame(frame)
        if form is not None:
            choose("form", form, SET_FORMS)
        if cutoff is not None and categories is None:
            raise ValueError(f"cutoff is {cutoff} without categories to match; give categories too")
        match = None if categories is None else Matcher(categories, cutoff)
        if text.strip() == self.codec.none.strip():
            return DecodedSets((), {}, none=True)
        reader = SetReader(self._keys(), self.codec.label_key)
        objects, spans = [], []
        for found in reader.read(text):
            one = self._object(found, form, frame, match, reader.problems)
            if one is not None:
                objects.append(one)
                spans.append((found.start, found.end))
        problems = {reason: count for reason, count in sorted(reader.problems.items()) if count}
        none = not objects and not problems and says_none(text, self.codec.none, self.codec.tag_pattern)
        if not objects and not problems and not none:
            problems["nothing_readable"] = 1
        return DecodedSets(tuple(objects), problems, none, tuple(spans))

    def grammar(
        self,
        *,
        form: SetForm,
        style: Style | None = None,
        categories: Sequence[str] | None = None,
        largest: int = 9999,
        points: int | None = None,
        inside: int = 2,
        outside: int = 0,
    ) -> Grammar:
        """Return the grammar of the answers that `encode` and `fitted` write; that a ring is closed, no grammar can say.

        Args:
            form: What the objects are.
            style: As for `encode`.
            categories: The labels there may be; None for any short name.
            largest: Longest side of the grid, where numbers are pixels.
            points: Points of a ring at most, in place of `most_points`.
            inside: Keypoints of a prompt at most.
            outside: Points outside of the object at most.
        """
        return set_grammar(
            self.codec,
            choose("form", form, SET_FORMS),
            self.style(style),
            categories,
            largest=largest,
            points=points or self.most_points,
            rings=self.most_rings,
            inside=inside,
            outside=outside,
        )

    def style(self, style: Style | None) -> Style:
        """Return the style of an answer: the one given, else the codec's own where sets have it.

        Raises:
            ValueError: Sets of points are not written in that style.
        """
        return choose("style", style or (self.codec.style if self.codec.style in STYLES else "plain"), STYLES)

    def _keys(self) -> dict[str, str]:
        codec = self.codec
        box = ("bbox_2d", "bbox", "box", codec.hbb_key)
        inside = ("points", "points_2d", "point_2d", "point", "keypoints", "positive_points", codec.point_key)
        rings = ("polygon", "polygons", "segmentation", "contour", "contours", "polygon_2d")
        named = {"corners": ("corners", "quad", codec.quad_key), "bbox_2d": box, "points": inside, "polygon": rings}
        keys = {name.lower(): what for what, names in named.items() for name in names}
        return keys | {"negative_points": "negative_points", "points_outside": "negative_points"}

    def _object(
        self, found: WrittenObject, form: SetForm | None, frame: Frame, match: Matcher | None, problems: Counter[str]
    ) -> PointObject | None:
        """Return an object as it is meant; what is odd is counted."""
        own, sets, reason = _meant(found, form)
        if reason:
            problems[reason] += 1
            return None
        placed = [self._placed(points, frame) for points in sets]
        problems["outside"] += any(
            bool(((points < 0) | (points > (frame.width, frame.height))).any()) for points in placed
        )
        problems["space_suspect"] += int(self._suspect(sets, frame))
        if own == "polygon":
            placed = _rings(placed, problems)
            if not placed:
                return None
        elif own == "prompt":
            low, high = placed[0].min(axis=0), placed[0].max(axis=0)
            problems["inverted"] += not np.array_equal(placed[0], [low, high])
            problems["degenerate"] += bool((low == high).any())
            placed[0] = np.array([low, high])
        elif shapely.Polygon(placed[0]).area == 0:
            problems["degenerate"] += 1
        label = found.label or ""
        if match is not None and label:
            label, odd = match(label)
            problems[odd or ""] += odd is not None
        one = PointObject(label, own, PointSets(placed, frame))
        if form is None or form == own:
            return one
        problems["converted"] += 1
        return _as_form(one, form, frame)

    def _placed(self, points: Sequence[tuple[float, float]], frame: Frame) -> Floats:
        numbers = np.array(points, np.float64)
        numbers = numbers[:, ::-1] if self.codec.order == "yx" else numbers
        return pixels(numbers, "point", self.codec.space, frame)

    def _suspect(self, sets: Sequence[Sequence[tuple[float, float]]], frame: Frame) -> bool:
        numbers = np.array([number for points in sets for point in points for number in point])
        if SPACES[self.codec.space].units == 1:
            return bool((numbers > 2).any())
        shares = bool(((numbers >= 0) & (numbers <= 1)).all() and (numbers != np.rint(numbers)).any())
        return shares and min(limits(self.codec.space, "point", frame)[:2]) > 2


def _meant(found: WrittenObject, form: SetForm | None) -> tuple[SetForm, list[list[tuple[float, float]]], str]:
    """Return what written sets are, and those that count; or why they are none."""
    own: SetForm
    if "" not in found.sets:
        own = next((name for name in ("polygon", "corners") if name in found.sets), "prompt")
        listed = [found.sets.get(key, []) for key in JSON_KEYS[own]]
        sets = listed[0] if own == "polygon" else [points for group in listed for points in group[:1]]
        if own == "prompt" and not listed[0]:
            return own, [], "no_box"
    else:
        sets = found.sets[""]
        closed = sets[0][0] == sets[0][-1]
        four = len(sets) == 1 and len(sets[0]) == 4 and not closed
        own = "prompt" if len(sets[0]) == 2 else "corners" if four and form != "polygon" else "polygon"
    if own == "corners" and len(sets[0]) == 5 and sets[0][0] == sets[0][-1]:
        sets = [sets[0][:4]]
    wanted = {"corners": 4, "prompt": 2}.get(own, len(sets[0]))
    if len(sets[0]) != wanted or (own == "prompt" and len(sets) > 3):
        return own, [], "coordinate_count"
    if own == "polygon" and len(sets) == 1 and len(sets[0]) == 1:
        return own, [], "coordinate_count"
    return own, sets, ""


def _rings(rings: Sequence[Floats], problems: Counter[str]) -> list[Floats]:
    """Return rings closed and put right, their first points not repeated; what is odd is counted."""
    kept: list[Floats] = []
    opened = crossed = degenerate = False
    for ring in rings:
        closed = len(ring) > 1 and np.array_equal(ring[0], ring[-1])
        opened |= not closed
        points = ring[:-1] if closed else ring
        if len(points) < 3:
            problems["too_few_points"] += 1
            continue
        polygon = shapely.Polygon(points)
        if polygon.is_valid:
            kept.append(points)
            continue
        if len(points) > MOST_REPAIRED:
            problems["too_complex"] += 1
            continue
        shape = shape_of([points])
        degenerate |= shape.is_empty
        crossed |= not shape.is_empty
        kept += [points] if shape.is_empty else rings_of(shape)
    problems["open_polygon"] += opened and bool(kept)
    problems["self_crossing"] += crossed
    problems["degenerate"] += degenerate
    return kept


def _as_form(one: PointObject, form: SetForm, frame: Frame) -> PointObject:
    if form == "prompt":
        return PointObject.prompt(one.label, one.box.coords[0].tolist(), (), frame)
    if form == "polygon":
        x1, y1, x2, y2 = one.box.coords[0]
        rings = one.sets.points if one.form == "corners" else [np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)])]
        return PointObject.polygon(one.label, rings, frame)
    x1, y1, x2, y2 = one.box.coords[0]
    quad = np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)])
    if one.form == "polygon" and not one.shape.is_empty:
        turned = shapely.get_coordinates(shapely.oriented_envelope(one.shape))
        quad = turned[:4] if len(turned) == 5 else quad
    return PointObject.corners(one.label, quad, frame)


def _corner(sets: Sequence[Steps]) -> tuple[int, int]:
    """Return y1 and x1 of an object as written."""
    every = np.concatenate(sets[:1] if len(sets[0]) == 2 else list(sets))
    return int(every[:, 1].min()), int(every[:, 0].min())


def _listed(sets: Sequence[Steps]) -> list[list[int]]:
    return [points.ravel().tolist() for points in sets]


def _not_writable(label: str, style: Style) -> str:
    """Return why a label could not be read back, empty where it can."""
    why = not_a_label(label)
    if why is not None or style == "json":
        return f"{why}" if why else ""
    found = list(SetReader({}, "label").read(f"[(0,0),(1,1)] {label}\n[(0,0),(1,1)] x\n"))
    return "" if [one.label for one in found] == [label, "x"] else "would not be read back from a line"
