"""What it brings that a model corrects its own masks: ``python -m rscovlm.experiments.segmenting.again FOLDER FOLDER FOLDER``.

The checkpoints are those of ``rscovlm.experiments.set_of_points.recipe``, one a seed, which trains the correction with true masks made inexact.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rscovlm.engines import Engine
from rscovlm.experiments.embedded import STAGES, scene_config
from rscovlm.experiments.segmenting.predicted import unseen_scenes
from rscovlm.points.segmenter import FilledShapes, Segmenter
from rscovlm.scenes import Scene
from rscovlm.tasks.segment import segment
from rscovlm.tasks.segment_again import segment_again
from rscovlm.tasks.segmented import Segmented


@dataclass(frozen=True)
class AgainScore:
    """One segmenter and one checkpoint.

    Attributes:
        drawn: Who draws the masks.
        first: Mean IoU of all masks of a class with all true ones, over the classes that a scene has.
        again: The same after the model was shown its masks and answered again.
        error: Standard error of the mean difference, pair by pair.
        items: Number of pairs of a scene and a class.
    """

    drawn: str
    first: float
    again: float
    error: float
    items: int


def measure_again(
    engine: Engine, segmenter: Segmenter, scenes: Sequence[Scene], *, drawn: str, rounds: int = 1
) -> AgainScore:
    """Segment every class of each scene, have the model correct the masks, and compare both with the truth.

    Args:
        engine: Who answers.
        segmenter: Who draws the masks.
        scenes: Scenes with their truth.
        drawn: Name of the segmenter.
        rounds: How often the model corrects.

    Raises:
        ValueError: The scenes have fewer than two pairs of a scene and a class to compare.
    """
    rows: list[tuple[float, float]] = []
    classes = scene_config(STAGES[-1]).classes
    for scene in scenes:
        present = [name for name in classes if scene.count(name)]
        first = segment(engine, scene.image, classes, segmenter=segmenter)
        again = segment_again(engine, scene.image, first, segmenter=segmenter, rounds=rounds)
        rows += [(_iou(scene, first, name), _iou(scene, again, name)) for name in present]
    if len(rows) < 2:
        raise ValueError(f"the scenes have {len(rows)} classes to compare; give more scenes")
    overlaps = np.array(rows)
    gains = overlaps[:, 1] - overlaps[:, 0]
    first_mean, again_mean = overlaps.mean(axis=0)
    error = gains.std(ddof=1) / len(gains) ** 0.5
    return AgainScore(drawn, float(first_mean), float(again_mean), float(error), len(rows))


def _iou(scene: Scene, found: Segmented, label: str) -> float:
    """Return the IoU of all masks of a label with all true ones."""
    drawn = _union([mask.full() for name, mask in zip(found.labels, found.masks, strict=True) if name == label], scene)
    true = _union([scene.mask(place) for place, thing in enumerate(scene.objects) if thing.label == label], scene)
    return int((drawn & true).sum()) / int((drawn | true).sum())


def _union(masks: Sequence[NDArray[np.bool_]], scene: Scene) -> NDArray[np.bool_]:
    whole = np.zeros((scene.image.height, scene.image.width), bool)
    for mask in masks:
        whole |= mask
    return whole


def again_table(scores: Sequence[AgainScore]) -> str:
    """Return scores as a Markdown table."""
    lines = ["| masks | drawn once | again | gain | pairs |", "|---|---|---|---|---|"]
    lines += [
        f"| {one.drawn} | {one.first:.3f} | {one.again:.3f} | {one.again - one.first:+.3f} ± {one.error:.3f} | {one.items} |"
        for one in scores
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure checkpoints from the command line and print the table."""
    from rscovlm.engines import Transformers
    from rscovlm.loading import load
    from rscovlm.points.loading import load_segmenter

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+", help="checkpoints, one a seed")
    parser.add_argument("--segmenter", default="embedded", help="checkpoint that draws the masks")
    parser.add_argument("--count", type=int, default=150, help="scenes")
    parser.add_argument("--seed", type=int, default=90018, help="of the scenes")
    options = parser.parse_args()
    scenes = [scene for scene in unseen_scenes(options.count, options.seed) if scene.objects]
    drawers: dict[str, Segmenter] = {"filled boxes": FilledShapes()}
    drawers["segmenter"] = load_segmenter(options.segmenter) or FilledShapes()
    scores = []
    for folder in options.folders:
        engine = Transformers(*load(folder, device="cpu"), batch_size=48)
        scores += [measure_again(engine, one, scenes, drawn=f"{name}, {folder.name}") for name, one in drawers.items()]
    sys.stdout.write(again_table(scores) + "\n")


if __name__ == "__main__":
    import rscovlm  # noqa: F401  registers the processor

    main()
