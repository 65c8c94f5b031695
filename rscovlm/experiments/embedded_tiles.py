"""The embedded model, trained on with tiles of large scenes, cut as `detect` cuts them.

``python -m rscovlm.experiments.embedded_tiles START FOLDER`` continues from a checkpoint: the last two stages of the shipped model
(``rscovlm/embedded/README.md``).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from transformers.trainer_utils import get_last_checkpoint

from rscovlm.codec import Codec
from rscovlm.embedded import embedded_model
from rscovlm.engines import Transformers
from rscovlm.experiments.embedded import SIDE, STAGES, budget, scene_config
from rscovlm.experiments.hard_tiles import HardTiles, find_hard_tiles, read_hard_tiles, write_hard_tiles
from rscovlm.experiments.packed_rows import RepeatedRows, train_rows
from rscovlm.loading import load_model, load_processor
from rscovlm.mixtures.mixture import Mixture, Subset
from rscovlm.mixtures.scene_records import SceneTurns, ZoomTurns
from rscovlm.mixtures.scene_tiles import SceneTiles
from rscovlm.processing.resolution import PixelBudget
from rscovlm.scenes import SceneConfig
from rscovlm.training.encoding import Encoder
from rscovlm.training.packing import PackedMixture

STEPS, FALL = 5000, 1500
"""Optimiser steps, and at how many of them, the last, the rates fall."""

ROW = 3072
"""Tokens of a packed row, one a step: about 45 conversations."""

SHARD = 40
"""Rows that are packed together."""

TIMES, RECENT = 2, 400
"""How often a packed row is trained, and from how many of the newest rows those trained again are drawn. Drawing a row takes
longer than a step; but trained five times, rows are learnt by heart (docs: tiles of large scenes)."""


MARKING, WORN = 4.5, 50.0
"""A marking this small on a pad this worn cannot be read in an overview of 84 pixels (``tests/scenes/test_legibility.py``)."""


def crowded_scenes(texture_seed: int = 0) -> SceneConfig:
    """Return scenes with up to twelve objects, twice as large as what the model sees of them."""
    known = scene_config(STAGES[-1], texture_seed)
    return replace(known, size=2 * SIDE, min_objects=4, max_objects=12, max_length=44)


def small_markings(known: SceneConfig, codec: Codec, seen: PixelBudget) -> ZoomTurns:
    """Return large scenes with a marking that takes two looks: at the pad, and from there at the marking on it.

    Args:
        known: What else the scenes hold.
        codec: How boxes are written.
        seen: Pixels the model sees.
    """
    return ZoomTurns(known, codec, seen, side=8 * SIDE, marking=MARKING, worn=WORN, twice=True, jitter=0.05)


def hard_scenes(number: int = 1) -> SceneTiles:
    """Return the parts of large scenes in which a trained model's mistakes are looked for, others in each round."""
    places = ("airfield", "anywhere", "harbour", "airfield", "anywhere", "town")
    return SceneTiles(
        Codec.preset("rscovlm-v1"),
        budget(),
        scene_config(STAGES[-1]).classes,
        seed=10_000 + 2000 * number,
        parts=400,
        places=places,
    )


