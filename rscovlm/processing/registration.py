"""Making the Auto classes give our processors for checkpoints saved with them.

Called when transformers' Auto modules or our own have been imported, in whatever order (see ``rscovlm/__init__.py``).
Checkpoints that name a stock class keep it; so do those that name none, unless `RSCoVLMProcessor` saved them.
"""

import importlib
from types import ModuleType
from typing import Any

from rscovlm.processing.families import MODEL_TYPES


def register_processor(_: ModuleType) -> None:
    """Register `RSCoVLMProcessor` with ``AutoProcessor`` for all families."""
    processor = _ours("processor", "RSCoVLMProcessor")
    if processor is not None:
        from transformers.models.auto.processing_auto import PROCESSOR_MAPPING

        for config in _configs():
            _register(PROCESSOR_MAPPING, config, processor)


def register_image_processor(_: ModuleType) -> None:
    """Register `RSCoVLMImageProcessor` with ``AutoImageProcessor`` for all families, whatever the backend."""
    processor = _ours("image_processor", "RSCoVLMImageProcessor")
    if processor is not None:
        # Not AutoImageProcessor.register: that loads the stock classes too, which warns where torchvision is absent.
        from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING

        for config in _configs():
            _register(IMAGE_PROCESSOR_MAPPING, config, {"pil": processor, "torchvision": processor})


def _register(mapping: Any, config: Any, value: Any) -> None:
    mapping.register(config, value, exist_ok=True)
    # transformers 5.18 says nothing and registers nothing for a configuration of its own; 5.19 and later do.
    mapping._extra_content.setdefault(config, value)


def _ours(module: str, name: str) -> Any:
    # None while that module is itself being imported, which may be what imported the Auto module: its own hook follows.
    return getattr(importlib.import_module(f"rscovlm.processing.{module}"), name, None)


def _configs() -> list[Any]:
    """Return the configurations of the families that the installed transformers knows."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    return [CONFIG_MAPPING[name] for name in MODEL_TYPES if name in CONFIG_MAPPING]
