"""The embedded model, trained on with tiles of large scenes, cut as `detect` cuts them.

``python -m rscovlm.experiments.embedded_tiles START FOLDER`` goes on from a checkpoint, ``embedded`` for the shipped one. What that
reached stands in the docs of the embedded model; it is not what ships.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from transformers.trainer_utils import get_last_checkpoint

from rscovlm.codec import Codec
from rscovlm.embedded import embedded_model
from rscovlm.experiments.embedded import SIDE, STAGES, budget, scene_config
from rscovlm.experiments.packed_rows import KeptRowCollator, RepeatedRows
from rscovlm.loading import load_model, load_processor
from rscovlm.mixtures.mixture import Mixture, Subset
from rscovlm.mixtures.scene_records import SceneTurns, ZoomTurns
from rscovlm.mixtures.scene_tiles import SceneTiles
from rscovlm.scenes import SceneConfig
from rscovlm.training.encoding import Encoder
from rscovlm.training.optimizer import MuonAdamW
from rscovlm.training.packing import PackedMixture
from rscovlm.training.segments import isolate_samples
from rscovlm.training.sft import SFT_ARGUMENTS, as_dataset

STEPS, FALL = 3000, 1200
"""Optimiser steps, and at how many of them, the last, the rates fall."""

ROW = 3072
"""Tokens of a packed row, one a step: about 45 conversations."""

SHARD = 40
"""Rows that are packed together."""

TIMES, RECENT = 2, 400
"""How often a packed row is trained, and from how many of the newest rows those trained again are drawn. Drawing a row takes
longer than a step; but trained five times, rows are learnt by heart (docs: tiles of large scenes)."""


def crowded_scenes(texture_seed: int = 0) -> SceneConfig:
    """Return scenes with up to twelve objects, twice as large as what the model sees of them."""
    known = scene_config(STAGES[-1], texture_seed)
    return replace(known, size=2 * SIDE, min_objects=4, max_objects=12, max_length=44)


def build_tile_mixture(*, seed: int = 0, texture_seed: int = 0, watchful: bool = False) -> Mixture:
    """Build a mixture of tiles of large scenes, crowded scenes seen from afar, and all that was known.

    Args:
        seed: Of the samples.
        texture_seed: Of the small scenes.
        watchful: More tiles, three of four of them empty, from anywhere in a scene: against objects that are not there.
    """
    codec, seen = Codec.preset("rscovlm-v1"), budget()
    known = scene_config(STAGES[-1], texture_seed)
    turns = SceneTurns(known, codec, seen, tasks=STAGES[-1].tasks)
    several = replace(turns, config=replace(known, min_objects=2), kind="hbb")
    middling = replace(known, size=3 * SIDE // 2, min_objects=2, max_objects=8, max_length=44)
    tiles = SceneTiles(codec, seen, known.classes)
    if watchful:
        everywhere = ("harbour", "anywhere", "airfield", "anywhere", "harbour", "anywhere")
        tiles = replace(tiles, empty=0.75, seed=8000, parts=120, places=everywhere)
    subsets = [
        Subset("tiles", tiles, 8.0 if watchful else 5.0),
        Subset("tiles upright", replace(tiles, kind="hbb"), 0.4),
        Subset("crowded", replace(turns, config=crowded_scenes(texture_seed), spatial=1, worded=0), 1.0),
        Subset("middling", replace(turns, config=middling, spatial=1, worded=0), 0.8),
        Subset("point", replace(several, boxed=("grounding",)), 2.0),
        Subset("upright", replace(turns, kind="hbb"), 0.4),
        Subset("detect", turns, 1.0),
        Subset("empty", replace(turns, config=replace(known, min_objects=0, max_objects=0)), 0.3),
        Subset("zoom", ZoomTurns(known, codec, seen), 0.9),
        Subset("words", replace(turns, spatial=0), 0.6),
    ]
    return Mixture(subsets, seed=seed, length=100_000)


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
        arguments: For `trl.SFTConfig`.

    Returns:
        The finished trainer.
    """
    from trl import SFTConfig, SFTTrainer

    checkpoints = folder / "checkpoints"
    last = get_last_checkpoint(str(checkpoints)) if resume and checkpoints.is_dir() else None
    model, processor = load_model(last or start, dtype="float32"), load_processor(start)
    encoder = Encoder(processor)

    def shard(number: int) -> PackedMixture:
        falls = number * SHARD * TIMES >= steps - falling
        mixture = build_tile_mixture(seed=1000 * seed + number, watchful=falls)
        return PackedMixture(mixture, length=encoder, budget=row, lookahead=max(row // 64, 8), rows=SHARD)

    rows = RepeatedRows(shard, folder / "rows", times=TIMES, recent=RECENT, length=steps, size=SHARD, seed=seed)
    isolate_samples(model)
    settings = {
        "output_dir": str(checkpoints),
        "max_steps": steps,
        "per_device_train_batch_size": 1,
        "lr_scheduler_type": "warmup_stable_decay",
        "lr_scheduler_kwargs": {"num_decay_steps": falling, "min_lr_ratio": 0.0},
        "warmup_steps": 20,
        "max_grad_norm": 1.0,
        "activation_checkpointing": False,
        "bf16": False,
        "use_cpu": True,
        "dataloader_num_workers": workers,
        "logging_steps": 25,
        "save_steps": 50,
        "save_total_limit": 2,
        "report_to": "none",
        "seed": seed,
        "disable_tqdm": True,
        **arguments,
    }
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(**settings, **SFT_ARGUMENTS),
        train_dataset=as_dataset(rows),
        data_collator=KeptRowCollator(processor),
        processing_class=processor,
        optimizers=(MuonAdamW(model.named_parameters(), lr=6e-4, muon_lr=6e-3), None),
    )
    trainer.train(resume_from_checkpoint=last)
    model.set_attn_implementation({"text_config": "sdpa"})
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return trainer


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
    options = parser.parse_args()
    start = Path(embedded_model() if options.start == "embedded" else options.start)
    named = {name: getattr(options, name) for name in ("steps", "falling", "seed", "workers", "resume")}
    train_tiles(start, options.folder, **named)


if __name__ == "__main__":
    import rscovlm  # noqa: F401  registers the processor

    main()
