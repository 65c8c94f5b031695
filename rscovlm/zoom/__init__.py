"""Zoom-in Chain: a conversation that may ask for pixels of the original image."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rscovlm.zoom.layouts import Layout, zoom_conversation, zoom_tool

if TYPE_CHECKING:
    from rscovlm.zoom.chain import ZoomChain
    from rscovlm.zoom.detection import detect
    from rscovlm.zoom.detections import Detections
    from rscovlm.zoom.episode import Episode
    from rscovlm.zoom.result import Step, ZoomResult
    from rscovlm.zoom.summary import ZoomReport, report
    from rscovlm.zoom.tasks import Counted, Grounded, Said, answer, caption, classify, count, ground
    from rscovlm.zoom.windows import Limits, ZoomView

__all__ = [
    "Counted",
    "Detections",
    "Episode",
    "Grounded",
    "Layout",
    "Limits",
    "Said",
    "Step",
    "ZoomChain",
    "ZoomReport",
    "ZoomResult",
    "ZoomView",
    "answer",
    "caption",
    "classify",
    "count",
    "detect",
    "ground",
    "report",
    "zoom_conversation",
    "zoom_tool",
]

# Loaded when first used: who only builds conversations needs neither rasters nor geometry.
_LAZY = {
    "Detections": "detections",
    "Episode": "episode",
    "Limits": "windows",
    "Step": "result",
    "ZoomChain": "chain",
    "ZoomReport": "summary",
    "ZoomResult": "result",
    "ZoomView": "windows",
    "detect": "detection",
    "report": "summary",
    "Counted": "tasks",
    "Grounded": "tasks",
    "Said": "tasks",
    "answer": "tasks",
    "caption": "tasks",
    "classify": "tasks",
    "count": "tasks",
    "ground": "tasks",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
