"""What a model computed for a conversation, kept so that its next turn is read from where this one ended."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakSet

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import DynamicCache

from rscovlm.engines.engine import Conversation


@dataclass(frozen=True, eq=False)
class Prefix:
    """The keys and values of the tokens of one conversation.

    Attributes:
        owner: Who computed them.
        tokens: The tokens, generated ones included.
        images: Their images.
        grids: Patches of each image (images, 3).
        layers: For each layer keys and values (heads, tokens, head size).
    """

    owner: object
    tokens: NDArray[np.int64]
    images: list[Any]
    grids: torch.Tensor
    layers: list[tuple[torch.Tensor, torch.Tensor]]

    @property
    def size(self) -> int:
        """Bytes held."""
        return sum(part.nbytes for layer in self.layers for part in layer)


@dataclass(frozen=True)
class Start:
    """Where reading a conversation begins.

    Attributes:
        prefix: What is known of it, or ``None``.
        tokens: How many of its first tokens need no reading.
        images: How many images lie in them.
        text: Tokens of the whole conversation, one for each image, where some need no reading.
    """

    prefix: Prefix | None = None
    tokens: int = 0
    images: int = 0
    text: NDArray[np.int64] | None = None


_NOTHING = Start()


class Prefixes:
    """Keeps prefixes in the memory of conversations, up to a limit, and begins new turns from them.

    The longest common prefix of tokens counts, cut before the first image that is not the very same object, and before
    an image that is only half in it.

    Args:
        model: The model; without ``mm_encoder_outputs`` in its ``forward`` nothing is reused.
        processor: Its processor.
        limit: Bytes of keys and values held at a time by all conversations together; 0 keeps nothing.
        options: Options of ``generate``; a cache of another kind, several beams and drafts exclude reuse.

    Attributes:
        counts: ``tokens`` and ``images`` of all prompts, how many of them were ``tokens_reused`` and ``images_reused``,
            and conversations ``not_kept`` because the limit was reached.
    """

    def __init__(self, model: Any, processor: Any, limit: int, options: Mapping[str, Any]) -> None:
        self._model, self._processor = model, processor
        self._limit = limit if limit > 0 and _may_reuse(_stock(model), options) else 0
        self._held: WeakSet[Prefix] = WeakSet()
        self.counts: Counter[str] = Counter()

    @property
    def held(self) -> int:
        """Bytes held now."""
        return sum(prefix.size for prefix in self._held)

    def starts(self, texts: Sequence[str], conversations: Sequence[Conversation]) -> list[Start]:
        """Return where reading each conversation, rendered as a text, begins; their memories are emptied."""
        taken = [(row, self._taken(one)) for row, one in enumerate(conversations)]
        known = [(row, prefix) for row, prefix in taken if prefix is not None]
        starts = [_NOTHING] * len(texts)
        for (row, prefix), tokens in zip(known, self._tokens([texts[row] for row, _ in known]), strict=True):
            starts[row] = self._start(prefix, tokens, conversations[row].images())
        return starts

    def _taken(self, conversation: Conversation) -> Prefix | None:
        """Return what this one keeps of a conversation, and take it out of its memory."""
        if conversation.memory is None or not isinstance(conversation.memory.kept, Prefix):
            return None
        prefix, conversation.memory.kept = conversation.memory.kept, None
        return prefix if prefix.owner is self else None

    def _start(self, prefix: Prefix, whole: NDArray[np.int64], images: Sequence[Any]) -> Start:
        marks = np.flatnonzero(whole == self._processor.image_token_id)
        if len(marks) != len(images):
            return _NOTHING  # the processor says what is wrong with it
        same = 0
        for ours, theirs in zip(prefix.images, images, strict=False):
            if ours is not theirs:
                break
            same += 1
        tokens = self._spelled(whole[: marks[same]] if same < len(marks) else whole, prefix.grids[:same])
        # The last token is read, for what follows it.
        length = min(len(tokens) - (same == len(marks)), len(prefix.tokens))
        differing = np.flatnonzero(tokens[:length] != prefix.tokens[:length])
        length = int(differing[0]) if len(differing) else length
        covered, stop = 0, 0
        for grid in prefix.grids[:same]:
            begin = stop + int(np.argmax(tokens[stop:] == self._processor.image_token_id))
            stop = begin + self._visual(grid)
            if stop > length:
                length = min(length, begin)
                break
            covered += 1
        return Start(prefix, length, covered, whole) if length else _NOTHING

    def inputs(self, texts: list[str], conversations: Sequence[Conversation], starts: list[Start]) -> dict[str, Any]:
        """Return what ``generate`` takes: only what is not known of the conversations is encoded.

        ``starts`` is emptied, so that what was known is freed before the batch needs memory.
        """
        images = [one.images() for one in conversations]
        self.counts["images"] += sum(map(len, images))
        if any(start.tokens for start in starts):
            inputs = self._continued(texts, images, starts)
            starts.clear()
        else:
            inputs = self._processor(
                text=texts,
                images=[image for row in images for image in row] or None,
                padding=True,
                padding_side="left",
                return_tensors="pt",
            ).to(self._model.device)
            if any(self._keeps(one) for one in conversations):
                inputs["past_key_values"] = DynamicCache(config=_stock(self._model).config)
        self.counts["tokens"] += int(inputs["attention_mask"].sum())
        return dict(inputs)

    def keep(
        self,
        conversations: Sequence[Conversation],
        inputs: Mapping[str, Any],
        sequences: torch.Tensor,
        generated: Sequence[int],
    ) -> None:
        """Leave what a batch computed in the memory of its conversations, as far as the limit allows.

        Args:
            conversations: The batch.
            inputs: What ``generate`` was given; its cache now holds the prompt and the answers.
            sequences: What it returned (rows, tokens).
            generated: Tokens that belong to each answer.
        """
        cache = inputs.get("past_key_values")
        if cache is None or not all(layer.is_croppable and not layer.is_sliding for layer in cache.layers):
            return
        mask, total = inputs["attention_mask"], cache.get_seq_length()
        prompt = mask.shape[1]
        if total < prompt:
            return
        first = 0
        for row, (one, tokens) in enumerate(zip(conversations, generated, strict=True)):
            images = one.images()
            grids, first = (first, first + len(images)), first + len(images)
            if one.memory is None or not self._keeps(one):
                continue
            answer = torch.arange(prompt, min(prompt + tokens, total), device=mask.device)
            places = torch.cat([mask[row].nonzero()[:, 0], answer])
            share = len(places) / (total * len(conversations))
            needed = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers) * share
            if self.held + needed > self._limit:
                self.counts["not_kept"] += 1
                continue
            layers = [
                (layer.keys[row][:, places.to(layer.keys.device)], layer.values[row][:, places.to(layer.keys.device)])
                for layer in cache.layers
            ]
            shown = inputs["image_grid_thw"][slice(*grids)].cpu() if images else torch.zeros((0, 3), dtype=torch.int64)
            one.memory.kept = Prefix(self, sequences[row, places].cpu().numpy(), images, shown, layers)
            self._held.add(one.memory.kept)

    def _keeps(self, conversation: Conversation) -> bool:
        return self._limit > 0 and conversation.memory is not None and conversation.memory.more

    def _continued(self, texts: list[str], images: Sequence[list[Any]], starts: Sequence[Start]) -> dict[str, Any]:
        new = [image for row, start in zip(images, starts, strict=True) for image in row[start.images :]]
        self.counts["tokens_reused"] += sum(start.tokens for start in starts)
        self.counts["images_reused"] += sum(start.images for start in starts)
        seen = self._processor.image_processor(images=new, return_tensors="pt") if new else None
        grids, first = [], 0
        for row, start in zip(images, starts, strict=True):
            if start.prefix is not None:
                grids.append(start.prefix.grids[: start.images])
            if seen is not None:
                grids.append(seen["image_grid_thw"][first : first + len(row) - start.images])
            first += len(row) - start.images
        shown = torch.cat(grids)
        rows = self._rows(texts, starts, images, shown)
        # Known tokens end at one column and new ones at the last, so both are padded on the left.
        known = max(start.tokens for start in starts)
        unread = max(len(tokens) - start.tokens for tokens, start in zip(rows, starts, strict=True))
        ids = torch.full((len(rows), known + unread), self._processor.tokenizer.pad_token_id)
        mask = torch.zeros_like(ids)
        for number, (tokens, start) in enumerate(zip(rows, starts, strict=True)):
            for end, part in ((known, tokens[: start.tokens]), (known + unread, tokens[start.tokens :])):
                ids[number, end - len(part) : end] = torch.from_numpy(part)
                mask[number, end - len(part) : end] = 1
        device, inner = self._model.device, _stock(self._model).model
        inputs: dict[str, Any] = {"input_ids": ids, "attention_mask": mask}
        inputs["mm_token_type_ids"] = (ids == self._processor.image_token_id).long() * mask
        if len(shown):
            inputs["image_grid_thw"] = shown
        inputs = {name: value.to(device) for name, value in inputs.items()}
        if seen is not None:
            # `generate` would encode as many images as there are grids, and grids of known images place the new ones.
            inputs["mm_encoder_outputs"] = {
                "image": inner.get_image_features(
                    seen["pixel_values"].to(device), seen["image_grid_thw"].to(device), return_dict=True
                )
            }
        # Those of the batch before; without them `generate` works out the positions of this one.
        inner.rope_deltas = None
        inputs["past_key_values"] = self._joined(starts, known)
        return inputs

    def _joined(self, starts: Sequence[Start], width: int) -> DynamicCache:
        """Return one cache of the known tokens of all rows, padded on the left."""
        cache = DynamicCache(config=_stock(self._model).config)
        some = next(start.prefix for start in starts if start.prefix is not None)
        for number, layer in enumerate(some.layers):
            both = [part.new_zeros((len(starts), part.shape[0], width, part.shape[2])) for part in layer]
            for row, start in enumerate(starts):
                for whole, part in zip(both, start.prefix.layers[number] if start.prefix else (), strict=False):
                    whole[row, :, width - start.tokens :] = part[:, : start.tokens]
            cache.update(both[0], both[1], number)
        return cache

    def _rows(
        self, texts: list[str], starts: Sequence[Start], images: Sequence[list[Any]], grids: torch.Tensor
    ) -> list[NDArray[np.int64]]:
        """Return the tokens of each text, where a run of them stands for each of its images."""
        new = iter(self._tokens([text for text, start in zip(texts, starts, strict=True) if start.text is None]))
        rows, first = [], 0
        for start, shown in zip(starts, images, strict=True):
            whole = next(new) if start.text is None else start.text
            rows.append(self._spelled(whole, grids[first : first + len(shown)]))
            first += len(shown)
        return rows

    def _tokens(self, texts: list[str]) -> list[NDArray[np.int64]]:
        """Return the tokens of each text, one for each image mark."""
        return [np.asarray(ids) for ids in self._processor.tokenizer(texts)["input_ids"]] if texts else []

    def _spelled(self, tokens: NDArray[np.int64], grids: torch.Tensor) -> NDArray[np.int64]:
        """Return tokens with a run of image tokens in place of each: a mark stands alone, so nothing else changes."""
        runs = np.ones(len(tokens), dtype=np.int64)
        runs[tokens == self._processor.image_token_id] = [self._visual(grid) for grid in grids]
        return np.repeat(tokens, runs)

    def _visual(self, grid: torch.Tensor) -> int:
        return int(grid.prod()) // int(self._processor.image_processor.merge_size) ** 2


def _stock(model: Any) -> Any:
    """Return the model that adapters stand around."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def _may_reuse(model: Any, options: Mapping[str, Any]) -> bool:
    """Return whether a cache of ours can be given to ``generate``."""
    if "mm_encoder_outputs" not in inspect.signature(model.forward).parameters:
        return False

    def own(name: str) -> Any:
        return options.get(name, getattr(model.generation_config, name, None))

    others = ("cache_implementation", "assistant_model", "prompt_lookup_num_tokens")
    return not any(map(own, others)) and (own("num_beams") or 1) == 1 and own("use_cache") is not False
