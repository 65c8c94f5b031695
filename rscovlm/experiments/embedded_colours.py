"""The embedded model, trained on until it tells colours apart, and points by phrases that need them.

``python -m rscovlm.experiments.embedded_colours START FOLDER`` continues from a checkpoint: the last stage of the shipped model
(``rscovlm/embedded/README.md``). In the stages before, questions for a colour are too few to be learnt (docs: the embedded model).
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rscovlm.codec import Codec
from rscovlm.embedded import embedded_model
from rscovlm.experiments.embedded import STAGES, budget, scene_config
from rscovlm.experiments.embedded_tiles import ROW, continue_training, hard_tiles, tile_subsets
from rscovlm.mixtures.mixture import Subset
from rscovlm.mixtures.scene_records import SceneTurns
from rscovlm.scenes import COVERS
from rscovlm.scenes.scene import HABITAT

STEPS, NAMING, FALL = 4000, 1200, 1500
"""Optimiser steps, at how many of them, the first, two fifths of all questions ask for a colour, and at how many, the last, the rates fall."""

REHEARSED: Mapping[str, float] = {"tiles": 2.0, "crowded": 0.5, "middling": 0.4, "point": 1.0, "looks": 0.8}
"""Weights of what was known, while colours are learnt; the rest keeps its own."""

SETTLED: Mapping[str, float] = {"tiles": 6.0, "detect": 3.0, "middling": 1.2, "point": 2.0}
"""Weights of the last stage, `settle`: stage 6 with mostly empty tiles costs the detection of single objects 4 points."""


def colour_subsets(*, naming: bool) -> list[Subset]:
    """Return scenes whose objects are asked for by colour.

    Args:
        naming: Mostly questions for the colour of one object; otherwise mostly pointing at one of several.
    """
    known = scene_config(STAGES[-1])
    words = SceneTurns(known, Codec.preset("rscovlm-v1"), budget(), spatial=0, tasks=("colour",))
    alone = replace(words, config=replace(known, max_objects=1))
    several = replace(words, config=replace(known, min_objects=2))
    points = replace(several, spatial=2, worded=0, kind="hbb", boxed=("grounding",))
    alike = [
        replace(
            points,
            config=replace(
                points.config, classes=(name,), covers=tuple(cover for cover in COVERS if name in HABITAT[cover])
            ),
        )
        for name in known.classes
    ]
    twins = [Subset(f"point at one {turns.config.classes[0]}", turns, 0.7 if naming else 1.0) for turns in alike]
    return [
        Subset("colour of one", alone, 6.0 if naming else 0.6),
        Subset("colour of several", several, 1.5 if naming else 0.6),
        *twins,
    ]


def train_colours(
    start: Path,
    folder: Path,
    *,
    steps: int = STEPS,
    naming: int = NAMING,
    falling: int = FALL,
    hard: int = 1,
    settle: bool = False,
    row: int = ROW,
    seed: int = 0,
    workers: int = 1,
    resume: bool = False,
    **arguments: Any,
) -> Any:
    """Go on from a checkpoint with colours in the mixture, in packed rows, and save the model.

    Args:
        start: Checkpoint to go on from.
        folder: Where model, processor, rows and checkpoints go.
        steps: Optimiser steps, one packed row each.
        naming: Steps at the start in which two fifths of all questions ask for a colour.
        falling: Steps at the end in which the rates fall to 0, and most tiles are empty.
        hard: Round of hard tiles that are trained while the rates fall; 0 for none.
        settle: The stage after: no more naming, rates a third and falling from the start, more detection.
        row: Tokens of a row.
        seed: Of the samples.
        workers: Processes that draw scenes.
        resume: Go on from the last checkpoint in the folder.
        arguments: For `trl.SFTConfig`.

    Returns:
        The finished trainer.
    """
    mistakes = hard_tiles(start, folder / "hard_tiles.json", hard) if hard else None
    if settle:
        naming, falling = 0, steps
    share = 1 / 3 if settle else 1.0

    def subsets(position: int) -> list[Subset]:
        falls = position >= steps - falling
        weights = REHEARSED if position < naming else SETTLED if settle else {"point": 3.0}
        known = tile_subsets(watchful=falls, hard=mistakes if falls else None)
        known = [replace(subset, weight=weights.get(subset.name, subset.weight)) for subset in known]
        return known + colour_subsets(naming=position < naming)

    return continue_training(
        start,
        folder,
        subsets,
        rates={"lr": 6e-4 * share, "muon_lr": 6e-3 * share},
        first=7000 if settle else 5000,
        steps=steps,
        falling=falling,
        row=row,
        seed=seed,
        workers=workers,
        resume=resume,
        **arguments,
    )


def main() -> None:
    """Run the recipe from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("start", help="checkpoint to go on from; 'embedded' for the shipped one")
    parser.add_argument("folder", type=Path, help="where the model goes")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument(
        "--naming",
        type=int,
        default=NAMING,
        help="steps at the start in which two fifths of all questions ask for a colour",
    )
    parser.add_argument("--falling", type=int, default=FALL, help="steps at the end in which the rates fall")
    parser.add_argument(
        "--hard", type=int, default=1, help="round of hard tiles, trained while the rates fall; 0 for none"
    )
    parser.add_argument("--settle", action="store_true", help="the stage after, at a third of the rates")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1, help="processes that draw scenes")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in the folder")
    options = parser.parse_args()
    start = Path(embedded_model() if options.start == "embedded" else options.start)
    names = ("steps", "naming", "falling", "hard", "settle", "seed", "workers", "resume")
    train_colours(start, options.folder, **{name: getattr(options, name) for name in names})


if __name__ == "__main__":
    import rscovlm  # noqa: F401  registers the processor

    main()
