"""Attention for packed samples: each sample by itself, so isolation costs no dense mask."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention

NAME = "rscovlm_segments"
"""Name under which the attention is registered with transformers."""


def segment_attention(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    position_ids: torch.Tensor | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Attend causally within each sample of a packed row.

    Args:
        module: The attention layer.
        query: (1, heads, tokens, width).
        key: (1, key heads, tokens, width).
        value: (1, key heads, tokens, width).
        attention_mask: Not used; their positions separate the samples.
        scaling: Factor of the scores.
        dropout: Share of dropped weights.
        position_ids: (1, tokens) place of each token in its sample; a sample begins where this does not grow by one.

    Returns:
        (1, tokens, heads, width), and None for the weights.

    Raises:
        ValueError: Several rows at once, or no positions.
    """
    if position_ids is None or query.shape[0] != 1:
        raise ValueError(
            f"packed attention wants one row with positions, got {query.shape[0]} rows"
            f"{'' if position_ids is not None else ' without positions'}; collate with PackedCollator, or set sdpa"
        )
    lengths = _LENGTHS.of(position_ids)
    return attend_each(query, key, value, lengths, causal=True, scaling=scaling, dropout=dropout), None


def attend_each(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    lengths: Sequence[int],
    *,
    causal: bool,
    scaling: float | None = None,
    dropout: float = 0.0,
) -> torch.Tensor:
    """Attend within each of the samples that lie end to end.

    Args:
        query: (1, heads, tokens, width).
        key: (1, key heads, tokens, width).
        value: (1, key heads, tokens, width).
        lengths: Tokens of each sample.
        causal: A token sees those before it alone.
        scaling: Factor of the scores; None takes one over the square root of the width.
        dropout: Share of dropped weights.

    Returns:
        (1, tokens, heads, width).
    """
    split = [tensor.split(list(lengths), dim=2) for tensor in (query, key, value)]
    parts = [
        scaled_dot_product_attention(
            its_query,
            its_key,
            its_value,
            dropout_p=dropout,
            is_causal=causal,
            scale=scaling,
            enable_gqa=query.shape[1] != key.shape[1],
        )
        for its_query, its_key, its_value in zip(*split, strict=True)
    ]
    return torch.cat(parts, dim=2).transpose(1, 2).contiguous()


class _Lengths:
    """Lengths of the samples of a row, read once for all layers: on a GPU each look would wait for all work before it."""

    def __init__(self) -> None:
        self._row: Any = lambda: None
        self._version = 0
        self._lengths: list[int] = []

    def of(self, position_ids: torch.Tensor) -> list[int]:
        """Return the lengths; the same tensor, unaltered since, is not looked at again."""
        tracked = not position_ids.is_inference()
        if not tracked or self._row() is not position_ids or self._version != position_ids._version:
            starts = torch.nonzero(position_ids[0].diff() != 1).flatten() + 1
            bounds = [0, *starts.tolist(), position_ids.shape[1]]
            self._lengths = [end - begin for begin, end in itertools.pairwise(bounds)]
            if tracked:
                self._row, self._version = weakref.ref(position_ids), position_ids._version
        return self._lengths


_LENGTHS = _Lengths()


def isolate_samples(model: Any) -> str:
    """Set a model's attention for packed rows and return what was chosen.

    FlashAttention, where the model was loaded with it (a package, or a kernel of the Hub by its name), already tells packed
    samples apart by their positions and is kept; otherwise the language model gets `segment_attention`. The vision tower
    keeps its own.

    Args:
        model: A Qwen2.5-VL or Qwen3-VL model.
    """
    from transformers import AttentionInterface, AttentionMaskInterface

    text = model.config.get_text_config()
    if "flash" in (text._attn_implementation or ""):
        return str(text._attn_implementation)
    AttentionInterface.register(NAME, segment_attention)
    AttentionMaskInterface.register(NAME, _no_mask)
    model.set_attn_implementation({"text_config": NAME})
    return NAME


def _no_mask(*_: Any, **__: Any) -> None:
    return None
