"""Every example in the documentation of the metrics runs."""

import doctest
import importlib
import pkgutil

import pytest

from rscovlm import metrics

# A function that bears its module's name hides it as an attribute, so modules are imported by name.
MODULES = [info.name for info in pkgutil.walk_packages(metrics.__path__, "rscovlm.metrics.")]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.parametrize("name", metrics.__all__)
def test_public_functions_document_what_they_return_and_raise(name: str) -> None:
    text = getattr(metrics, name).__doc__
    assert "Returns:" in text or "Return" in text.splitlines()[0]
    assert "Example:" in text or "Raises:" in text
