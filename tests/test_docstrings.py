"""Docstrings name what signatures have: no argument or field is missing, invented or of another name."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "rscovlm"
MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))
# Read by the model as the description of its tool: nothing of ours belongs there.
TOOLS = {"image_zoom_in"}


def listed(docstring: str, section: str) -> list[str] | None:
    """Return the names that a section explains, None where there is no such section."""
    found = re.search(rf"^{section}:\n((?:    .*\n?|\n)+)", docstring, re.MULTILINE)
    return None if found is None else re.findall(r"^    \*{0,2}(\w+):", found[1], re.MULTILINE)


def parameters(function: ast.FunctionDef) -> set[str]:
    """Return the names of a function's arguments, private ones and its own object left out."""
    given = function.args
    every = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    return {one.arg for one in every if one is not None and not one.arg.startswith("_")} - {"self", "cls"}


def faults(body: list[ast.stmt]) -> Iterator[str]:
    """Yield what docstrings of functions and classes say wrongly or leave out."""
    for node in body:
        if isinstance(node, ast.FunctionDef):
            text = ast.get_docstring(node) or ""
            names = listed(text, "Args")
            if names is not None and set(names) != parameters(node):
                yield f"{node.name}: {set(names) ^ parameters(node)}"
            setter = any(ast.unparse(one).endswith(".setter") for one in node.decorator_list)
            if not (setter or node.name.startswith("_") or node.name in TOOLS):
                thrown = {one for one in raised(node) if one not in text and "Raises:" not in text}
                if thrown:
                    yield f"{node.name} raises {thrown} and does not say so"
        elif isinstance(node, ast.ClassDef):
            text = ast.get_docstring(node) or ""
            start = next(
                (one for one in node.body if isinstance(one, ast.FunctionDef) and one.name == "__init__"), None
            )
            names, fields = listed(text, "Args"), listed(text, "Attributes")
            if names is not None and start is not None and set(names) != parameters(start):
                yield f"{node.name}: {set(names) ^ parameters(start)}"
            held = {
                str(one.target.id)
                for one in node.body
                if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)
            }
            if fields is not None and any("dataclass" in ast.unparse(one) for one in node.decorator_list):
                properties = {one.name for one in node.body if isinstance(one, ast.FunctionDef)}
                if not held <= set(fields) <= held | properties:
                    yield f"{node.name}: {held ^ set(fields)}"
            if not node.name.startswith("_"):
                yield from faults(node.body)


def raised(function: ast.FunctionDef) -> set[str]:
    """Return the errors that a function itself raises; those that only a tally sees are counted, not raised."""
    inner = {
        one
        for node in ast.walk(function)
        if isinstance(node, ast.FunctionDef) and node is not function
        for one in ast.walk(node)
    }
    calls = [node.exc for node in ast.walk(function) if isinstance(node, ast.Raise) and node not in inner]
    return {ast.unparse(call.func) for call in calls if isinstance(call, ast.Call)} - {
        "Rejected",
        "AttributeError",
        "ImportError",
    }


@pytest.mark.parametrize("module", [name for name in MODULES if not name.startswith("cli/")])
def test_docstrings_and_signatures_agree(module: str) -> None:
    assert list(faults(ast.parse((PACKAGE / module).read_text(encoding="utf-8")).body)) == []
