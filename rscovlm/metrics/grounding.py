"""Grounding accuracy: how often the one box asked for is where it should be."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from rscovlm.geometry.affine import Floats
from rscovlm.geometry.boxes import Boxes
from rscovlm.geometry.kinds import bounds, convert
from rscovlm.geometry.overlaps import hbb_intersection, quad_intersection
from rscovlm.metrics.detections import same_frame
from rscovlm.metrics.matching import areas

_WIDTHS = {4: "hbb", 5: "obb", 8: "quad"}
_PLAIN = re.compile(r"(\d+),(\d+),(\d+),(\d+)\s+(.+?)\s*")
_NUMBER = r"\s*(-?\d*\.?\d+)\s*"
_BRACKET = re.compile(rf"\[{_NUMBER},{_NUMBER},{_NUMBER},{_NUMBER}\]")


def grounding_accuracy(
    predictions: Sequence[Any] | Boxes,
    references: Sequence[Any] | Boxes,
    *,
    thresholds: Sequence[float] = (0.5,),
    strict: bool = True,
    overlap: Literal["given", "horizontal"] = "given",
    protocol: Literal["plain", "rscovlm"] = "plain",
) -> dict[str, Any]:
    """Compute Acc@t, the share of items whose box overlaps the true one by more than t, and the mean overlap.

    A box is four numbers (x1 y1 x2 y2), five (cx cy w h angle°, the width lies along the angle, y down) or eight (four
    corners); two kinds meet as quadrilaterals. An item without an answer is wrong, has overlap 0, and is counted apart.
    So is one whose corners are in the wrong order: it overlaps nothing.

    Args:
        predictions: One box per item, or None where the model gave none; `Boxes` with one row per item is taken too.
        references: One box per item, in the same pixels.
        thresholds: Overlaps in (0, 1].
        strict: Whether the overlap must exceed the threshold or may equal it. Overlaps are rounded to 10 decimals first.
        overlap: Compare boxes as they are, or the horizontal boxes around them.
        protocol: ``"rscovlm"`` compares as the reference system does: horizontal boxes, and an intersection of one pixel
            or less in width or height counts as none. `rscovlm_answer` and `rescaled` are its reading of the text.

    Returns:
        ``acc`` (threshold -> share, e.g. ``{"0.50": 0.7}``), ``acc50`` and so on, ``mean_iou``, ``mean_iou_answered``,
        ``items``, ``unanswered``, ``iou`` (per item), and the settings. Shares are fractions.

    Raises:
        ValueError: If lengths differ, nothing is given, or a box is malformed; the message names the item.

    Source:
        RSCoVLM table II and its ``eval/metric/geoground.py``.

    Example:
        >>> grounding_accuracy([[0, 0, 10, 10], None], [[0, 0, 10, 8], [5, 5, 9, 9]])["acc50"]
        0.5
    """
    if len(predictions) != len(references):
        raise ValueError(f"predictions has {len(predictions)} items and references {len(references)}; give one each")
    if len(references) == 0:
        raise ValueError("there are no items: predictions and references are empty; give at least one of each")
    if not len(thresholds) or any(not 0 < t <= 1 for t in thresholds):
        raise ValueError(f"thresholds is {list(thresholds)}; give numbers in (0, 1]")
    if protocol not in ("plain", "rscovlm") or overlap not in ("given", "horizontal"):
        raise ValueError(
            f"protocol is {protocol!r} and overlap {overlap!r}; use 'plain' or 'rscovlm', and 'given' or 'horizontal'"
        )
    same_frame(predictions, references, "predictions", "references")
    found = [_box(box, f"predictions[{i}]") for i, box in enumerate(_each(predictions))]
    true = [_box(box, f"references[{i}]") for i, box in enumerate(_each(references))]
    for i, box in enumerate(true):
        if box is None:
            raise ValueError(f"references[{i}] is None; every item needs a true box")
    ious = _overlaps(found, [box for box in true if box is not None], overlap, protocol)
    answered = np.asarray([box is not None for box in found])
    acc = {f"{t:.2f}": float(((ious > t) if strict else (ious >= t)).mean()) for t in thresholds}
    return {
        "acc": acc,
        **{f"acc{round(100 * t)}": value for t, value in zip(thresholds, acc.values(), strict=True)},
        "mean_iou": float(ious.mean()),
        "mean_iou_answered": float(ious[answered].mean()) if answered.any() else 0.0,
        "items": len(ious),
        "unanswered": int((~answered).sum()),
        "iou": ious.tolist(),
        "settings": {
            "thresholds": [float(t) for t in thresholds],
            "strict": strict,
            "overlap": "horizontal" if protocol == "rscovlm" else overlap,
            "protocol": protocol,
        },
    }


def rscovlm_answer(text: str, style: Literal["plain", "json"] = "plain") -> list[float] | None:
    """Read a grounding answer as the reference system does, its limits included.

    Plain: the first line must be ``x1,y1,x2,y2 label``, whole numbers without blanks, the label obligatory; if none
    exceeds 1 there is no answer. JSON: the first bracket of exactly four numbers; if none exceeds 1 they are taken as
    shares and multiplied by 1000.

    Returns:
        Four numbers in pixels of the resized image, or None.

    Raises:
        ValueError: If the style is not known.

    Source:
        RSCoVLM ``eval/metric/geoground.py``; the system's own codec, `rscovlm.codec`, reads far more.

    Example:
        >>> rscovlm_answer("12,30,40,52 the red roof"), rscovlm_answer("12, 30, 40, 52 the red roof")
        ([12.0, 30.0, 40.0, 52.0], None)
    """
    if style == "plain":
        match = _PLAIN.fullmatch(text.strip().split("\n")[0].strip())
    elif style == "json":
        match = _BRACKET.search(text)
    else:
        raise ValueError(f"style is {style!r}; use 'plain' or 'json'")
    if match is None:
        return None
    values = [float(value) for value in match.groups()[:4]]
    if max(values) > 1:
        return values
    return None if style == "plain" else [float(int(1000 * value)) for value in values]


def rescaled(box: Sequence[float] | None, size: tuple[int, int], to: tuple[int, int]) -> list[float] | None:
    """Return x1 y1 x2 y2 of an image of one (width, height) in pixels of another; None stays None.

    Example:
        >>> rescaled([10, 10, 20, 20], (100, 100), (200, 50))
        [20.0, 5.0, 40.0, 10.0]
    """
    if box is None:
        return None
    scale = (to[0] / size[0], to[1] / size[1])
    return [float(value) * scale[k % 2] for k, value in enumerate(box)]


def _each(boxes: Sequence[Any] | Boxes) -> Any:
    """Rows of `Boxes`, or the items as they are."""
    return boxes.coords if isinstance(boxes, Boxes) else boxes


def _box(box: Any, name: str) -> Floats | None:
    if box is None:
        return None
    if isinstance(box, Boxes):
        if len(box) == 0:
            return None
        if len(box) > 1:
            raise ValueError(f"{name} holds {len(box)} boxes; an item of grounding has one")
        box = box.coords[0]
    try:
        values = np.asarray(box, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} is {box!r}, no box ({error}); give 4, 5 or 8 numbers, or None") from None
    if values.shape not in ((4,), (5,), (8,)):
        raise ValueError(f"{name} is {box!r}; give 4, 5 or 8 numbers, or None for no answer")
    if not np.isfinite(values).all():
        raise ValueError(f"{name} is {values.tolist()}; every number must be finite")
    return values


def _overlaps(
    found: list[Floats | None], true: list[Floats], overlap: str, protocol: Literal["plain", "rscovlm"]
) -> Floats:
    """Return the (n,) intersections over union; 0 where there is no answer."""
    ious = np.zeros(len(true))
    sides: dict[bool, list[tuple[int, Floats, Floats]]] = {True: [], False: []}
    for i, (mine, theirs) in enumerate(zip(found, true, strict=True)):
        if mine is not None:
            horizontal = protocol == "rscovlm" or overlap == "horizontal" or len(mine) == len(theirs) == 4
            sides[horizontal].append((i, _shaped(mine, horizontal), _shaped(theirs, horizontal)))
    for horizontal, rows in sides.items():
        if rows:
            a, b = np.stack([row[1] for row in rows]), np.stack([row[2] for row in rows])
            shared = _shared(a, b, one_pixel_is_none=protocol == "rscovlm") if horizontal else quad_intersection(a, b)
            union = areas(a) + areas(b) - shared
            ious[[row[0] for row in rows]] = shared / np.where(union > 0, union, 1.0)
    rounded: Floats = np.round(ious, 10)
    return rounded


def _shaped(box: Floats, horizontal: bool) -> Floats:
    kind: Any = _WIDTHS[len(box)]
    row: Floats = (bounds(box[None], kind) if horizontal else convert(box[None], kind, "quad"))[0]
    return row


def _shared(a: Floats, b: Floats, *, one_pixel_is_none: bool) -> Floats:
    shared = hbb_intersection(a, b)
    if one_pixel_is_none:
        width = np.minimum(a[:, 2], b[:, 2]) - np.maximum(a[:, 0], b[:, 0])
        height = np.minimum(a[:, 3], b[:, 3]) - np.maximum(a[:, 1], b[:, 1])
        shared = np.where((width <= 1) | (height <= 1), 0.0, shared)
    return shared
