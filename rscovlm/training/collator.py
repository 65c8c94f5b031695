"""Samples to batches: padded side by side, or packed end to end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from rscovlm.processing.patch_buffers import PatchBuffers
from rscovlm.processing.resizing import Resizer, check_resizer, fast_resizer
from rscovlm.records.tally import Rejected
from rscovlm.training.batch_info import notes_on
from rscovlm.training.encoding import IGNORED, Encoder, Sample, pixels_of
from rscovlm.training.positions import multimodal_positions


class Collator:
    """Turns samples into one right-padded batch for a Qwen-VL model; see `Encoder` for samples and what is trained.

    Args:
        processor: An `RSCoVLMProcessor`.
        notes: Add ``notes`` on tasks and positions, which `TaskTrainer` takes out again; other trainers want none. With
            notes a row whose image cannot be read trains nothing and is counted there; without, it is an error.
        resizer: What resizes images, see `rscovlm.processing.resizing`: ``"pillow"``, whose values inference has, or
            ``"torch"``, within one grey level of it; None takes the faster one on this machine.

    Raises:
        ValueError: The resizer is unknown; or, on a call, a row cannot be encoded, which the message names.
    """

    def __init__(self, processor: Any, *, notes: bool = False, resizer: Resizer | None = None) -> None:
        self.processor, self.notes = processor, notes
        self.resizer = fast_resizer() if resizer is None else check_resizer(resizer)
        self.encoder = Encoder(processor)

    def __call__(self, samples: Sequence[Sample]) -> dict[str, Any]:
        """Collate samples.

        Returns:
            ``input_ids``, ``attention_mask``, ``labels`` and ``mm_token_type_ids``, each (samples, longest); and, where
            there are images, ``pixel_values`` (patches, values) and ``image_grid_thw`` (images, 3).
        """
        rows = [self.encoder(sample, f"row {row}") for row, sample in enumerate(samples)]
        faults: dict[int, Rejected] | None = {} if self.notes else None
        pixels = pixels_of(self.processor, samples, rows, faults, resizer=self.resizer)
        shape = (len(rows), max(len(row) for row in rows))
        batch: dict[str, Any] = {
            "input_ids": torch.full(shape, self.processor.tokenizer.pad_token_id, dtype=torch.long),
            "attention_mask": torch.zeros(shape, dtype=torch.long),
            "labels": torch.full(shape, IGNORED, dtype=torch.long),
        }
        for place, row in enumerate(rows):
            batch["input_ids"][place, : len(row)] = torch.tensor(row.ids)
            if not (faults and place in faults):
                batch["labels"][place, : len(row)] = torch.tensor(row.labels)
            batch["attention_mask"][place, : len(row)] = 1
        batch["mm_token_type_ids"] = (batch["input_ids"] == self.processor.image_token_id).long()
        if self.notes:
            batch["notes"] = notes_on(samples, [len(row) for row in rows], samples, packed=False, faults=faults)
        return batch | pixels


class PackedBatch(dict[str, Any]):
    """A batch of packed rows that also answers for ``attention_mask``, and passes none to the model.

    TRL counts the tokens of a batch by its mask, or else by the second axis of ``position_ids``, which is the last one of text alone and
    1 for multimodal input. A mask among the keys would reach the model, and transformers then no longer tells the samples of a row apart
    by their positions. So it is made when somebody asks for it by name, and neither iterated over nor unpacked by ``**``.

    >>> batch = PackedBatch(input_ids=torch.tensor([[5, 6, 7]]))
    >>> "attention_mask" in batch, int(batch["attention_mask"].sum()), list(batch)
    (True, 3, ['input_ids'])
    """

    def __contains__(self, key: object) -> bool:
        return key == "attention_mask" or super().__contains__(key)

    def __missing__(self, key: str) -> torch.Tensor:
        if key == "attention_mask":
            return torch.ones_like(self["input_ids"])
        raise KeyError(key)


class PackedCollator:
    """Joins the samples of packs into one row in which no sample sees another.

    Nothing is padded. Positions restart with each sample, in the four rows that transformers takes for packed multimodal
    input: the place in the text, from which it tells the samples apart, then time, height and width. Under the
    attention of `rscovlm.training.segments` each sample is attended to by itself; FlashAttention-2 and the stock sdpa
    read the same positions.

    Args:
        processor: An `RSCoVLMProcessor`.
        notes: As in `Collator`.
        resizer: As in `Collator`.

    Raises:
        ValueError: The resizer is unknown.
    """

    def __init__(self, processor: Any, *, notes: bool = False, resizer: Resizer | None = None) -> None:
        self.processor, self.notes = processor, notes
        self.resizer = fast_resizer() if resizer is None else check_resizer(resizer)
        self.encoder = Encoder(processor)
        self._buffers = PatchBuffers()

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Collate packs.

        Args:
            rows: Packs, ``{"samples": [sample, ...]}``; all samples of all packs go into the one row. A pack that brings
                its samples ``encoded`` spares encoding them again.

        Returns:
            ``input_ids`` and ``labels`` (1, tokens), ``position_ids`` (4, 1, tokens); and, where there are images,
            ``pixel_values`` (patches, values) and ``image_grid_thw`` (images, 3). The mask that `PackedBatch` answers for
            lets TRL count tokens.
        """
        samples = [sample for row in rows for sample in row["samples"]]
        encoded = [
            one
            for row in rows
            for one in row.get("encoded")
            or [self.encoder(sample, f"sample {place} of the pack") for place, sample in enumerate(row["samples"])]
        ]
        image, merge = self.processor.image_token_id, self.processor.image_processor.merge_size
        faults: dict[int, Rejected] | None = {} if self.notes else None
        with self._buffers.used():
            pixels = pixels_of(self.processor, samples, encoded, faults, resizer=self.resizer)
        positions, labels = [], []
        for place, one in enumerate(encoded):
            labels += [IGNORED] * len(one) if faults and place in faults else [IGNORED, *one.labels[1:]]
            places = multimodal_positions([token == image for token in one.ids], one.grids, merge)
            positions.append(torch.cat([torch.arange(len(one))[None], places]))
        batch = PackedBatch(
            input_ids=_row([token for one in encoded for token in one.ids]),
            labels=_row(labels),
            position_ids=torch.cat(positions, dim=1)[:, None],
        )
        if self.notes:
            batch["notes"] = notes_on(samples, [len(one) for one in encoded], rows, packed=True, faults=faults)
        batch.update(pixels)
        return batch


def _row(numbers: Sequence[int]) -> torch.Tensor:
    """Return whole numbers as (1, numbers): by way of numpy, which reads a list several times as fast as torch does."""
    return torch.from_numpy(np.asarray(numbers, np.int64))[None]
