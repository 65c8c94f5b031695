"""The reference of recipes holds every key that the code reads, with its default, and the keys in it are read."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pytest

from rscovlm.synthesis import SynthesisConfig
from rscovlm.training.recipe import TrainingRecipe

DOCS = Path(__file__).resolve().parents[1] / "docs"


def _module(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    spec.loader.exec_module(module := importlib.util.module_from_spec(spec))
    return module


REFERENCE = _module("recipe_reference")
PAGE = _module("hooks").on_page_markdown((DOCS / "recipes.md").read_text(encoding="utf-8"))
CLASSES = [one for kind in (TrainingRecipe, SynthesisConfig) for one in REFERENCE.reached(kind)]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_the_page_has_every_key_with_its_meaning(kind: Any) -> None:
    titles = {TrainingRecipe: "A training recipe", SynthesisConfig: "A recipe of synthesis"}
    title = re.escape(titles.get(kind, f"`{kind.__name__}`"))
    section = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    assert section is not None
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", section[1], re.MULTILINE))
    assert list(rows) == [field.name for field in fields(kind)]
    for field in fields(kind):
        _, default, meaning = re.split(r" (?<!\\)\| ", rows[field.name], maxsplit=2)
        assert len(meaning) > 5 and not meaning.startswith("As in")
        wanted = field.default is MISSING and field.default_factory is MISSING
        assert (default == "must be given") == wanted
        if isinstance(field.default, (int, float)) and not isinstance(field.default, bool):
            assert default == f"`{field.default}`"


def test_links_of_the_page_lead_to_its_sections() -> None:
    targets = set(re.findall(r"\]\(#(\w+)\)", PAGE))
    assert targets and targets <= {kind.__name__.lower() for kind in CLASSES}


def test_a_field_that_nobody_described_is_named() -> None:
    from dataclasses import dataclass

    @dataclass
    class Part:
        """A part.

        Attributes:
            name: What it is called.
        """

        name: str
        silent: int = 1

    with pytest.raises(ValueError, match="says nothing of \\['silent'\\]"):
        REFERENCE.reference(Part, "A part")
