"""FlashAttention's function for packed samples as its documentation states it, in plain torch, for machines without a GPU."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers import modeling_flash_attention_utils as flash
from transformers.integrations.flash_attention import flash_attention_forward
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS

Varlen = Callable[..., torch.Tensor]


def varlen(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    cu_seqlens_q: torch.Tensor,
    cu_seqlens_k: torch.Tensor,
    max_seqlen_q: int,
    max_seqlen_k: int,
    softmax_scale: float | None = None,
    causal: bool = False,
) -> torch.Tensor:
    """Attend between the tokens of each sequence (a wrapper must keep this signature: transformers goes by it); all are (tokens, heads, width), the ends are those of the sequences."""
    assert cu_seqlens_q.tolist() == cu_seqlens_k.tolist()
    assert int(cu_seqlens_q.diff().max()) <= int(max_seqlen_q) and int(max_seqlen_q) == int(max_seqlen_k)
    made = torch.full_like(q, float("nan"))
    repeats = q.shape[1] // k.shape[1]
    for begin, end in zip(cu_seqlens_q[:-1].tolist(), cu_seqlens_q[1:].tolist(), strict=True):
        here = slice(begin, end)
        keys, values = (tensor[here].repeat_interleave(repeats, 1) for tensor in (k, v))
        scores = torch.einsum("qhw,khw->hqk", q[here], keys) * (softmax_scale or q.shape[-1] ** -0.5)
        if causal:
            scores = scores.masked_fill(torch.ones_like(scores[0], dtype=torch.bool).triu(1), float("-inf"))
        made = made.index_copy(
            0, torch.arange(begin, end), torch.einsum("hqk,khw->qhw", scores.softmax(-1).to(v), values)
        )
    return made


def install(monkeypatch: pytest.MonkeyPatch, name: str, function: Varlen = varlen) -> None:
    """Let transformers find a FlashAttention of some name, which is reached through its own integration."""
    assert "flash" in name
    load = flash._lazy_imports

    def lazy_imports(implementation: str | None, *rest: Any, **options: Any) -> Any:
        if implementation == name:
            return function, function, None, flash._pad_input, flash._unpad_input
        return load(implementation, *rest, **options)

    monkeypatch.setattr(flash, "_lazy_imports", lazy_imports)
    monkeypatch.setattr(flash, "_loaded_implementation", None)
    AttentionInterface.register(name, flash_attention_forward)
    AttentionMaskInterface.register(name, ALL_MASK_ATTENTION_FUNCTIONS["flash_attention_2"])
