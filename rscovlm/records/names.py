"""Which tasks there are."""

from __future__ import annotations

from collections.abc import Mapping

TASKS: Mapping[str, str] = {
    "vqa": "answer",
    "detection": "detect",
    "grounding": "ground",
    "classification": "classify",
    "caption": "caption",
    "counting": "count",
    "conversation": "conversation",
    "zoom": "zoom",
    "segmentation": "segment",
    "change": "change",
    "geolocation": "locate",
    "conditions": "conditions",
    "region_caption": "describe",
}
"""The task of a record -> the file of `rscovlm.tasks` that knows what it needs, how it is asked, answered and measured."""
