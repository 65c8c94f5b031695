"""What masks are worth where a model predicts the boxes, drawn once and drawn again: ``python -m rscovlm.experiments.segmenting.predicted``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rscovlm.engines import Engine
from rscovlm.experiments.embedded import STAGES, scene_config
from rscovlm.experiments.scenes import TEST_TEXTURES
from rscovlm.exports.matches import match_objects
from rscovlm.files import write_text
from rscovlm.geometry.affine import Floats
from rscovlm.mixtures.scene_records import scene_objects
from rscovlm.points.box_masks import box_prompts
from rscovlm.points.loading import load_segmenter
from rscovlm.points.refining import segment_refined
from rscovlm.points.segmenter import FilledShapes, Segmenter
from rscovlm.rasters import open_image
from rscovlm.scenes import Scene, make_scene
from rscovlm.tasks import detect

DRAWN = ("the predicted box filled", "segmenter", "segmenter, refined once", "segmenter, refined twice")


@dataclass(frozen=True)
class PredictedMasks:
    """One row.

    Attributes:
        drawn: How the masks are drawn, one of `DRAWN`.
        iou: Mean IoU of the masks of matched objects with the true ones.
        error: Its standard error.
        gain: Mean difference from the segmenter's first masks, object by object.
        gain_error: Its standard error.
        objects: Number of matched objects.
    """

    drawn: str
    iou: float
    error: float
    gain: float
    gain_error: float
    objects: int


def unseen_scenes(count: int, seed: int) -> list[Scene]:
    """Draw scenes of one to three objects with textures that no training scene has."""
    rng = np.random.default_rng([seed, 11])
    return [make_scene(rng, scene_config(STAGES[-1], TEST_TEXTURES)) for _ in range(count)]


def measure_predicted(engine: Engine, segmenter: Segmenter, scenes: Sequence[Scene]) -> list[PredictedMasks]:
    """Detect all objects of each scene and compare the masks drawn of those that are there (IoU of the boxes from 0.5).

    Args:
        engine: Who predicts the boxes.
        segmenter: Who draws the masks.
        scenes: Scenes with their truth.

    Raises:
        ValueError: Fewer than two found objects are there, so that nothing can be compared.
    """
    rows: list[list[float]] = []
    for scene in scenes:
        raster = open_image(scene.image)
        found = detect(engine, raster, scene_config(STAGES[-1]).classes).objects
        pairs = match_objects(found, scene_objects(scene)).matched if len(found) and scene.objects else ()
        prompts = box_prompts(found, raster.frame)
        drawn = [FilledShapes().segment(np.asarray(scene.image), prompts)]
        drawn += [segment_refined(segmenter, raster, prompts, rounds=rounds) for rounds in range(len(DRAWN) - 1)]
        for row, true in pairs:
            mask = scene.mask(true)
            rows.append([_iou(masks[row].full(), mask) for masks in drawn])
    if len(rows) < 2:
        raise ValueError(f"{len(rows)} of the found objects are there; give more scenes or a better model")
    overlaps = np.array(rows)
    return [_row(name, overlaps[:, place], overlaps[:, place] - overlaps[:, 1]) for place, name in enumerate(DRAWN)]


def predicted_table(rows: Sequence[PredictedMasks]) -> str:
    """Return the rows as a Markdown table."""
    lines = ["| masks | mean IoU | standard error | against drawn once | objects |", "|---|---|---|---|---|"]
    for one in rows:
        gain = "" if one.drawn == DRAWN[1] else f"{one.gain:+.3f} ± {one.gain_error:.3f}"
        lines.append(f"| {one.drawn} | {one.iou:.3f} | {one.error:.3f} | {gain} | {one.objects} |")
    return "\n".join(lines)


def _row(name: str, overlaps: Floats, gains: Floats) -> PredictedMasks:
    error, gain_error = (float(values.std(ddof=1) / len(values) ** 0.5) for values in (overlaps, gains))
    return PredictedMasks(name, float(overlaps.mean()), error, float(gains.mean()), gain_error, len(overlaps))


def _iou(one: NDArray[np.bool_], two: NDArray[np.bool_]) -> float:
    either = int((one | two).sum())
    return int((one & two).sum()) / either if either else 1.0


def main() -> None:
    """Measure from the command line and print the table."""
    from rscovlm.engines import Transformers
    from rscovlm.loading import load

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="embedded", help="checkpoint that predicts the boxes")
    parser.add_argument("--segmenter", default="embedded", help="checkpoint that draws the masks")
    parser.add_argument("--count", type=int, default=200, help="scenes")
    parser.add_argument("--seed", type=int, default=90018, help="of the scenes")
    parser.add_argument("--out", type=Path, help="JSON file for the scores; nothing is written without it")
    options = parser.parse_args()
    engine = Transformers(*load(options.model, device="cpu"), batch_size=48)
    rows = measure_predicted(
        engine, load_segmenter(options.segmenter) or FilledShapes(), unseen_scenes(options.count, options.seed)
    )
    if options.out is not None:
        kept = {"count": options.count, "seed": options.seed, "scores": [asdict(one) for one in rows]}
        write_text(options.out, json.dumps(kept, indent=2) + "\n", overwrite=True)
    sys.stdout.write(predicted_table(rows) + "\n")


if __name__ == "__main__":
    import rscovlm  # noqa: F401  registers the processor

    main()
