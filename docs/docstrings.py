"""How docstrings become Markdown: examples are fenced, Sphinx roles become code."""

from __future__ import annotations

import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:class|func|meth|mod|attr|data):`~?(?:[\w.]*\.)?(\w+)`")
EXAMPLE = re.compile(r"^(?P<indent> *)>>> .*(?:\n(?!\s*$).*)*", re.MULTILINE)


def fenced(example: re.Match[str]) -> str:
    """Put fences around an example, which ends where a blank line is."""
    indent = example["indent"]
    return f"{indent}```pycon\n{example[0]}\n{indent}```"


class Docstrings(griffe.Extension):  # type: ignore[misc]
    """Prepares each docstring before it is parsed."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of an object."""
        if obj.docstring is not None:
            obj.docstring.value = EXAMPLE.sub(fenced, ROLE.sub(r"`\1`", obj.docstring.value))
