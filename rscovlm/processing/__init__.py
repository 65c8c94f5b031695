"""From images and conversations to what a Qwen-VL model takes, and from its answers back to boxes.

Planning sizes needs neither torch nor transformers; the two processors load transformers when first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

from rscovlm.processing.resolution import PixelBudget, Size, plan_size
from rscovlm.processing.template import RESPONSE_AS_WRITTEN, chat_template

if TYPE_CHECKING:
    from rscovlm.processing.image_processor import RSCoVLMImageProcessor
    from rscovlm.processing.processor import RSCoVLMProcessor

__all__ = [
    "RESPONSE_AS_WRITTEN",
    "PixelBudget",
    "RSCoVLMImageProcessor",
    "RSCoVLMProcessor",
    "Size",
    "chat_template",
    "plan_size",
]

_HOME = {"RSCoVLMImageProcessor": "image_processor", "RSCoVLMProcessor": "processor"}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'rscovlm.processing' has no attribute {name!r}")
    return getattr(importlib.import_module(f"rscovlm.processing.{_HOME[name]}"), name)
