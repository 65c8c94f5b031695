"""The recipe of the embedded model: from random weights to a model that points, detects and zooms, on a CPU.

``python -m rscovlm.experiments.embedded FOLDER`` runs it. The order matters: one object first, several and zooming after;
the learning rate stays up until the model points (docs: how the embedded model was trained).
`rscovlm.experiments.embedded_tiles` goes on from there.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from transformers.trainer_utils import get_last_checkpoint

from rscovlm.codec import Codec
from rscovlm.loading import load_model, load_processor
from rscovlm.mixtures.mixture import Mixture, Subset
from rscovlm.mixtures.renderer import Sample
from rscovlm.mixtures.scene_records import SceneTurns, ZoomTurns
from rscovlm.mixtures.weight_stages import Stages
from rscovlm.processing import PixelBudget, RSCoVLMImageProcessor, RSCoVLMProcessor
from rscovlm.processing.template import chat_template
from rscovlm.processing.tokenizer import build_tokenizer
from rscovlm.scenes import SceneConfig
from rscovlm.training.optimizer import MuonAdamW
from rscovlm.training.sft import build_trainer
from rscovlm.training.tiny import build_model
from rscovlm.zoom.layouts import CALL_END, CALL_START, CROP_TEXT, ZOOM_REQUEST, ZOOM_SYSTEM

SIDE = 84
"""Side of the square the model sees, in pixels: nine visual tokens, coordinates of two digits."""

BATCH = 32

_FIXED = (
    "system\n",
    "user\n",
    "assistant\n",
    "You are a helpful assistant.",
    "There are none.",
    "What kind of scene is this?",
    "What marking is on the white pad?",
    "How many",
    "are there?",
    "Is there a",
    "What colour is the",
)


@dataclass(frozen=True)
class Stage:
    """One stage of the recipe.

    Attributes:
        steps: Optimiser steps.
        max_objects: Largest number of objects in a scene.
        min_length: Least length of an object in pixels.
        max_length: Largest length of an object in pixels.
        points: Weight of conversations about horizontal boxes (grounding and detection).
        detects: Weight of conversations about quadrilaterals.
        zooms: Weight of zoom conversations.
        empties: Weight of detection in scenes without objects.
        words: Weight of single questions answered in words, about which no boxes are asked.
        tasks: Questions answered in words.
    """

    steps: int
    max_objects: int
    min_length: float
    max_length: float
    points: float
    detects: float
    zooms: float
    empties: float = 0.15
    words: float = 0.0
    tasks: tuple[Any, ...] = ("class",)


STAGES = (
    Stage(3600, 1, 24, 44, points=1.0, detects=1.0, zooms=0.0),
    Stage(5600, 3, 22, 40, points=1.0, detects=1.6, zooms=1.2, tasks=("class", "count", "presence", "colour")),
)
LAST = replace(STAGES[-1], steps=300, words=1.0)
"""What follows at a fifth of the rates. In `STAGES` only the question about a marking ever stands alone; from some seeds
every question that stands alone is then answered with a marking."""


def scene_config(stage: Stage, texture_seed: int = 0) -> SceneConfig:
    """Return the scenes of a stage; scenes for testing take another texture seed."""
    return SceneConfig(
        size=SIDE,
        min_objects=1,
        max_objects=stage.max_objects,
        min_length=stage.min_length,
        max_length=stage.max_length,
        classes=("plane", "ship", "tank"),
        texture_seed=texture_seed,
    )


def budget() -> PixelBudget:
    """Return the pixel budget of the embedded model."""
    return PixelBudget(min_pixels=SIDE * SIDE, max_pixels=SIDE * SIDE, factor=28, mode="fixed")


def build_mixture(stages: Sequence[Stage], *, seed: int = 0, texture_seed: int = 0) -> Stages:
    """Build the mixture of all stages, one sample a position."""
    codec = Codec.preset("rscovlm-v1")
    built: list[tuple[int, Mixture]] = []
    for stage in stages:
        config = scene_config(stage, texture_seed)
        turns = SceneTurns(config, codec, budget(), tasks=stage.tasks)
        empty = SceneTurns(replace(config, min_objects=0, max_objects=0), codec, budget(), tasks=stage.tasks)
        subsets = [
            Subset("point", replace(turns, kind="hbb"), stage.points),
            Subset("detect", turns, stage.detects),
            Subset("empty", empty, stage.empties),
            Subset("zoom", ZoomTurns(config, codec, budget()), stage.zooms),
            Subset("words", replace(turns, spatial=0), stage.words),
        ]
        positions = stage.steps * BATCH
        length = sum(count for count, _ in built) + positions
        built.append((positions, Mixture(subsets, seed=seed, length=length)))
    return Stages(built)


def build_processor(samples: Sequence[Sample]) -> Any:
    """Build the processor: its tokenizer learns the words of the samples, fixed texts are one token each."""
    tokenizer = build_tokenizer(_corpus(samples), phrases=_phrases(samples), vocab_size=480)
    template = chat_template()
    images = RSCoVLMImageProcessor.for_family("qwen2_5_vl", budget())
    return RSCoVLMProcessor(images, tokenizer, chat_template=template, codec="rscovlm-v1")


def train(
    folder: Path,
    *,
    stages: Sequence[Stage] = STAGES,
    seed: int = 0,
    workers: int = 1,
    resume: bool = False,
    **arguments: Any,
) -> Any:
    """Train the embedded model, settle it (`settle`), and save it with its processor.

    Args:
        folder: Where model, processor and checkpoints go.
        stages: The recipe.
        seed: Of weights and samples.
        workers: Processes that draw scenes.
        resume: Go on from the last checkpoint in the folder.
        arguments: For `trl.SFTConfig`.

    Returns:
        The finished trainer of the stages.
    """
    mixture = build_mixture(stages, seed=seed)
    last = get_last_checkpoint(str(folder / "checkpoints")) if resume else None
    if last is None:
        places = np.random.default_rng(seed).integers(0, len(mixture), 600)
        processor = build_processor([mixture[int(place)] for place in places])
    else:
        processor = load_processor(last)
    # The trainer's own loading knows the names of the weights in memory, not those they are saved under.
    model = build_model(processor.tokenizer, seed=seed) if last is None else load_model(last, dtype="float32")
    steps = sum(stage.steps for stage in stages)
    settings = {
        **_settings(folder, seed, workers),
        "max_steps": steps,
        "lr_scheduler_type": "warmup_stable_decay",
        "warmup_steps": 30,
        "lr_scheduler_kwargs": {"num_decay_steps": int(0.35 * steps), "min_lr_ratio": 0.02},
        "save_steps": 400,
        "save_total_limit": 2,
        **arguments,
    }
    optimizer = MuonAdamW(model.named_parameters())
    trainer = build_trainer(model, processor, mixture, optimizer=optimizer, **settings)
    trainer.train(resume_from_checkpoint=last)
    settle(model, processor, folder, seed=seed, workers=workers)
    return trainer


def settle(model: Any, processor: Any, folder: Path, *, stage: Stage = LAST, seed: int = 0, workers: int = 1) -> None:
    """Train the last stage, at a fifth of the rates falling to 0, and save the model with its processor.

    Args:
        model: The model that went through the stages; trained in place.
        processor: Its processor.
        folder: Where both go.
        stage: What is trained.
        seed: Of the samples.
        workers: Processes that draw scenes.
    """
    mixture = build_mixture((stage,), seed=seed + 1000)
    optimizer = MuonAdamW(model.named_parameters(), lr=2e-4, muon_lr=2e-3)
    settings = {**_settings(folder, seed, workers), "max_steps": stage.steps, "warmup_steps": 10, "save_strategy": "no"}
    build_trainer(model, processor, mixture, optimizer=optimizer, **settings).train()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def _settings(folder: Path, seed: int, workers: int) -> dict[str, Any]:
    """Return what both runs have in common, for `trl.SFTConfig`."""
    return {
        "output_dir": str(folder / "checkpoints"),
        "per_device_train_batch_size": BATCH,
        "lr_scheduler_type": "linear",
        "max_grad_norm": 1.0,
        "activation_checkpointing": False,
        "bf16": False,
        "use_cpu": True,
        "dataloader_num_workers": workers,
        "logging_steps": 100,
        "seed": seed,
        "disable_tqdm": True,
    }


def _phrases(samples: Sequence[Sample]) -> list[str]:
    """Texts that stand in conversations as they are: role names, system texts, what surrounds the numbers of a call."""
    systems = sorted({_text(turn) for sample in samples for turn in sample["messages"] if turn["role"] == "system"})
    return [*_FIXED, *systems, ZOOM_SYSTEM, CALL_START, CALL_END, ZOOM_REQUEST, CROP_TEXT]


def _corpus(samples: Sequence[Sample]) -> list[str]:
    return [_text(turn) for sample in samples for turn in sample["messages"] if turn["role"] != "system"]


def _text(turn: dict[str, Any]) -> str:
    content = turn["content"]
    return content if isinstance(content, str) else "".join(block.get("text", "") for block in content)


def main() -> None:
    """Run the recipe from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the model goes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    options = parser.parse_args()
    train(options.folder, seed=options.seed, workers=options.workers, resume=options.resume)


if __name__ == "__main__":
    main()
