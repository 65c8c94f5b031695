"""Which tests are near a module, told from the names they use: no coverage is measured, which takes longer than the trials."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from pathlib import Path

MOST = 5
"""Files of tests for a module at most, the nearest first."""


class NearTests:
    """Files of tests by module, in place of a `CoverageMap`: a name stands for all tests of its file.

    Args:
        root: The checkout.
        modules: Modules that change, from the root.
        tests: Files of tests of the floor, which are preferred.
        others: Files of all other tests.
    """

    packages: tuple[str, ...] = ()

    def __init__(self, root: Path, modules: Sequence[str], tests: Sequence[str], others: Sequence[str]) -> None:
        self._root, self._modules, self._home = root, modules, set(tests)
        self._found: dict[tuple[str, int], list[str]] = {}
        self._texts = {path: (root / path).read_text(encoding="utf-8") for path in dict.fromkeys([*tests, *others])}
        # What no near test notices may be noticed through another module, as far as the limit of a trial allows.
        self._others = sorted(tests, key=lambda path: len(self._texts[path]))

    def measure(self, seconds: float) -> list[str]:
        """Measure nothing."""
        return []

    def tests(self, module: str, lines: tuple[int, int]) -> list[str]:
        """Return the module, for its doctests, the files nearest to it, and the others of its floor, short ones first."""
        near = self._files(module, 0)
        return [module, *near, *(path for path in self._others if path not in near)]

    def related(self, module: str, lines: tuple[int, int]) -> set[str]:
        """Return nothing: every case of a file is tried anyway."""
        return set()

    def outside(self, module: str, lines: tuple[int, int]) -> bool:
        """Take it that functions run in tests only."""
        return False

    def seconds(self, test: str) -> float:
        """Return nothing for a file, whose trial has a limit of its own, and for a test as long as an ordinary one may take."""
        return 5.0 if "::" in test else 0.0

    def _files(self, module: str, depth: int) -> list[str]:
        if (module, depth) not in self._found:
            self._found[module, depth] = self._nearest(module, depth)
        return self._found[module, depth]

    def _nearest(self, module: str, depth: int) -> list[str]:
        names = [re.compile(rf"\b{name}\b") for name in self._public(module)]
        weights = {path: self._weight(path, module, names) for path in self._texts}
        best = sorted((path for path in weights if weights[path]), key=lambda path: (-weights[path], path))[:MOST]
        if depth < 2 and (not best or weights[best[0]] < 5):  # nobody names it: those who test what uses it
            name = _dotted(module)
            users = [one for one in self._modules if one != module and name in self._source(one)]
            best += [file for user in users[:4] for file in self._files(user, depth + 1)[:2]]
        return list(dict.fromkeys(best))[:MOST]

    def _weight(self, path: str, module: str, names: Sequence[re.Pattern[str]]) -> int:
        text, stem = self._texts[path], Path(module).stem
        named = sum(bool(name.search(text)) for name in names)
        weight = 8 * (Path(path).stem == f"test_{stem}") + 5 * (_dotted(module) in text) + 2 * named
        return weight + 3 if weight and path in self._home else weight

    def _public(self, module: str) -> list[str]:
        found = ast.parse(self._source(module)).body
        names = [node.name for node in found if isinstance(node, ast.FunctionDef | ast.ClassDef)]
        return [name for name in names if not name.startswith("_")][:12]

    def _source(self, module: str) -> str:
        return (self._root / module).read_text(encoding="utf-8")


def _dotted(module: str) -> str:
    return module.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
