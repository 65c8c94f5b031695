"""The embedded model, trained further with every task of the taxonomy in one mixture, on generated scenes.

``python -m rscovlm.experiments.set_of_points.recipe FOLDER --seed 0`` continues from the shipped checkpoint. The docs give what it reaches
(points, one recipe); this model does not ship.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken
from transformers.trainer_utils import get_last_checkpoint

from rscovlm.codec import Codec
from rscovlm.codec.dialect import Dialect
from rscovlm.embedded import embedded_model
from rscovlm.experiments.embedded import STAGES, budget, scene_config
from rscovlm.experiments.packed_rows import RepeatedRows, train_rows
from rscovlm.loading import load_model, load_processor
from rscovlm.mixtures.mixture import Mixture, Subset
from rscovlm.mixtures.scene_records import ZoomTurns
from rscovlm.mixtures.scene_tasks import PLACES, RELATIONS, SUPERLATIVES, SceneTaskTurns
from rscovlm.training.encoding import Encoder
from rscovlm.training.packing import PackedMixture

STEPS, FALL = 1500, 500
"""Optimiser steps, and at how many of them, the last, the rates fall: about ten minutes of one quiet core. Not run to its end yet."""

ROW = 1536
"""Tokens of a packed row, one a step."""

SHARD = 50
"""Rows that are packed together."""

TIMES, RECENT = 2, 400
"""How often a packed row is trained, and from how many of the newest rows those trained again are drawn."""

SHARES: dict[str, tuple[tuple[str, ...], int, float]] = {
    "words": (("classification", "counting", "geolocation", "caption", "presence", "colour"), 3, 1.6),
    "generation": (("generation",), 2, 0.8),
    "comprehension": (("comprehension",), 2, 1.0),
    "conditions": (("conditions",), 2, 1.2),
    "detection": (("detection",), 2, 1.0),
    "segmentation": (("segmentation", "referring segmentation"), 2, 1.4),
    "segmentation again": (("segmentation again",), 1, 1.0),
    "conditional segmentation": (("conditional segmentation",), 2, 1.0),
    "outlines": (("outlines",), 1, 1.2),
    "change": (("change",), 1, 3.0),
}
"""Subsets by name: kinds of task, questions a scene at most, weight."""

PHRASES = (
    *("),(", "[(", ")],[(", ")]", " with"),
    *(f" {word}" for word in (*SUPERLATIVES, *RELATIONS)),
    *(f"[{city}, (" for city, _, _ in PLACES.values()),
)
"""What stands between numbers and before names, one token each, as the system texts are."""


def build_task_mixture(*, seed: int = 0, texture_seed: int = 0, cyclic: float = 0.0) -> Mixture:
    """Build the mixture of all tasks.

    Args:
        seed: Of the samples.
        texture_seed: Of the scenes; scenes for testing take another.
        cyclic: Share of comprehension and generation that is reversed.
    """
    codec, seen, config = Codec.preset("rscovlm-v1"), budget(), scene_config(STAGES[-1], texture_seed)
    turned = {"comprehension": cyclic, "generation": cyclic}
    subsets = [
        Subset(name, SceneTaskTurns(kinds, config, codec, seen, turns, turned.get(name, 0.0)), weight)
        for name, (kinds, turns, weight) in SHARES.items()
    ]
    subsets.append(Subset("zoom", ZoomTurns(config, codec, seen), 0.6))
    return Mixture(subsets, seed=seed, length=200_000)


def fixed_texts(dialect: Dialect) -> list[str]:
    """Return the texts of a dialect that the tasks ask with and that are always the same, and what stands between numbers."""
    asked = [
        dialect.ask(name, style="plain", **places)
        for name, places in (
            ("segment", {"targets": ["plane"]}),
            ("segment_again", {"targets": ["plane"]}),
            ("segment_outline", {"targets": ["plane"]}),
            ("change", {"targets": ["plane"]}),
            ("change_any", {}),
            ("locate", {}),
            ("caption", {}),
            ("describe", {"region": "\n"}),
        )
    ]
    parts = [text for one in asked for text in (one.system or "", *one.user.replace("plane", "\n").split("\n"))]
    # Names keep the space before them, with which the tokenizer knows them.
    return list(dict.fromkeys([*(text.rstrip(" ") for text in parts if text.strip()), *PHRASES]))


def load_widened(start: Path) -> tuple[Any, Any]:
    """Load a checkpoint whose tokenizer has a token for each fixed text of these tasks.

    A new token starts at half of the mean of those that its text was written in before: drawn from a normal distribution, as they
    come, the first loss of new tokens is 28 instead of 17.

    Args:
        start: The checkpoint's folder; one that was widened before stays as it is.

    Returns:
        Model and processor.
    """
    model, processor = load_model(start, dtype="float32"), load_processor(start)
    tokenizer, known = processor.tokenizer, set(processor.tokenizer.get_vocab())
    texts = [text for text in fixed_texts(Dialect.preset("rscovlm-v1")) if text not in known]
    pieces = [tokenizer(text)["input_ids"] for text in texts]
    tokenizer.add_tokens([AddedToken(text, normalized=False, special=False) for text in texts])
    if len(tokenizer) > model.get_input_embeddings().num_embeddings:
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
        weights = model.get_input_embeddings().weight
        with torch.no_grad():
            for text, ids in zip(texts, pieces, strict=True):
                weights[tokenizer.convert_tokens_to_ids(text)] = weights[ids].mean(dim=0) / 2
    return model, processor


def train_tasks(
    folder: Path,
    *,
    start: Path | None = None,
    steps: int = STEPS,
    falling: int = FALL,
    row: int = ROW,
    seed: int = 0,
    workers: int = 0,
    cyclic: float = 0.0,
    resume: bool = False,
    mixture: Any = build_task_mixture,
    **arguments: Any,
) -> Any:
    """Train a checkpoint further with the mixture of all tasks, in packed rows, and save the model.

    Args:
        folder: Where model, processor, rows and checkpoints go.
        start: Checkpoint to resume from; the shipped one by default.
        steps: Optimiser steps, one packed row each.
        falling: Steps at the end in which the rates fall to 0.
        row: Tokens of a row.
        seed: Of the samples and their order.
        workers: Processes that draw scenes.
        cyclic: Share of comprehension and generation that is reversed.
        resume: Resume from the last checkpoint in the folder.
        mixture: Builds the mixture of a shard, by `seed` and `cyclic`.
        arguments: For `trl.SFTConfig`.

    Returns:
        The finished trainer.
    """
    checkpoints = folder / "checkpoints"
    last = get_last_checkpoint(str(checkpoints)) if resume and checkpoints.is_dir() else None
    model, processor = load_widened(Path(last or start or embedded_model()))
    encoder = Encoder(processor)

    def shard(number: int) -> PackedMixture:
        drawn = mixture(seed=1000 * seed + number, cyclic=cyclic)
        return PackedMixture(drawn, length=encoder, budget=row, lookahead=max(row // 64, 8), rows=SHARD)

    rows = RepeatedRows(shard, folder / "rows", times=TIMES, recent=RECENT, length=steps, size=SHARD, seed=seed)
    return train_rows(
        model,
        processor,
        rows,
        folder,
        rates={"lr": 1.5e-3, "muon_lr": 8e-3},
        last=last,
        falling=falling,
        warmup_steps=10,
        dataloader_num_workers=workers,
        seed=seed,
        **arguments,
    )


def main() -> None:
    """Run the recipe from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the model goes")
    parser.add_argument("--start", type=Path, help="checkpoint to resume from; the shipped one by default")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--falling", type=int, default=FALL, help="steps at the end in which the rates fall")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=0, help="processes that draw scenes")
    parser.add_argument("--resume", action="store_true", help="resume from the last checkpoint in the folder")
    train_tasks(**vars(parser.parse_args()))


if __name__ == "__main__":
    import rscovlm  # noqa: F401  registers the processor

    main()
