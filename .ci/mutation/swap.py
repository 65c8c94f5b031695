"""Mutants put into functions that are imported already, so that tests collected once can run on each."""

from __future__ import annotations

import ast
import gc
import inspect
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import CodeType, FunctionType

from mutation.mutants import Mutant

Place = tuple[str, str, int]
"""File, qualified name and first line of a function."""


class Imported:
    """The functions of a checkout that are imported.

    Args:
        root: The checkout.
        paths: Modules that will change, from the root, as they are before any mutant.
    """

    def __init__(self, root: Path, paths: Iterable[str]) -> None:
        self._root = root
        self._texts = {path: (root / path).read_text(encoding="utf-8") for path in paths}
        self._found: dict[Place, list[FunctionType]] = {}
        for one in gc.get_objects():
            if type(one) is FunctionType and one.__code__.co_filename.startswith(str(root)):
                self._found.setdefault(_place(one.__code__), []).append(one)

    def swap(self, mutant: Mutant) -> bool:
        """Put a mutant into the functions that hold its lines; tell whether there were any that take it.

        What runs when a module is imported cannot be swapped, nor a function that uses other names of the function around it.
        """
        text = self._texts[mutant.path]
        held = _holder(ast.parse(text), mutant.lines)
        if held is None:
            return False
        file = str(self._root / mutant.path)
        before, after = _codes(file, text, held), _codes(file, mutant.source, held)
        if len(before) != len(after):
            return False
        pairs = [
            (function, new)
            for old, new in zip(before, after, strict=True)
            if old != new
            for function in self._found.get(_place(old), ())
        ]
        if any(function.__code__.co_freevars != new.co_freevars for function, new in pairs):
            return False
        for function, new in pairs:
            function.__code__ = new
        return bool(pairs)


def _place(code: CodeType) -> Place:
    return code.co_filename, code.co_qualname, code.co_firstlineno


def _holder(tree: ast.AST, lines: tuple[int, int], names: tuple[str, ...] = ()) -> str | None:
    """Return the qualified name of the outermost function whose body holds some lines."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if node.body[0].lineno <= lines[0] and lines[1] <= (node.end_lineno or 0):
                return ".".join([*names, node.name])
        elif isinstance(node, ast.ClassDef):
            found = _holder(node, lines, (*names, node.name))
            if found is not None:
                return found
        elif isinstance(node, ast.If | ast.Try | ast.With):
            found = _holder(node, lines, names)
            if found is not None:
                return found
    return None


def _codes(file: str, text: str, name: str) -> list[CodeType]:
    """Return the code of the functions of a name, in their order: a property has several."""
    return [code for code in _outermost(compile(text, file, "exec", dont_inherit=True)) if code.co_qualname == name]


def _outermost(code: CodeType) -> Iterator[CodeType]:
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            if inner.co_flags & inspect.CO_OPTIMIZED:
                yield inner
            else:  # the body of a class
                yield from _outermost(inner)
