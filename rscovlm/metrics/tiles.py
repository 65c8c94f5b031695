"""From detections in tiles to detections in whole images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rscovlm.geometry.affine import Floats, apply
from rscovlm.geometry.kinds import bounds
from rscovlm.geometry.overlaps import can_reach, most_of_strips, strips
from rscovlm.geometry.suppression import stand_ins
from rscovlm.metrics.detections import Bools, quads
from rscovlm.metrics.matching import Shape, areas, overlaps, shaped

Item = dict[str, Any]


def merge_tiles(
    tiles: Sequence[Mapping[str, Any]],
    *,
    iou: float = 0.1,
    shape: Shape = "rectangle",
    ties: Literal["content", "stable"] = "content",
) -> dict[str, Item]:
    """Bring the detections of tiles together in their images and drop repeats, class by class.

    A box is dropped if it overlaps a better one of its class by more than `iou`. Better is the higher score; without
    scores, and among equal scores, ``"content"`` prefers the larger box (one cut off at a tile's border is the smaller)
    and then the one with smaller coordinates, so that no order of tiles or boxes matters; ``"stable"`` prefers the one
    that comes first, as the peers' programs do.

    Args:
        tiles: Mappings with ``"image"`` (name of the image), ``"boxes"`` ((n, 8) corners in the tile's pixels, or
            `Boxes` of any kind), ``"labels"``, in all or in none ``"scores"``; and where the tile lies: ``"offset"``
            (x, y of its corner in the image, default 0) and ``"scale"`` (image pixels per tile pixel, one number or
            x and y, default 1): image = offset + scale * tile. `Boxes` that know their frame are placed by it instead,
            where neither is given.
        iou: Overlap, between 0 and 1, above which the worse box goes.
        shape: What is compared: ``"rectangle"`` (around each box), ``"quad"`` or ``"horizontal"``.
        ties: ``"content"`` or ``"stable"``.

    Returns:
        Image name -> ``boxes`` (n, 8), ``labels``, ``scores`` (1.0 where none were given), best first, and ``dropped``
        (number of repeats). Images come in the order of their names, those without a box too.

    Raises:
        ValueError: If a tile is malformed; the message names it.

    Source:
        mmrotate 1.x ``DOTAMetric.merge_results``: class-wise rotated suppression at 0.1.

    Example:
        >>> ship = {"labels": ["ship"], "boxes": [[10, 10, 30, 10, 30, 20, 10, 20]]}
        >>> again = {"labels": ["ship"], "boxes": [[0, 10, 20, 10, 20, 20, 0, 20]], "offset": (10, 0)}
        >>> merged = merge_tiles([{"image": "P1", **ship}, {"image": "P1", **again}])
        >>> len(merged["P1"]["boxes"]), merged["P1"]["dropped"]
        (1, 1)
    """
    if not 0 <= iou <= 1:
        raise ValueError(f"iou is {iou}; give a number between 0 and 1")
    if ties not in ("content", "stable"):
        raise ValueError(f"ties is {ties!r}; use 'content' or 'stable'")
    gathered: dict[str, list[tuple[Floats, list[str], Floats | None]]] = {}
    scored = set()
    for k, tile in enumerate(tiles):
        name, part = _placed(tile, f"tiles[{k}]")
        gathered.setdefault(name, []).append(part)
        if len(part[0]):
            scored.add(part[2] is not None)
    if len(scored) > 1:
        raise ValueError("some tiles have 'scores' and some have none; give them in all or in none")
    merged = {}
    for name in sorted(gathered):
        parts = gathered[name]
        boxes = np.concatenate([part[0] for part in parts])
        labels = [label for part in parts for label in part[1]]
        scores = np.concatenate([np.ones(len(part[0])) if part[2] is None else part[2] for part in parts])
        keep = _survivors(boxes, labels, scores, iou, shape, ties)
        merged[name] = {
            "boxes": boxes[keep],
            "labels": [labels[k] for k in keep],
            "scores": scores[keep],
            "dropped": len(boxes) - len(keep),
        }
    return merged


def _placed(tile: Mapping[str, Any], name: str) -> tuple[str, tuple[Floats, list[str], Floats | None]]:
    """Return the image of a tile and its boxes in that image's pixels, labels and scores."""
    missing = [key for key in ("image", "boxes", "labels") if key not in tile]
    if missing:
        raise ValueError(f"{name} has no {missing[0]!r} (it has {sorted(tile)}); add it")
    boxes, labels, scores = quads(tile["boxes"], f"{name}['boxes']"), list(tile["labels"]), tile.get("scores")
    if len(labels) != len(boxes) or (scores is not None and len(scores) != len(boxes)):
        raise ValueError(f"{name} has {len(boxes)} boxes, {len(labels)} labels and {scores!r} as scores; give one each")
    frame = getattr(tile["boxes"], "frame", None)
    if frame is not None and "offset" not in tile and "scale" not in tile:
        boxes = apply(frame.to_root, boxes.reshape(-1, 4, 2)).reshape(-1, 8)
    offset = np.asarray(tile.get("offset", 0.0), dtype=np.float64) * np.ones(2)
    scale = np.asarray(tile.get("scale", 1.0), dtype=np.float64) * np.ones(2)
    if not (np.isfinite(offset).all() and np.isfinite(scale).all() and (scale > 0).all()):
        raise ValueError(f"{name} has offset {offset.tolist()} and scale {scale.tolist()}; give finite ones, scale > 0")
    placed = (boxes.reshape(-1, 4, 2) * scale + offset).reshape(-1, 8)
    values = None if scores is None else np.asarray(scores, dtype=np.float64)
    if values is not None and not np.isfinite(values).all():
        raise ValueError(f"{name}['scores'] is {values.tolist()}; every score must be finite")
    return str(tile["image"]), (placed, labels, values)


def _survivors(
    boxes: Floats, labels: list[str], scores: Floats, iou: float, shape: Shape, ties: str
) -> NDArray[np.intp]:
    """Return the rows kept, best first."""
    forms = shaped(boxes, shape)
    size = areas(forms)
    names = np.unique(labels, return_inverse=True)[1] if labels else np.zeros(0, np.intp)
    if ties == "stable":
        order = np.argsort(-scores, kind="stable")
    else:
        order = np.lexsort((*boxes.T[::-1], names, -np.round(size, 6), -scores))
    box = bounds(forms, "quad") if forms.shape[1] == 8 else forms

    strip = strips(forms) if forms.shape[1] == 8 else None

    def repeated(better: NDArray[np.intp], worse: NDArray[np.intp]) -> Bools:
        # In a pile every box meets every other. Most pairs go by what is quick to compute, before more is looked up for them.
        found = np.zeros(len(better), bool)
        rows = np.arange(len(better))
        if strip is not None:
            most = most_of_strips(strip.take(better, axis=0), strip.take(worse, axis=0)) * ((1 + iou) * (1 + 1e-6))
            rows = np.flatnonzero(most >= iou * (size.take(better) + size.take(worse)))
            better, worse = better.take(rows), worse.take(rows)
        near = can_reach(iou, box.take(better, axis=0), box.take(worse, axis=0), size.take(better), size.take(worse))
        rows, better, worse = rows[near], better[near], worse[near]
        found[rows] = overlaps(forms[better], forms[worse], size[better], size[worse]) > iou
        return found

    kept: NDArray[np.intp] = order[stand_ins(box, names, order, repeated)[order] == order]
    return kept
