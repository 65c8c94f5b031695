"""The examples in docstrings run and give what they say."""

import doctest
import importlib

import pytest


@pytest.mark.parametrize("name", ["affine", "boxes", "frame", "objects", "points", "similarity"])
def test_examples(name: str) -> None:
    result = doctest.testmod(importlib.import_module(f"rscovlm.geometry.{name}"))
    assert result.attempted
    assert not result.failed
