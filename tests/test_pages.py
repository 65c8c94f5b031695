"""Pages of words and tables: what they name is there."""

from __future__ import annotations

import importlib
import importlib.util
import re
from pathlib import Path

import pytest

from rscovlm.records.names import TASKS

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAPERS = (DOCS / "papers.md").read_text(encoding="utf-8")
GLOSSARY = (DOCS / "glossary.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`((?:rscovlm|examples)[./][\w./-]+)`", PAPERS)))


@pytest.mark.parametrize("name", NAMED)
def test_what_the_page_of_papers_names_is_there(name: str) -> None:
    if "/" in name:
        assert (ROOT / name).is_file()
    else:
        assert importlib.util.find_spec(name) is not None


def test_every_task_and_table_is_on_the_page_of_papers() -> None:
    for file in {*TASKS.values()} - {"answer", "caption", "classify", "ground", "conversation", "detect_many"}:
        assert f"rscovlm.tasks.{file}" in PAPERS, file
    for table in (ROOT / "rscovlm/benchmarks/tables").glob("*.yaml"):
        assert f"rscovlm/benchmarks/tables/{table.name}" in PAPERS


def test_the_glossary_is_in_order_and_has_the_words_that_pages_use() -> None:
    words = [row.split(" | ")[0] for row in re.findall(r"^\| (.+) \|$", GLOSSARY, re.MULTILINE)[1:]]
    keys = [word.lower() for word in words]
    assert keys == sorted(keys)
    for word in (
        "frame",
        "root",
        "lane",
        "row",
        "look",
        "window",
        "view",
        "budget",
        "layout",
        "AA",
        "dialect",
        "chain",
    ):
        assert word in words


def test_the_diagrams_are_those_that_are_drawn() -> None:
    spec = importlib.util.spec_from_file_location("diagrams", DOCS / "diagrams.py")
    assert spec is not None and spec.loader is not None
    spec.loader.exec_module(module := importlib.util.module_from_spec(spec))
    drawn = module.diagrams()
    assert len(drawn) == 3
    for name, text in drawn.items():
        assert (DOCS / name).read_text(encoding="utf-8") == text
        assert any(name in page.read_text(encoding="utf-8") for page in DOCS.glob("*.md"))
