"""Training through TRL: samples to packed rows, what tells them apart, recipes, and the trainer.

Names are loaded when first used, since they want torch and TRL (``rscovlm[train]``).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rscovlm.extras import optional

if TYPE_CHECKING:
    from rscovlm.training.attention import choose_attention
    from rscovlm.training.collator import Collator, PackedCollator
    from rscovlm.training.encoding import Encoder
    from rscovlm.training.packing import PackedMixture
    from rscovlm.training.recipe import TrainingRecipe, prepare
    from rscovlm.training.segments import isolate_samples
    from rscovlm.training.sft import SFT_ARGUMENTS, as_dataset, build_trainer
    from rscovlm.training.weighting import Weighting

__all__ = [
    "SFT_ARGUMENTS",
    "Collator",
    "Encoder",
    "PackedCollator",
    "PackedMixture",
    "TrainingRecipe",
    "Weighting",
    "as_dataset",
    "build_trainer",
    "choose_attention",
    "isolate_samples",
    "prepare",
]

_LAZY = {
    "SFT_ARGUMENTS": "sft",
    "Collator": "collator",
    "Encoder": "encoding",
    "PackedCollator": "collator",
    "PackedMixture": "packing",
    "TrainingRecipe": "recipe",
    "Weighting": "weighting",
    "as_dataset": "sft",
    "build_trainer": "sft",
    "choose_attention": "attention",
    "isolate_samples": "segments",
    "prepare": "recipe",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        with optional("train"):
            return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
