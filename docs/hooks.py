"""What pages take from the package when the site is built, so that it cannot go stale."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
HELD = """## What the layouts were held against

Field by field, with public code that reads the published files, or with such files themselves: repository and path. A source that is
not listed is a plain layout of one's own (YOLO, GeoJSON, class folders), or follows the description of its publishers."""
TABLE = "<!-- table of sources -->"
PUBLIC = re.compile(r"<!-- public names of (\S+) -->")
RECIPE = re.compile(r"<!-- recipe: (\S+): (.+) -->")
INCLUDE = re.compile(r"<!-- include ([^:\s]+)(?:: (.+))? -->")
FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
TITLE = re.compile(r"\A\s*# .*\n")
ABSENT = "This checkout holds no `{}` yet."


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the table of data sources, the public names of packages and included files in the place of their marks."""
    if TABLE in markdown:
        markdown = markdown.replace(TABLE, source_table())
    markdown = RECIPE.sub(lambda mark: recipe_reference(mark[1], mark[2]), markdown)
    markdown = PUBLIC.sub(lambda mark: public_names(mark[1]), markdown)
    return INCLUDE.sub(lambda mark: included(mark[1], mark[2]), markdown)


def recipe_reference(name: str, title: str) -> str:
    """Write the reference of the recipe that a dataclass reads."""
    # MkDocs runs this file by its path, so its neighbour is found by path too.
    spec = importlib.util.spec_from_file_location("recipe_reference", Path(__file__).with_name("recipe_reference.py"))
    assert spec is not None and spec.loader is not None
    spec.loader.exec_module(module := importlib.util.module_from_spec(spec))
    place, _, kind = name.rpartition(".")
    return str(module.reference(getattr(importlib.import_module(place), kind), title))


def source_table() -> str:
    """Write the registered data sources as two Markdown tables: what they are, and where their files lie."""
    from rscovlm.data.sources import sources

    known = sources().values()
    about = [(f"`{one.name}`", ", ".join(one.tasks), ", ".join(one.splits), one.licence) for one in known]
    files = [(f"`{one.name}`", one.layout) for one in known]
    held = [(f"`{one.name}`", one.held) for one in known if one.held]
    return "\n\n".join(
        (
            table(("name", "tasks", "splits", "terms"), about),
            "## Their files\n\nBelow the folder given to `convert`, as the publishers pack them.",
            table(("name", "layout"), files),
            HELD,
            table(("name", "held against"), held),
        )
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a Markdown table whose cells hold plain text or code."""
    lines = [head, ["---"] * len(head), *([cell(text) for text in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(text: str) -> str:
    """Escape what would be read as markup, code aside."""
    return text if text.startswith("`") else re.sub(r"([|*_<>\[\]])", r"\\\1", text)


def public_names(package: str) -> str:
    """Ask for the documentation of everything that a package lists as public."""
    module = importlib.import_module(package)
    homes = {entry.name for entry in pkgutil.iter_modules(module.__path__)}
    names = (f"{name}.{name}" if name in homes else name for name in module.__all__)
    return "\n\n".join(f"::: {package}.{name}" for name in names)


def included(path: str, section: str | None = None) -> str:
    """Return a file of the checkout without its front matter and title, its headings one level down; or one section of it."""
    file = ROOT / path
    if not file.is_file():
        return ABSENT.format(path)
    text = TITLE.sub("", FRONT_MATTER.sub("", file.read_text(encoding="utf-8")))
    text = text.replace("](docs/", "](")  # what the README calls docs/x.md lies beside the page
    if section is not None:
        return text.split(f"\n## {section}\n", 1)[1].split("\n## ", 1)[0].strip()
    return re.sub(r"^(#+ )", r"#\1", text, flags=re.MULTILINE)
