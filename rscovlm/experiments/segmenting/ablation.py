"""What a segmenter is worth on windows it never saw, by what it is given: ``python -m rscovlm.experiments.segmenting.ablation``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rscovlm.codec.point_objects import PointObject
from rscovlm.experiments.segmenting.windows import TEST_TEXTURES, ObjectWindow, draw_window
from rscovlm.files import write_text
from rscovlm.geometry.masks import Mask
from rscovlm.points.keypoints import prompt_of
from rscovlm.points.loading import embedded_segmenter
from rscovlm.points.refining import segment_refined
from rscovlm.points.sam2 import Sam2Segmenter
from rscovlm.points.segmenter import FilledShapes, Segmenter

INEXACT, FAR_OFF = 0.12, 0.3
"""Standard deviation of each side of an inexact box, and of one that is far off, as a share of its width or height."""

Draw = Callable[[Mask, np.random.Generator], PointObject]


@dataclass(frozen=True)
class MaskScore:
    """One row.

    Attributes:
        given: What the segmenter was given.
        iou: Mean IoU of the objects.
        error: Its standard error.
        filled: Mean IoU of the given box, filled: what it takes without a segmenter.
        objects: Number of objects.
    """

    given: str
    iou: float
    error: float
    filled: float
    objects: int


def exact(points: int) -> Draw:
    """Return who gives the true box and so many points inside."""
    return lambda mask, rng: prompt_of(mask, "object", inside=points, rng=rng)


def inexact(points: int, share: float = INEXACT) -> Draw:
    """Return who gives a box that is off at every side, as a model's is, and points inside the object."""

    def draw(mask: Mask, rng: np.random.Generator) -> PointObject:
        true = prompt_of(mask, "object", inside=points, rng=rng)
        box = true.box.coords[0]
        box = box + rng.normal(0, share, 4) * np.tile(box[2:] - box[:2], 2)
        low, high = np.minimum(box[:2], box[2:] - 2), np.maximum(box[2:], box[:2] + 2)
        inside = true.sets.points[1] if len(true.sets) > 1 else ()
        return PointObject.prompt("object", [*low.tolist(), *high.tolist()], inside, mask.frame)

    return draw


def measure(
    segmenter: Sam2Segmenter, windows: Sequence[ObjectWindow], *, seed: int = 0, given: Sequence[str] | None = None
) -> list[MaskScore]:
    """Return a row for each thing that may be given.

    Args:
        segmenter: Sees the windows as they are.
        windows: With their true masks.
        seed: Of points and inexact boxes.
        given: Names of the rows that are wanted; all by default.
    """
    alone = {name: _only(segmenter, name) for name in ("boxes", "points")}
    rows: dict[str, tuple[Segmenter, Draw, int]] = {
        "box alone": (alone["boxes"], exact(0), 0),
        "1 point alone": (alone["points"], exact(1), 0),
        "2 points alone": (alone["points"], exact(2), 0),
        "4 points alone": (alone["points"], exact(4), 0),
        "box and 1 point": (segmenter, exact(1), 0),
        "box and 2 points": (segmenter, exact(2), 0),
        "box and 4 points": (segmenter, exact(4), 0),
        "inexact box alone": (alone["boxes"], inexact(0), 0),
        "inexact box and 2 points": (segmenter, inexact(2), 0),
        "inexact box and 2 points, refined once": (segmenter, inexact(2), 1),
        "inexact box and 2 points, refined twice": (segmenter, inexact(2), 2),
        "box far off and 2 points": (segmenter, inexact(2, FAR_OFF), 0),
        "box far off and 2 points, refined once": (segmenter, inexact(2, FAR_OFF), 1),
        "box far off and 2 points, refined twice": (segmenter, inexact(2, FAR_OFF), 2),
    }
    return [_row(name, *rows[name], windows, seed) for name in given or rows]


def _row(
    name: str, segmenter: Segmenter, draw: Draw, rounds: int, windows: Sequence[ObjectWindow], seed: int
) -> MaskScore:
    drawn, filled = [], []
    for number, window in enumerate(windows):
        targets = window.targets()
        # Every row sees the same boxes and, as far as it has any, the same points.
        prompts = [draw(mask, np.random.default_rng([seed, number, k])) for k, mask in enumerate(targets)]
        masks = segment_refined(segmenter, window.image, prompts, rounds=rounds)
        drawn += [_iou(one, two) for one, two in zip(masks, targets, strict=True)]
        boxes = FilledShapes().segment(window.image, prompts)
        filled += [_iou(one, two) for one, two in zip(boxes, targets, strict=True)]
    error = float(np.std(drawn, ddof=1) / len(drawn) ** 0.5)
    return MaskScore(name, float(np.mean(drawn)), error, float(np.mean(filled)), len(drawn))


def _only(segmenter: Sam2Segmenter, given: Any) -> Sam2Segmenter:
    other = copy(segmenter)
    other.given = given
    return other


def _iou(one: Mask, two: Mask) -> float:
    a, b = one.full(), two.full()
    either = int((a | b).sum())
    return float((a & b).sum() / either) if either else 1.0


def unseen_windows(count: int, seed: int) -> list[ObjectWindow]:
    """Draw windows with textures and layouts that no training window has."""
    rng = np.random.default_rng([seed, 7])
    return [draw_window(rng, TEST_TEXTURES) for _ in range(count)]


def table(scores: Sequence[MaskScore]) -> str:
    """Return the rows as a Markdown table."""
    lines = ["| given | mean IoU | standard error | the box filled | objects |", "|---|---|---|---|---|"]
    lines += [
        f"| {one.given} | {one.iou:.3f} | {one.error:.3f} | "
        f"{'' if 'alone' in one.given and 'point' in one.given else f'{one.filled:.3f}'} | {one.objects} |"
        for one in scores
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure from the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--segmenter", default=embedded_segmenter(), help="folder of a SAM 2 checkpoint")
    parser.add_argument("--count", type=int, default=400, help="windows")
    parser.add_argument("--seed", type=int, default=90001, help="of windows and prompts")
    parser.add_argument("--out", type=Path, help="JSON file for the scores; nothing is written without it")
    options = parser.parse_args()
    scores = measure(
        Sam2Segmenter.load(options.segmenter), unseen_windows(options.count, options.seed), seed=options.seed
    )
    if options.out is not None:
        kept = {"count": options.count, "seed": options.seed, "scores": [asdict(one) for one in scores]}
        write_text(options.out, json.dumps(kept, indent=2) + "\n", overwrite=True)
    sys.stdout.write(table(scores) + "\n")


if __name__ == "__main__":
    main()
