"""Every error that the troubleshooting page quotes is one that the package raises, word for word."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
QUOTED = re.findall(r"^> (.+)$", (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8"), re.MULTILINE)


def _template(node: ast.AST) -> str | None:
    """Return a text, or the text of an f-string with `…` for each value."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(one.value) if isinstance(one, ast.Constant) else "…" for one in node.values)
    return None


def _templates() -> str:
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in sorted((ROOT / "rscovlm").rglob("*.py")))
    return "\n".join(text for tree in trees for node in ast.walk(tree) if (text := _template(node)))


@pytest.fixture(scope="module")
def templates() -> str:
    return _templates()


def test_the_page_quotes_many_errors_each_once() -> None:
    assert len(QUOTED) == len(set(QUOTED)) >= 30


@pytest.mark.parametrize("quoted", QUOTED)
def test_a_quoted_error_is_in_the_source(quoted: str, templates: str) -> None:
    assert len(re.sub(r"[…\W]", "", quoted)) > 15, "this says too little to be looked for"
    assert quoted in templates
