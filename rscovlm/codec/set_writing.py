"""Writing objects as sets of points."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import NDArray

from rscovlm.codec.codec import Codec
from rscovlm.codec.point_objects import PointObject, SetForm
from rscovlm.codec.spaces import quantise, written
from rscovlm.geometry import Frame
from rscovlm.geometry.affine import Floats
from rscovlm.geometry.shapes import directed, rings_of, shape_of, signed_area

Steps = NDArray[np.int64]

JSON_KEYS: dict[SetForm, tuple[str, ...]] = {
    "corners": ("corners",),
    "prompt": ("bbox_2d", "points", "negative_points"),
    "polygon": ("polygon",),
}
"""What JSON calls the sets of each form."""


def steps_of(one: PointObject, codec: Codec, frame: Frame) -> list[Steps]:
    """Return the sets of an object as the whole steps in which a codec counts them, in the order in which they are written.

    Rings begin with their topmost left point, the outer ones clockwise on screen and holes the other way; polygons that cross
    themselves are put right first. Points of a ring that rounding makes equal are written once, and
    parts and holes that it leaves without an area are left out. Keypoints keep their order.
    """
    moved = one.to(frame)
    if one.form == "prompt":
        x1, y1, x2, y2 = moved.box.coords[0]
        sets = [np.array([[x1, y1], [x2, y2]]), *moved.sets.points[1:]]
        return [_rounded(points, codec, frame) for points in sets]
    if one.form == "corners":
        return [_begun(_rounded(moved.sets.points[0], codec, frame))]
    valid = [directed(ring, clockwise=signed_area(ring) >= 0) for ring in moved.sets.points]
    shape = moved.shape
    rings = valid if len(valid) == 1 and shape.geom_type == "Polygon" else rings_of(shape)
    rings = rings or valid  # without an area: as given
    pairs = [(_rounded(ring, codec, frame), signed_area(ring) < 0 and len(rings) > 1) for ring in rings]
    # A part or hole that rounding leaves without an area could not be read back; an object that is nothing else is kept.
    whole = [pair for pair in pairs if signed_area(pair[0].astype(np.float64))] or pairs[:1]
    written_rings = [_ring(steps, hole=hole) for steps, hole in whole]
    return _on_grid(written_rings)


def line_of(sets: Sequence[Steps], label: str, form: SetForm, codec: Codec) -> str:
    """Return an object in set notation: every point in round brackets, every set in square ones, the label, a line break."""
    texts = []
    for numbers in _texts(sets, form, codec):
        texts.append("[" + ",".join(f"({a},{b})" for a, b in numbers) + "]")
    return f"{','.join(texts)} {label}\n"


def member_of(sets: Sequence[Steps], label: str, form: SetForm, codec: Codec) -> str:
    """Return an object as JSON."""
    listed = [[f"[{a}, {b}]" for a, b in numbers] for numbers in _texts(sets, form, codec)]
    members = [f"[{', '.join(points)}]" for points in listed]
    if form == "polygon":
        members = [f"[{', '.join(members)}]"]
    if form == "prompt":
        members[0] = f"[{', '.join(listed[0]).replace('[', '').replace(']', '')}]"
    pairs = [f'"{key}": {member}' for key, member in zip(JSON_KEYS[form], members, strict=False)]
    name = json.dumps(codec.label_key, ensure_ascii=False)
    return f"{{{', '.join(pairs)}, {name}: {json.dumps(label, ensure_ascii=False)}}}"


def _on_grid(rings: list[Steps]) -> list[Steps]:
    """Return rings that enclose the same area and do not cross: rounding may have made a line run over another."""
    shape = shape_of([ring.astype(np.float64) for ring in rings])
    if shape.is_empty or all((ring == np.round(ring)).all() for ring in rings_of(shape)):
        return rings
    valid = rings_of(shapely.set_precision(shape, 1.0))
    return [np.asarray(np.round(ring).astype(np.int64)) for ring in valid] or rings


def _texts(sets: Sequence[Steps], form: SetForm, codec: Codec) -> list[list[list[str]]]:
    ordered = [steps[:, ::-1] if codec.order == "yx" else steps for steps in sets]
    if form == "polygon":
        ordered = [np.concatenate([ring, ring[:1]]) for ring in ordered]
    return [written(steps, "point", codec.decimals) for steps in ordered]


def _rounded(points: Floats, codec: Codec, frame: Frame) -> Steps:
    return quantise(points, "point", codec.space, codec.decimals, frame)


def _begun(ring: Steps) -> Steps:
    """Return a ring from its topmost left point on, clockwise on screen."""
    whole = directed(ring.astype(np.float64)).astype(np.int64)
    return np.asarray(whole)


def _ring(ring: Steps, *, hole: bool) -> Steps:
    """Return a ring whose points differ from one to the next; what is left of a tiny one is filled up to three."""
    different = (ring != np.roll(ring, 1, axis=0)).any(axis=1)
    kept = ring[different] if different.any() else ring[:1]
    if len(kept) < 3:
        kept = np.concatenate([kept, np.repeat(kept[-1:], 3 - len(kept), axis=0)])
    return np.asarray(directed(kept.astype(np.float64), clockwise=not hole).astype(np.int64))
