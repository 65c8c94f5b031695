"""The documentation of the metrics says what goes in and what comes out."""

import pytest

from rscovlm import metrics


@pytest.mark.parametrize("name", metrics.__all__)
def test_public_functions_document_what_they_return_and_raise(name: str) -> None:
    text = getattr(metrics, name).__doc__
    assert "Returns:" in text or "Return" in text.splitlines()[0]
    assert "Example:" in text or "Raises:" in text
