"""Rewards for reinforcement learning on answers that are sets of points: overlap, change, evidence, format."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import shapely

from rscovlm.codec import Codec
from rscovlm.codec.point_objects import DecodedSets, PointObject
from rscovlm.codec.set_of_points import SetOfPoints
from rscovlm.geometry import Frame
from rscovlm.geometry.shapes import shape_of
from rscovlm.zoom.environment import last_words

Rings = Sequence[Sequence[float]]
"""Rings of one object, flat x1 y1 x2 y2 ... each, in the grid that the model sees; an odd number of them encloses the object."""

Reward = Callable[..., list[float | None]]


def area_of(objects: Iterable[Rings]) -> Any:
    """Return the area that objects cover together, as a valid shape; empty without any.

    Raises:
        ValueError: A ring has fewer than three points or an odd count of numbers.

    >>> area_of([[[0, 0, 4, 0, 4, 4, 0, 4]], [[2, 0, 6, 0, 6, 4, 2, 4]]]).area
    24.0
    """
    shapes = []
    for rings in objects:
        for ring in rings:
            if len(ring) < 6 or len(ring) % 2:
                raise ValueError(f"a true ring has {len(ring)} numbers; give x y of three points or more")
        shapes.append(shape_of([np.asarray(ring, dtype=np.float64).reshape(-1, 2) for ring in rings]))
    return shapely.union_all(shapes)


def overlap_score(found: Any, true: Any) -> float:
    """Return the IoU of two areas; 1 where both are empty.

    >>> overlap_score(shapely.box(0, 0, 2, 1), shapely.box(1, 0, 3, 1)), overlap_score(shapely.Point(), shapely.Point())
    (0.3333333333333333, 1.0)
    """
    if not found.area and not true.area:
        return 1.0
    return float(shapely.intersection(found, true).area / shapely.union(found, true).area)


def dice_score(found: Any, true: Any) -> float:
    """Return the F1 of two areas, twice their intersection over their sum; 1 where both are empty: nothing changed.

    >>> dice_score(shapely.box(0, 0, 2, 1), shapely.box(1, 0, 3, 1))
    0.5
    """
    total = found.area + true.area
    return float(2 * shapely.intersection(found, true).area / total) if total else 1.0


def evidence_score(objects: Sequence[PointObject], true: Any) -> float | None:
    """Return the share of stated places that lie on the truth: points inside, or a place within each outline; None without any."""
    places = [place for one in objects for place in _places(one)]
    if not places:
        return None
    return float(np.mean(shapely.covers(true, shapely.points(np.array(places)))))


def format_score(read: DecodedSets) -> float:
    """Return the share of what was written that could be read, halved where something had to be put right."""
    if not read.objects:
        return float(read.none and not read.dropped)
    share = len(read.objects) / (len(read.objects) + read.dropped)
    return share if not read.problems else share / 2


def set_rewards(codec: Codec) -> dict[str, Reward]:
    """Return reward functions as ``GRPOTrainer(reward_funcs=...)`` takes them, by name.

    Each takes the completions and, from the columns of the rows, ``truth`` (objects, each a list of rings) and ``size`` (width and
    height of the grid that the model sees).

    Args:
        codec: How the model writes points.

    Returns:
        ``mask_iou`` (IoU of what is outlined with the truth), ``change_f1`` (the same areas' F1), ``evidence`` (share of
        stated places that lie on the truth; None where none is stated), ``points_format`` (share that can be read). All are from 0 to
        1, and 0 for overlap where an answer cannot be read at all.

    >>> rewards = set_rewards(Codec.preset("rscovlm-v1"))
    >>> square = [[[10, 10, 30, 10, 30, 30, 10, 30]]]
    >>> rewards["mask_iou"](["[(10,10),(30,10),(30,20),(10,20),(10,10)] roof"], truth=[square], size=[[84, 84]])
    [0.5]
    """
    points = SetOfPoints(codec)

    def read(completion: Any, size: Sequence[int]) -> DecodedSets:
        return points.decode(last_words(completion), Frame(int(size[0]), int(size[1])))

    def rows(
        completions: Sequence[Any], truth: Sequence[Any], size: Sequence[Any]
    ) -> Iterable[tuple[DecodedSets, Any]]:
        for completion, true, side in zip(completions, truth, size, strict=True):
            yield read(completion, side), area_of(true)

    def mask_iou(completions: Sequence[Any], *, truth: Any, size: Any, **_: Any) -> list[float | None]:
        return [_scored(said, true, overlap_score) for said, true in rows(completions, truth, size)]

    def change_f1(completions: Sequence[Any], *, truth: Any, size: Any, **_: Any) -> list[float | None]:
        return [_scored(said, true, dice_score) for said, true in rows(completions, truth, size)]

    def evidence(completions: Sequence[Any], *, truth: Any, size: Any, **_: Any) -> list[float | None]:
        return [evidence_score(said.objects, true) for said, true in rows(completions, truth, size)]

    def points_format(completions: Sequence[Any], *, size: Any, **_: Any) -> list[float | None]:
        return [format_score(read(one, side)) for one, side in zip(completions, size, strict=True)]

    return {one.__name__: one for one in (mask_iou, change_f1, evidence, points_format)}


def _scored(read: DecodedSets, true: Any, score: Callable[[Any, Any], float]) -> float:
    if not read.objects and not read.none:  # nothing that can be read is no claim that there is nothing
        return 0.0
    return score(shapely.union_all([one.shape for one in read.objects]), true)


def _places(one: PointObject) -> Iterable[tuple[float, float]]:
    if one.form == "prompt":
        inside = one.sets.points[1:2]
        return [(float(x), float(y)) for ring in inside for x, y in ring]
    if not one.shape.area:
        return []
    place = one.shape.representative_point()
    return [(float(place.x), float(place.y))]
