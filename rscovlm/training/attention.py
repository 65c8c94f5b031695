"""FlashAttention for the parts of a model that it suits: where it is installed, and computes the same on this GPU."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import torch

from rscovlm.training.kernels import differ
from rscovlm.training.segments import attend_each

logger = logging.getLogger(__name__)

FLASH = ("flash_attention_2", "flash_attention_3", "flash_attention_4")
"""What is tried, in this order; for each of them transformers takes its kernel of the Hub where the package is missing."""

_PARTS = {"text_config": "language model", "vision_config": "vision tower"}
_LENGTHS = (24, 40, 1, 63)


def attention_of(model: Any) -> str:
    """Return what attention a model was given, in words."""
    return ", ".join(f"{getattr(model.config, key)._attn_implementation} in the {part}" for key, part in _PARTS.items())


def choose_attention(
    model: Any, names: Sequence[str] = FLASH, device: str | torch.device | None = None
) -> dict[str, str]:
    """Give each part of a model the first attention of some that computes for packed samples what sdpa does for each alone.

    One that cannot be loaded, does not suit the width of a part's heads or gives other numbers leaves that part as it is.
    Weights in single precision keep sdpa, since FlashAttention takes half precision alone.

    Args:
        model: A Qwen2.5-VL or Qwen3-VL model; its weights stay where they are.
        names: What to try, as transformers names it.
        device: Where the model will run; None takes the GPU, and tries nothing if there is none.

    Returns:
        By part, why what was tried was not taken; nothing for a part that took the first.
    """
    if device is None:
        if not torch.cuda.is_available() or model.dtype == torch.float32:
            return {}
        device = f"cuda:{torch.cuda.current_device()}"
    chosen = {key: getattr(model.config, key)._attn_implementation for key in _PARTS}
    faults: dict[str, list[str]] = {key: [] for key in _PARTS}
    waiting = list(_PARTS)
    for name in names:
        try:
            model.set_attn_implementation(name)
        except Exception as error:  # noqa: BLE001  a package that is missing or does not fit may raise anything
            for key in waiting:
                faults[key].append(f"{name}: {type(error).__name__}: {str(error)[:80]}")
            continue
        for key in list(waiting):
            if fault := _fault(model, key, device):
                faults[key].append(f"{name}: {fault}")
            else:
                chosen[key] = getattr(model.config, key)._attn_implementation
                waiting.remove(key)
        if not waiting:
            break
    model.set_attn_implementation({"": chosen["text_config"], **chosen})
    return {_PARTS[key]: "; ".join(said) for key, said in faults.items() if said}


def _fault(model: Any, key: str, device: str | torch.device) -> str | None:
    """Return what is wrong with the attention that a part of a model has now, or None where it computes the same."""
    try:
        return "it gives other numbers" if differ(*_both_ways(model, key, device)) else None
    except Exception as error:  # noqa: BLE001  a kernel that cannot be built or run here may raise anything
        return f"{type(error).__name__}: {str(error)[:80]}"


def _both_ways(model: Any, key: str, device: str | torch.device) -> list[list[torch.Tensor]]:
    """Return result and gradients of sdpa for each of some samples alone, and of a part's attention for them packed."""
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    config = getattr(model.config, key)
    module = next(one for one in model.modules() if getattr(one, "config", None) is config and hasattr(one, "scaling"))
    causal = key == "text_config"
    heads = config.num_attention_heads if causal else config.num_heads
    key_heads = config.num_key_value_heads if causal else heads
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    generator = torch.Generator().manual_seed(0)

    def drawn(count: int) -> torch.Tensor:
        made = torch.randn(1, count, sum(_LENGTHS), width, generator=generator)
        return made.to(device, model.dtype).requires_grad_(True)

    query, keys, values = drawn(heads), drawn(key_heads), drawn(key_heads)
    wanted = drawn(heads).detach().transpose(1, 2)
    if causal:
        places = torch.cat([torch.arange(length) for length in _LENGTHS])[None].to(device)
        told: dict[str, Any] = {"position_ids": places}
    else:
        ends = torch.tensor([0, *_LENGTHS], dtype=torch.int32).cumsum(0, dtype=torch.int32).to(device)
        told = {"cu_seq_lens_q": ends, "cu_seq_lens_k": ends, "is_causal": False}
        told |= {"max_length_q": max(_LENGTHS), "max_length_k": max(_LENGTHS)}
    attention = ALL_ATTENTION_FUNCTIONS[config._attn_implementation]
    made, _ = attention(module, query, keys, values, None, dropout=0.0, scaling=width**-0.5, **told)
    alone = attend_each(query, keys, values, _LENGTHS, causal=causal)
    return [
        [result.detach(), *torch.autograd.grad((result * wanted).sum(), [query, keys, values])]
        for result in (alone, made)
    ]
