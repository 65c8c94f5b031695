"""Tests outside a floor that reach a function through whatever calls it: a change that they notice has not survived."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

MOST = 6
"""Files of tests for a mutant at most, those that name the nearest callers first."""
DEEP = 4
"""Calls between a function and what a test names, at most."""
WORD = re.compile(r"[A-Za-z_]\w*")

Name = tuple[str, str]
"""A module, from the root, and one of its functions or classes."""


class Elsewhere:
    """Files of tests by mutant, told from names, for what the tests of a floor do not notice.

    Args:
        root: The checkout.
        modules: All modules of the package, from the root.
        tests: Files of tests outside the floor.
    """

    def __init__(self, root: Path, modules: Sequence[str], tests: Sequence[str]) -> None:
        trees = {path: ast.parse((root / path).read_bytes()) for path in modules}
        names = {path: dict(_definitions(tree)) for path, tree in trees.items()}
        self._held = {(path, name): words for path, found in names.items() for name, words in found.items()}
        self._imports = {path: set(_imports(tree, names)) for path, tree in trees.items()}
        self._tests = {path: set(WORD.findall((root / path).read_text(encoding="utf-8"))) for path in tests}

    def files(self, module: str, where: str) -> list[str]:
        """Return the files of tests that name the function of a mutant, or what calls it, the nearest first.

        Args:
            module: From the root.
            where: The qualified name of what holds the mutant, or ``<module>``.
        """
        depths: dict[str, float] = {}
        for depth, names in enumerate(self._reached(module, where)):
            for name in names:
                depths.setdefault(name, depth)
        # A method is named by its own name where a test does not name its class.
        last = where.split(".")[-1]
        if "." in where and not last.startswith("_"):
            depths.setdefault(last, 0.5)
        found: dict[str, tuple[float, int]] = {}
        for path, words in self._tests.items():
            named = [depths[word] for word in words & depths.keys()]
            if named:
                found[path] = (min(named), -len(named))
        return sorted(found, key=lambda path: (found[path], path))[:MOST]

    def _reached(self, module: str, where: str) -> Iterator[set[str]]:
        """Yield public names, from the function itself to what calls its callers."""
        here = (
            {(module, where.split(".")[0])} if where != "<module>" else {one for one in self._held if one[0] == module}
        )
        seen: set[Name] = set()
        for _ in range(DEEP):
            # Private functions are no step: a test names what calls them.
            while private := {caller for one in here if one[1].startswith("_") for caller in self._callers(one)} - here:
                here |= private
            yield {name for _, name in here if not name.startswith("_")}
            seen |= here
            here = {caller for one in here for caller in self._callers(one)} - seen

    def _callers(self, called: Name) -> set[Name]:
        module, name = called
        return {
            holder
            for holder, words in self._held.items()
            if name in words
            and holder != called
            and (holder[0] == module or (module, name) in self._imports[holder[0]])
        }

    def seconds(self, test: str) -> float:
        """Return nothing for a file, whose trial has a limit of its own, and what an ordinary test takes at most."""
        return 5.0 if "::" in test else 0.0

    def related(self, module: str, lines: tuple[int, int]) -> set[str]:
        """Return nothing: every case of a file is tried anyway."""
        return set()


def _definitions(tree: ast.Module) -> Iterator[tuple[str, set[str]]]:
    """Yield functions, classes and constants of a module, with the names that each uses."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, _words(node)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from ((target.id, _words(node)) for target in targets if isinstance(target, ast.Name))


def _words(node: ast.AST) -> set[str]:
    named = {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
    return named | {one.attr for one in ast.walk(node) if isinstance(one, ast.Attribute)}


def _imports(tree: ast.Module, modules: Mapping[str, Mapping[str, object]]) -> Iterator[Name]:
    """Yield what a module takes from others; a package that loads its names later may have it from each of its modules."""
    packages: dict[str, list[str]] = defaultdict(list)
    for path in modules:
        packages[path.rpartition("/")[0]].append(path)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            folder = node.module.replace(".", "/")
            homes = [f"{folder}.py"] if f"{folder}.py" in modules else packages.get(folder, [])
            yield from ((home, one.name) for home in homes for one in node.names)
            # A module that is imported whole gives all its names.
            whole = [f"{folder}/{one.name}.py" for one in node.names]
        elif isinstance(node, ast.Import):
            whole = [f"{one.name.replace('.', '/')}.py" for one in node.names]
        else:
            continue
        yield from ((path, name) for path in whole for name in modules.get(path, ()))
