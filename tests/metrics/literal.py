"""Average precision said once more, slowly and word for word as the protocols have it, with shapely for overlaps."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely

Item = dict[str, Any]


def overlap(a: Any, b: Any, rectangles: bool) -> float:
    """Intersection over union of two quadrilaterals, or of the smallest rectangles around them."""
    one, two = (shapely.make_valid(shapely.Polygon(np.reshape(q, (4, 2)))) for q in (a, b))
    if rectangles:
        one, two = one.minimum_rotated_rectangle, two.minimum_rotated_rectangle
    union = one.union(two).area
    return float(one.intersection(two).area / union) if union > 0 else 0.0


def class_ap(
    predictions: list[Item],
    references: list[Item],
    name: str,
    threshold: float,
    *,
    strict: bool = True,
    ignore_difficult: bool = True,
    rectangles: bool = False,
    area: bool = False,
) -> tuple[float, int, int]:
    """Return average precision, right and wrong boxes of one class; items carry scores."""
    found = [
        (-score, image, quad)
        for image, item in enumerate(predictions)
        for quad, label, score in zip(item["boxes"], item["labels"], item["scores"], strict=True)
        if label == name
    ]
    found.sort(key=lambda row: row[0])  # stable: equal scores stay as given
    truths = [
        [(q, bool(d)) for q, lab, d in zip(r["boxes"], r["labels"], r["difficult"], strict=True) if lab == name]
        for r in references
    ]
    positives = sum(not (hard and ignore_difficult) for image in truths for _, hard in image)
    taken: set[tuple[int, int]] = set()
    right = wrong = 0
    curve: list[tuple[float, float]] = []
    for _, image, quad in found:
        ious = [round(overlap(quad, true, rectangles), 10) for true, _ in truths[image]]
        best = int(np.argmax(ious)) if ious else -1
        reached = best >= 0 and (ious[best] > threshold if strict else ious[best] >= threshold)
        if reached and truths[image][best][1] and ignore_difficult:
            continue
        if reached and (image, best) not in taken:
            taken.add((image, best))
            right += 1
        else:
            wrong += 1
        if positives:
            curve.append((right / positives, right / (right + wrong)))
    if not positives:
        return 0.0, right, wrong
    if not area:
        grid = np.arange(0.0, 1.1, 0.1)
        return sum(max([p for r, p in curve if r >= t], default=0.0) for t in grid) / 11, right, wrong
    total, before = 0.0, 0.0
    for k, (recall, _) in enumerate(curve):
        total += (recall - before) * max(p for _, p in curve[k:])
        before = recall
    return total, right, wrong
