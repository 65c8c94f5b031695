"""Packed rows that are drawn once, kept as files and trained several times: drawing a scene costs more than training on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from rscovlm.files import replacing
from rscovlm.training.collator import PackedBatch, PackedCollator
from rscovlm.training.optimizer import MuonAdamW
from rscovlm.training.packing import PackedMixture
from rscovlm.training.segments import isolate_samples
from rscovlm.training.sft import SFT_ARGUMENTS, as_dataset


class RepeatedRows(Sequence[Any]):
    """Rows of packed mixtures, with a new row every few positions and earlier rows between them.

    Which row a position has depends on the position and the seed alone. Rows come in shards, each packed by itself, so that a
    run that resumes plans no more than one shard again.

    Args:
        shard: Makes the packed mixture of a shard by its number.
        folder: Where rows are kept.
        times: How often a row is trained on average.
        recent: How many of the newest rows are drawn from again.
        length: Number of positions.
        size: Rows of a shard.
        seed: Of what is drawn again.
    """

    def __init__(
        self,
        shard: Callable[[int], PackedMixture],
        folder: Path,
        *,
        times: int,
        recent: int,
        length: int,
        size: int = 40,
        seed: int = 0,
    ) -> None:
        self.shard, self.folder, self.times = shard, folder, times
        self.recent, self.length, self.size, self.seed = recent, length, size, seed
        self._planned: tuple[int, PackedMixture] | None = None

    def __len__(self) -> int:
        """Return the number of positions."""
        return self.length

    def number(self, position: int) -> int:
        """Return the number of the row that a position has."""
        newest, again = divmod(position, self.times)
        if not again:
            return newest
        return newest - int(np.random.default_rng([self.seed, position]).integers(min(self.recent, newest + 1)))

    def __getitem__(self, position: Any) -> Any:
        """Return the row at a position: its file, and its samples where there is no such file yet."""
        number = self.number(int(position))
        file = self.folder / f"{number:06d}.safetensors"
        return {"file": str(file)} if file.exists() else {**self._row(number), "file": str(file)}

    def _row(self, number: int) -> Any:
        shard, place = divmod(number, self.size)
        if self._planned is None or self._planned[0] != shard:
            self._planned = (shard, self.shard(shard))
        return self._planned[1][place]


class KeptRowCollator:
    """Collates one row as `PackedCollator` does, and keeps it as a file with its pixels as bytes.

    Args:
        processor: An `RSCoVLMProcessor`.
    """

    def __init__(self, processor: Any) -> None:
        self.collator = PackedCollator(processor, resizer="pillow")  # as its weights were trained
        images = processor.image_processor
        self.side = images.patch_size
        self.mean, self.std = (
            torch.tensor(values).view(1, 3, 1, 1, 1) for values in (images.image_mean, images.image_std)
        )

    def __call__(self, rows: Sequence[Any]) -> PackedBatch:
        """Return the one row of a batch, from its file where there is one."""
        (row,) = rows
        file = Path(row["file"])
        if not file.exists():
            self._keep(file, self.collator([row]))
        batch = PackedBatch(load_file(file))
        shown = batch["pixel_values"].float() / 255
        patches = ((shown - self.mean) / self.std).expand(-1, -1, 2, -1, -1)
        batch["pixel_values"] = patches.reshape(len(shown), -1)
        return batch

    def _keep(self, file: Path, batch: Mapping[str, Any]) -> None:
        patches = batch["pixel_values"].view(-1, 3, 2, self.side, self.side)[:, :, :1]
        shown = ((patches * self.std + self.mean) * 255).round().clamp(0, 255).to(torch.uint8)
        tensors = {**batch, "pixel_values": shown}
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file) as path:
            save_file({name: value.contiguous() for name, value in tensors.items()}, path)


def train_rows(
    model: Any,
    processor: Any,
    rows: RepeatedRows,
    folder: Path,
    *,
    rates: Mapping[str, float],
    last: str | None,
    falling: int,
    **arguments: Any,
) -> Any:
    """Train a model on kept rows, one a step, on a CPU, and save it with its processor.

    Args:
        model: The model.
        processor: Its processor.
        rows: The rows; there are as many steps.
        folder: Where model, processor and checkpoints go.
        rates: `lr` and `muon_lr` of `MuonAdamW`.
        last: Checkpoint to resume from; None starts from the beginning.
        falling: Steps at the end in which the rates fall to 0.
        arguments: For `trl.SFTConfig`.

    Returns:
        The finished trainer.
    """
    from trl import SFTConfig, SFTTrainer

    isolate_samples(model)
    settings = {
        "output_dir": str(folder / "checkpoints"),
        "max_steps": len(rows),
        "per_device_train_batch_size": 1,
        "lr_scheduler_type": "warmup_stable_decay",
        "lr_scheduler_kwargs": {"num_decay_steps": falling, "min_lr_ratio": 0.0},
        "max_grad_norm": 1.0,
        "activation_checkpointing": False,
        "bf16": False,
        "use_cpu": True,
        "logging_steps": 25,
        "save_steps": 50,
        "save_total_limit": 2,
        "report_to": "none",
        "disable_tqdm": True,
        **arguments,
    }
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(**settings, **SFT_ARGUMENTS),
        train_dataset=as_dataset(rows),
        data_collator=KeptRowCollator(processor),
        processing_class=processor,
        optimizers=(MuonAdamW(model.named_parameters(), lr=rates["lr"], muon_lr=rates["muon_lr"]), None),
    )
    trainer.train(resume_from_checkpoint=last)
    model.set_attn_implementation({"text_config": "sdpa"})
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return trainer
