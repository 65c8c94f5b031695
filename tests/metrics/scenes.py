"""Random detections and truths in the manner of aerial images."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Item = dict[str, Any]


def rectangles(centre: NDArray[np.float64], size: NDArray[np.float64], angle: NDArray[np.float64]) -> Any:
    """Return (n, 8) corners rounded to whole pixels."""
    along = np.stack([np.cos(angle), np.sin(angle)], 1) * size[:, :1] / 2
    across = np.stack([-np.sin(angle), np.cos(angle)], 1) * size[:, 1:] / 2
    corners = [centre - along - across, centre + along - across, centre + along + across, centre - along + across]
    return np.round(np.concatenate(corners, 1))


def scenes(
    images: int, *, seed: int, boxes: float = 60.0, classes: int = 4, span: float = 3072.0, doubles: float = 0.05
) -> tuple[list[Item], list[Item]]:
    """Return predictions (with scores) and references (with difficult flags) of so many images."""
    rng = np.random.default_rng(seed)
    names = [f"class-{k}" for k in range(classes)]
    weights = rng.dirichlet(np.full(classes, 1.0))
    predictions, references = [], []
    for _ in range(images):
        n = rng.poisson(boxes)
        centre, size = rng.uniform(0, span, (n, 2)), rng.uniform(10, 60, (n, 2))
        angle, label = rng.uniform(-1.57, 1.57, n), rng.choice(classes, n, p=weights)
        seen = np.flatnonzero(rng.random(n) < 0.8)
        seen = np.concatenate([seen, seen[rng.random(len(seen)) < doubles]])
        m = rng.poisson(0.2 * boxes)
        found = np.concatenate(
            [
                rectangles(
                    centre[seen] + rng.normal(0, 1.5, (len(seen), 2)),
                    size[seen] * np.exp(rng.normal(0, 0.06, (len(seen), 2))),
                    angle[seen] + rng.normal(0, 0.04, len(seen)),
                ),
                rectangles(rng.uniform(0, span, (m, 2)), rng.uniform(10, 60, (m, 2)), rng.uniform(-1.5, 1.5, m)),
            ]
        )
        labels = np.concatenate([label[seen], rng.choice(classes, m, p=weights)])
        turn = rng.permutation(len(found))
        predictions.append(
            {
                "boxes": found[turn],
                "labels": [names[k] for k in labels[turn]],
                "scores": rng.integers(0, 20, len(found)) / 20,
            }
        )
        references.append(
            {
                "boxes": rectangles(centre, size, angle),
                "labels": [names[k] for k in label],
                "difficult": rng.random(n) < 0.1,
            }
        )
    return predictions, references


def shuffled(predictions: list[Item], references: list[Item], seed: int) -> tuple[list[Item], list[Item]]:
    """Return the same images in another order, their rows in another order."""
    rng = np.random.default_rng(seed)

    def rows(item: Item) -> Item:
        order = rng.permutation(len(item["labels"]))
        return {key: [value[k] for k in order] for key, value in item.items()}

    images = rng.permutation(len(references))
    return [rows(predictions[k]) for k in images], [rows(references[k]) for k in images]
