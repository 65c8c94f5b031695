"""The mutants of a module, each with a key that outlives changes elsewhere in the file."""

from __future__ import annotations

import ast
import itertools
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mutation.changes import CHANGES

QUIET = {"warn", "debug", "info", "warning", "error", "exception", "cast", "TypeVar", "NewType", "field", "deprecated"}
"""Calls whose words and settings are no behaviour that a test should hold; `field` is a dataclass's."""

CARDS = {"MetricSpace"}
"""Calls that take the sentences of a card, which are for people as the words of an error are."""


@dataclass(frozen=True)
class Mutant:
    """One change to one module.

    Attributes:
        path: The module, from the root of the checkout.
        where: The function or class that holds the change, or ``<module>``.
        was: The lines before, blanks collapsed.
        now: The lines after.
        lines: First and last line that the change touches, from 1.
        source: The changed module.
    """

    path: str
    where: str
    was: str
    now: str
    lines: tuple[int, int]
    source: str

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What names the change, without line numbers."""
        return self.path, self.where, self.was, self.now


class _Places(ast.NodeVisitor):
    """Collects the nodes that may change, with the qualified name of what holds them."""

    def __init__(self) -> None:
        self.found: list[tuple[str, ast.AST]] = []
        self._names: list[str] = []
        self._messages = 0

    def visit(self, node: ast.AST) -> None:
        if type(node) in CHANGES and not (self._messages and isinstance(node, ast.Constant)):
            self.found.append((".".join(self._names) or "<module>", node))
        super().visit(node)

    def _all(self, nodes: Iterable[ast.AST | None]) -> None:
        for node in nodes:
            if node is not None:
                self.visit(node)

    def _held(self, node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._names.append(node.name)
        # A docstring is no behaviour; decorators and annotations are not looked at.
        documented = ast.get_docstring(node, clean=False) is not None
        self._all(node.body[1:] if documented else node.body)
        self._names.pop()

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._held(node)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._all([*node.args.defaults, *node.args.kw_defaults])
        self._held(node)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self._all([node.value])

    def visit_Assign(self, node: ast.Assign) -> None:
        if not any(isinstance(target, ast.Name) and target.id.startswith("__") for target in node.targets):
            self.generic_visit(node)

    def visit_If(self, node: ast.If) -> None:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            self.found.pop()
        else:
            self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if not (isinstance(node.value, ast.Name) and node.value.id == "Literal"):
            self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        # Python 3.11 places what is inside an f-string wrongly.
        return

    def visit_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):
            self.generic_visit(node)
        else:
            self.found.pop()

    def visit_Compare(self, node: ast.Compare) -> None:
        self.visit(node.left)
        for operator, right in zip(node.ops, node.comparators, strict=True):
            # Members in another order are the same members.
            named = isinstance(operator, ast.In | ast.NotIn) and isinstance(right, ast.Tuple | ast.List)
            self._all(right.elts if named else [right])

    def visit_Call(self, node: ast.Call) -> None:
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if called in QUIET:
            self.found.pop()
            return
        if called in CARDS:
            for value in (*node.args, *(keyword.value for keyword in node.keywords)):
                if not (isinstance(value, ast.Constant) and " " in str(value.value)):
                    self.visit(value)
            return
        if called == "isinstance":  # types in another order are the same types
            self.found.pop()
            self.visit(node.args[0])
            return
        if called == "zip":  # lengths that differ are a mistake in the code, which no input causes
            node.keywords = [keyword for keyword in node.keywords if keyword.arg != "strict"]
        self.generic_visit(node)

    def visit_keyword(self, node: ast.keyword) -> None:
        if node.arg == "axis" and isinstance(node.value, ast.Tuple):  # axes in another order are the same axes
            self._all(node.value.elts)
        else:
            self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> None:
        # That it raises is behaviour; its words are for people.
        return


class Module:
    """The text of a module, and the places of it that can change.

    Args:
        path: The module, from the root of the checkout.
        source: Its text.
    """

    def __init__(self, path: str, source: str) -> None:
        tree = ast.parse(source)
        # Before the places are collected, which takes away what is not to change.
        self._before, self._text = ast.dump(tree), source.encode()
        places = _Places()
        places.visit(tree)
        self.path, self.places = path, places.found
        self._starts = [0]
        for line in self._text.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    def mutants(self, where: str, place: ast.AST) -> list[Mutant]:
        """Return the changes that a place can take and that are not what stands there."""
        made = (self._mutant(where, node, text) for node, text in CHANGES[type(place)](place))
        return [mutant for mutant in made if self._differs(mutant.source)]

    def _mutant(self, where: str, node: Any, text: str) -> Mutant:
        above, below = self._starts[node.lineno - 1], self._starts[node.end_lineno]
        begin, end = above + node.col_offset, self._starts[node.end_lineno - 1] + node.end_col_offset
        now = self._text[above:begin] + text.encode() + self._text[end:below]
        whole = self._text[:above] + now + self._text[below:]
        lines = (node.lineno, node.end_lineno)
        return Mutant(self.path, where, _squeezed(self._text[above:below]), _squeezed(now), lines, whole.decode())

    def _differs(self, source: str) -> bool:
        try:
            return ast.dump(ast.parse(source)) != self._before
        except SyntaxError:
            return False


def _squeezed(lines: bytes) -> str:
    return " ".join(lines.decode().split())


def drawn(root: Path, paths: Iterable[str], *, sample: int, seed: str) -> Iterator[Mutant]:
    """Draw places at random, and one change of each.

    Args:
        root: The checkout.
        paths: Modules, from the root.
        sample: How many; fewer where there are not as many places.
        seed: What the draw depends on, besides the modules.
    """
    modules = [Module(path, (root / path).read_text(encoding="utf-8")) for path in sorted(paths)]
    places = [(module, where, place) for module in modules for where, place in module.places]
    draw = random.Random(seed)
    draw.shuffle(places)
    mutants = (module.mutants(where, place) for module, where, place in places)
    return itertools.islice((draw.choice(choices) for choices in mutants if choices), sample)


def found_again(root: Path, keys: Iterable[tuple[str, str, str, str]]) -> Iterator[Mutant]:
    """Find mutants by their keys; those whose lines were changed since are gone.

    Args:
        root: The checkout.
        keys: What `Mutant.key` gave.
    """
    wanted = set(keys)
    for path in sorted({path for path, *_ in wanted}):
        if (root / path).exists():
            module = Module(path, (root / path).read_text(encoding="utf-8"))
            functions = {where for one, where, *_ in wanted if one == path}
            for where, place in module.places:
                for mutant in module.mutants(where, place) if where in functions else ():
                    if mutant.key in wanted:
                        wanted.remove(mutant.key)
                        yield mutant
