"""The reasons by which decoding counts what was not as it should be."""

from __future__ import annotations

DROPPED: dict[str, str] = {
    "truncated": "the text ends inside the object: its numbers or its label may be cut",
    "coordinate_count": "the box has neither 4 (hbb) nor 5 (obb) nor 8 (quad) numbers, or others than its tag or key states",
    "not_finite": "a coordinate is NaN, infinite, null, not a number at all, or beyond a billion",
    "non_ascii_digits": "a coordinate is written in digits other than 0-9; guessing what a model meant is not our part",
    "negative_size": "a box has a negative width or height",
    "no_box": "a label stands without coordinates",
    "nothing_readable": "the whole text holds neither an object nor the answer that there is none",
}
"""Reasons for which an object (for the last one, the answer) is lost, and what each means."""

KEPT: dict[str, str] = {
    "repaired": "the object is there but its syntax is broken: brackets, braces, quotes, commas, keys or separators",
    "doubled_key": "a key stands twice in one object; the last value counts",
    "no_label": "a box stands without a label; its label is the empty string",
    "inverted": "a horizontal box has x2 < x1 or y2 < y1; the two were exchanged",
    "degenerate": "the box has no width or no height, as written",
    "space_suspect": "the numbers do not look like those of the dialect's space: shares of 1 where it counts further, or beyond "
    "2 where it counts to 1; they are read as the dialect says",
    "layout_guessed": "nothing states whether the numbers are corners or a size, or how an oriented box is given; they are "
    "read in the dialect's order",
    "foreign_syntax": "the object is written in the tags or under the key of another dialect; it is read as that one says",
    "point": "a point where the dialect writes boxes; it is in `Decoded.points`",
    "outside": "a coordinate lies outside the grid; it is kept as written, `Boxes.clipped` cuts it",
    "converted": "the object has another box kind than the one asked for, or than the first; it was converted",
    "unknown_label": "the label is none of the categories; it is kept as written",
    "matched_label": "the label is none of the categories but close enough to one, which replaced it (needs a cutoff)",
}
"""Reasons counted for objects that are kept, and what each means. One object may count under several."""

SETS_DROPPED: dict[str, str] = {
    "too_few_points": "a polygon or a ring of it has fewer than three points",
    "too_complex": "a polygon crosses itself and has too many points to be put right in bounded time",
}
"""Further reasons for which an object written as sets of points, or a ring of it, is lost."""

SETS_KEPT: dict[str, str] = {
    "open_polygon": "the first point of a polygon is not repeated at its end; it is closed",
    "self_crossing": "a polygon crosses itself; it becomes what its line goes round an odd number of times (make_valid)",
}
"""Further reasons counted for objects written as sets of points that are kept."""
