"""Samples to batches: text by the chat template, pixels by the processor, loss on assistant turns only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from transformers.utils.chat_template_utils import render_jinja_template

IGNORED = -100
"""Label of a token that carries no loss."""


class Collator:
    """Turns samples into one right-padded batch for a Qwen-VL model.

    A sample is ``{"messages": [...], "images": [PIL, ...], "tools": [...] or None}``. Every ``{"type": "image"}`` block
    takes the next image, in user turns and tool turns alike. The text is what the chat template renders; the loss falls
    on what it marks as generated: each assistant turn with its end mark (paper, equation 5). Text is tokenised up to
    each mark and after it separately, so no token straddles the border, as at inference.

    Args:
        processor: An `RSCoVLMProcessor`.

    Raises:
        ValueError: On a call, for a row without trained tokens, or with other numbers of images and image blocks; the
            message names the row.
    """

    def __init__(self, processor: Any) -> None:
        self.processor = processor

    def __call__(self, samples: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        """Collate samples.

        Returns:
            ``input_ids``, ``attention_mask``, ``labels`` and ``mm_token_type_ids``, each (samples, longest); and, where
            there are images, ``pixel_values`` (patches, values) and ``image_grid_thw`` (images, 3).
        """
        images = [image for sample in samples for image in sample.get("images") or ()]
        batch: dict[str, torch.Tensor] = {}
        counts: list[int] = []
        if images:
            pixels = self.processor.image_processor(images=images, return_tensors="pt")
            batch["pixel_values"] = pixels["pixel_values"]
            batch["image_grid_thw"] = pixels["image_grid_thw"]
            merged = self.processor.image_processor.merge_size**2
            counts = (batch["image_grid_thw"].prod(dim=1) // merged).tolist()
        remaining = iter(counts)
        rows = [self._encode(sample, row, remaining) for row, sample in enumerate(samples)]
        batch.update(self._pad(rows))
        return batch

    def _encode(self, sample: Mapping[str, Any], row: int, visual_tokens: Iterable[int]) -> tuple[list[int], list[int]]:
        """One sample to token ids and labels."""
        visual = iter(visual_tokens)
        placeholder = self.processor.image_token
        own = [next(visual) for _ in sample.get("images") or ()]
        unused = iter(own)
        ids: list[int] = []
        labels: list[int] = []
        for text, trained in _segments(self.processor, sample):
            pieces = text.split(placeholder)
            expanded = pieces[0]
            for piece in pieces[1:]:
                count = next(unused, None)
                if count is None:
                    raise ValueError(
                        f"row {row} has more image blocks than its {len(own)} images; give one image for each block"
                    )
                expanded += placeholder * count + piece
            tokens = self.processor.tokenizer(expanded, add_special_tokens=False)["input_ids"]
            ids += tokens
            labels += tokens if trained else [IGNORED] * len(tokens)
        left = sum(1 for _ in unused)
        if left:
            raise ValueError(
                f"row {row} has {len(own)} images but only {len(own) - left} image blocks; give one block for each image"
            )
        if all(label == IGNORED for label in labels):
            raise ValueError(f"row {row} has nothing to train: it needs an assistant turn with text")
        return ids, labels

    def _pad(self, rows: Sequence[tuple[list[int], list[int]]]) -> dict[str, torch.Tensor]:
        longest = max(len(ids) for ids, _ in rows)
        shape = (len(rows), longest)
        batch = {
            "input_ids": torch.full(shape, self.processor.tokenizer.pad_token_id, dtype=torch.long),
            "attention_mask": torch.zeros(shape, dtype=torch.long),
            "labels": torch.full(shape, IGNORED, dtype=torch.long),
        }
        for row, (ids, labels) in enumerate(rows):
            batch["input_ids"][row, : len(ids)] = torch.tensor(ids)
            batch["labels"][row, : len(ids)] = torch.tensor(labels)
            batch["attention_mask"][row, : len(ids)] = 1
        batch["mm_token_type_ids"] = (batch["input_ids"] == self.processor.image_token_id).long()
        return batch


def _segments(processor: Any, sample: Mapping[str, Any]) -> list[tuple[str, bool]]:
    """Return the rendered text of a conversation, cut where the loss begins and ends."""
    tools = sample.get("tools")
    texts, spans = render_jinja_template(
        conversations=[sample["messages"]],
        tools=tools,
        chat_template=processor.chat_template,
        return_assistant_tokens_mask=True,
    )
    text, segments, done = texts[0], [], 0
    for start, end in spans[0]:
        segments += [(text[done:start], False), (text[start:end], True)]
        done = end
    segments.append((text[done:], False))
    return [(piece, trained) for piece, trained in segments if piece]
