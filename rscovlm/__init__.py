"""Remote-sensing vision-language models as a Hugging Face plug-in.

Importing this registers the processors with transformers' Auto classes, now or when transformers is imported later; it loads
neither torch nor transformers. Names are loaded when first used.
"""

import importlib
import pkgutil
from typing import TYPE_CHECKING, Any

import wrapt

if TYPE_CHECKING:
    from rscovlm.codec import Codec
    from rscovlm.embedded import embedded_model
    from rscovlm.geometry import Boxes, Frame, Objects, PointSets, iou
    from rscovlm.processing import PixelBudget, RSCoVLMImageProcessor, RSCoVLMProcessor, plan_size
    from rscovlm.rasters import open_image
    from rscovlm.zoom import ZoomChain, answer, caption, classify, count, detect, ground

__version__ = "0.1.0.dev0"

# Public name -> the module that defines it. Add a line to publish a name.
_HOME = {
    "Boxes": "rscovlm.geometry",
    "Codec": "rscovlm.codec",
    "Frame": "rscovlm.geometry",
    "Objects": "rscovlm.geometry",
    "PixelBudget": "rscovlm.processing",
    "PointSets": "rscovlm.geometry",
    "RSCoVLMImageProcessor": "rscovlm.processing",
    "RSCoVLMProcessor": "rscovlm.processing",
    "ZoomChain": "rscovlm.zoom",
    "answer": "rscovlm.zoom",
    "caption": "rscovlm.zoom",
    "classify": "rscovlm.zoom",
    "count": "rscovlm.zoom",
    "detect": "rscovlm.zoom",
    "embedded_model": "rscovlm.embedded",
    "ground": "rscovlm.zoom",
    "iou": "rscovlm.geometry",
    "open_image": "rscovlm.rasters",
    "plan_size": "rscovlm.processing",
}

__all__ = [
    "Boxes",
    "Codec",
    "Frame",
    "Objects",
    "PixelBudget",
    "PointSets",
    "RSCoVLMImageProcessor",
    "RSCoVLMProcessor",
    "ZoomChain",
    "answer",
    "caption",
    "classify",
    "count",
    "detect",
    "embedded_model",
    "ground",
    "iou",
    "open_image",
    "plan_size",
]

for _name, _function in {
    "transformers.models.auto.processing_auto": "register_processor",
    "transformers.models.auto.image_processing_auto": "register_image_processor",
    "rscovlm.processing.processor": "register_processor",
    "rscovlm.processing.image_processor": "register_image_processor",
}.items():
    wrapt.register_post_import_hook(f"rscovlm.processing.registration:{_function}", _name)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(importlib.import_module(_HOME[name]), name)
    elif name in _modules():
        value = importlib.import_module(f"rscovlm.{name}")
    else:
        raise AttributeError(f"module 'rscovlm' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME, *_modules()})


def _modules() -> set[str]:
    return {module.name for module in pkgutil.iter_modules(__path__)} - {"__main__"}