def tile_subsets(*, watchful: bool = False, hard: HardTiles | None = None) -> list[Subset]:
    """Return what is trained on: tiles of large scenes, crowded scenes seen from afar, and all that was known.

    Args:
        watchful: More tiles, three of four of them empty, from anywhere in a scene: against objects that are not there.
        hard: Tiles on which the model was wrong, to be shown again.
    """
    codec, seen = Codec.preset("rscovlm-v1"), budget()
    known = scene_config(STAGES[-1])
    turns = SceneTurns(known, codec, seen, tasks=STAGES[-1].tasks)
    several = replace(turns, config=replace(known, min_objects=2), kind="hbb")
    middling = replace(known, size=3 * SIDE // 2, min_objects=2, max_objects=8, max_length=44)
    tiles = SceneTiles(codec, seen, known.classes)
    if watchful:
        everywhere = ("harbour", "anywhere", "airfield", "anywhere", "harbour", "anywhere")
        tiles = replace(tiles, empty=0.75, seed=8000, parts=120, places=everywhere)
    looks = small_markings(known, codec, seen)
    subsets = [
        Subset("tiles", tiles, 8.0 if watchful else 5.0),
        Subset("tiles upright", replace(tiles, kind="hbb"), 0.4),
        Subset("crowded", replace(turns, config=crowded_scenes(), spatial=1, worded=0), 1.0),
        Subset("middling", replace(turns, config=middling, spatial=1, worded=0), 0.8),
        Subset("point", replace(several, boxed=("grounding",)), 2.0),
        Subset("upright", replace(turns, kind="hbb"), 0.4),
        Subset("detect", turns, 1.0),
        Subset("empty", replace(turns, config=replace(known, min_objects=0, max_objects=0)), 0.3),
        Subset("zoom", ZoomTurns(known, codec, seen), 0.9),
        Subset("looks", looks, 1.5),
        Subset("looks from afar", replace(looks, side=2 * looks.side), 0.3),
        Subset("words", replace(turns, spatial=0), 0.6),
    ]
    if hard is not None:
        subsets.append(Subset("hard tiles", hard, 4.0))
    return subsets


def train_tiles(
    start: Path,
    folder: Path,
    *,
    steps: int = STEPS,
    falling: int = FALL,
    row: int = ROW,
    seed: int = 0,
    workers: int = 1,
    resume: bool = False,
    hard: int = 0,
    **arguments: Any,
) -> Any:
    """Go on from a checkpoint with tiles of large scenes in the mixture, in packed rows, and save the model.

    Args:
        start: Checkpoint to go on from.
        folder: Where model, processor, rows and checkpoints go.
        steps: Optimiser steps, one packed row each.
        falling: Steps at the end in which the rates fall to 0, and most tiles are empty; before them the rates stay.
        row: Tokens of a row.
        seed: Of the samples.
        workers: Processes that draw scenes.
        resume: Go on from the last checkpoint in the folder.
        hard: Round of hard tiles: look for tiles on which the checkpoint is wrong first, in other scenes each round, and train on
            them too, at a third of the rates; 0 for none.
        arguments: For `trl.SFTConfig`.

    Returns:
        The finished trainer.
    """
    mistakes = hard_tiles(start, folder / "hard_tiles.json", hard) if hard else None
    share = 1 / 3 if hard else 1.0
    return continue_training(
        start,
        folder,
        lambda position: tile_subsets(watchful=position >= steps - falling, hard=mistakes),
        rates={"lr": 6e-4 * share, "muon_lr": 6e-3 * share},
        first=500 * hard,
        steps=steps,
        falling=falling,
        row=row,
        seed=seed,
        workers=workers,
        resume=resume,
        **arguments,
    )


def continue_training(
    start: Path,
    folder: Path,
    subsets: Callable[[int], list[Subset]],
    *,
    rates: Mapping[str, float],
    first: int,
    steps: int,
    falling: int,
    row: int,
    seed: int,
    workers: int,
    resume: bool,
    **arguments: Any,
) -> Any:
    """Go on from a checkpoint in packed rows, and save the model.

    Args:
        start: Checkpoint to go on from.
        folder: Where model, processor, rows and checkpoints go.
        subsets: What is trained from a step on.
        rates: `lr` and `muon_lr` of `MuonAdamW`.
        first: Number of the first mixture of 1,000 that a seed has: a stage with its own number draws samples of its own.
        steps: As in `train_tiles`, and so the rest.
        falling: Steps at the end in which the rates fall to 0.
        row: Tokens of a row.
        seed: Of the samples.
        workers: Processes that draw scenes.
        resume: Go on from the last checkpoint in the folder.
        arguments: For `trl.SFTConfig`.

    Returns:
        The finished trainer.
    """
    checkpoints = folder / "checkpoints"
    last = get_last_checkpoint(str(checkpoints)) if resume and checkpoints.is_dir() else None
    model, processor = load_model(last or start, dtype="float32"), load_processor(start)
    encoder = Encoder(processor)

    def shard(number: int) -> PackedMixture:
        chosen = subsets(number * SHARD * TIMES)
        mixture = Mixture(chosen, seed=1000 * seed + number + first, length=100_000)
        return PackedMixture(mixture, length=encoder, budget=row, lookahead=max(row // 64, 8), rows=SHARD)

    rows = RepeatedRows(shard, folder / "rows", times=TIMES, recent=RECENT, length=steps, size=SHARD, seed=seed)
    return train_rows(
        model,
        processor,
        rows,
        folder,
        rates=rates,
        last=last,
        falling=falling,
        warmup_steps=20,
        dataloader_num_workers=workers,
        seed=seed,
        **arguments,
    )


def hard_tiles(start: Path, file: Path, number: int) -> HardTiles:
    """Return the tiles on which a checkpoint is wrong, found once and kept."""
    if not file.exists():
        engine = Transformers(load_model(start, dtype="float32"), load_processor(start), batch_size=48)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_hard_tiles(file, find_hard_tiles(engine, hard_scenes(number)))
    return HardTiles(hard_scenes(number), read_hard_tiles(file))


def main() -> None:
    """Run the recipe from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("start", help="checkpoint to go on from; 'embedded' for the shipped one")
    parser.add_argument("folder", type=Path, help="where the model goes")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--falling", type=int, default=FALL, help="steps at the end in which the rates fall")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1, help="processes that draw scenes")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in the folder")
    parser.add_argument(
        "--hard", type=int, default=0, help="round of tiles on which START is wrong, trained at a third of the rates"
    )
    options = parser.parse_args()
    start = Path(embedded_model() if options.start == "embedded" else options.start)
    named = {name: getattr(options, name) for name in ("steps", "falling", "seed", "workers", "resume", "hard")}
    train_tiles(start, options.folder, **named)


if __name__ == "__main__":
    import rscovlm  # noqa: F401  registers the processor

    main()
