"""The table of docs/checkpoints.md says what its script measures, where torchvision is not needed to know."""

import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
# Every way costs a start of transformers; a pipeline builds what these rows show, and another test generates with it.
ASKED = ("AutoProcessor", "AutoImageProcessor", "AutoTokenizer", "AutoModelForImageTextToText")


def _script() -> Any:
    spec = importlib.util.spec_from_file_location("opening_table", ROOT / ".ci" / "opening_table.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _columns(table: str) -> dict[tuple[str, str], str]:
    """Return the cells of a Markdown table by row and column."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line[:1] == "|"]
    return {(row[0], head): cell for row in rows[2:] for head, cell in zip(rows[0][1:], row[1:], strict=True)}


def test_the_page_says_what_is_measured() -> None:
    page = (ROOT / "docs" / "checkpoints.md").read_text(encoding="utf-8")
    stated = _columns(page.partition("<!-- opening")[2].partition("<!-- end -->")[0])
    assert len(stated) == 2 * len(_script().ASKED) * 4
    measured = _columns(_script().table([sys.executable], ASKED))
    assert len(measured) == 2 * len(ASKED) * 2
    differing = {cell: (stated.get(cell), found) for cell, found in measured.items() if stated.get(cell) != found}
    assert not differing


@pytest.mark.skipif("RSCOVLM_TORCHVISION" not in os.environ, reason="RSCOVLM_TORCHVISION names no other Python")
def test_the_page_says_what_is_measured_with_torchvision() -> None:
    page = (ROOT / "docs" / "checkpoints.md").read_text(encoding="utf-8")
    stated = page.partition("-->\n")[2].partition("<!-- end -->")[0].strip()
    assert _script().table([os.environ["RSCOVLM_TORCHVISION"], sys.executable]) == stated
