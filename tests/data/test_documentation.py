"""Every example in the data engine's docstrings runs."""

from __future__ import annotations

import doctest
import importlib

import pytest

MODULES = [
    "cleaning",
    "records",
    "paths",
    "tally",
    "textboxes",
    "synthesis.replies",
    "synthesis.wording",
    "tiles",
    "sources",
    "sources.chat",
    "sources.choices",
    "sources.labeltxt",
    "sources.scene_folders",
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str) -> None:
    result = doctest.testmod(importlib.import_module(f"rscovlm.data.{name}"))
    assert result.attempted
    assert not result.failed
