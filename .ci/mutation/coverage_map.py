"""Which tests execute which lines, and how long each takes: measured once, again only where files changed."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import signal
import sys
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from mutation.trial import EXAMPLES, examples, forked, run_tests

Seen = dict[str, Any]
VERSION = 2
"""Of what is kept; an older map is measured again."""
FIXTURE = "fixture "
"""How the context of a fixture begins that several tests share."""
CASES = 3
"""Cases of one parametrized test that are measured, and so tried: the first, the last, and one between."""
FEW = 4
"""Examples of hypothesis while lines are measured, which takes several times as long as the tests themselves."""
LONGEST = 5.0
"""Seconds of a processor after which a test is given up while lines are measured, with its other cases: no mutant could afford it."""


class TooLongError(BaseException):
    """A test takes longer than a trial may."""


def _spent() -> float:
    """Return seconds of processors, those of ended children with them: a busy machine changes them little."""
    return sum(os.times()[:4])


class Contexts:
    """Names the running test to coverage, and times it; a fixture that several tests share counts for each of them.

    Args:
        measured: What coverage measures with.
        every: Files of which every case is measured: their cases do not resemble each other.
    """

    def __init__(self, measured: Any, every: Collection[str] = ()) -> None:
        self._every = every
        self._measured, self.seconds, self.failed = measured, defaultdict[str, float](float), set[str]()
        self._context = ""
        self._users = defaultdict[str, set[str]](set)
        self._given_up = set[str]()

    def tests(self, context: str) -> set[str]:
        """Return the tests of a context: itself, or those that use a fixture."""
        return self._users[context] if context.startswith(FIXTURE) else {context}

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any, request: Any) -> Iterator[Any]:
        """Measure a fixture that outlives its test by itself."""
        if fixturedef.scope == "function":
            return (yield)
        before, self._context = self._context, _fixture(fixturedef)
        self._measured.switch_context(self._context)
        try:
            return (yield)
        finally:
            self._context = before
            self._measured.switch_context(before)

    def give_up(self, *_: object) -> None:
        """End the running test, and run no other case of its function."""
        self._given_up.add(self._context.split("[")[0])
        raise TooLongError(f"more than {LONGEST} s")

    @pytest.hookimpl(tryfirst=True, specname="pytest_runtest_protocol")
    def pass_over(self, item: pytest.Item) -> bool | None:
        """Pass over the cases of a function that was given up."""
        return True if item.nodeid.split("[")[0] in self._given_up else None

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Measure one test, its fixtures with it."""
        for definitions in getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {}).values():
            self._users[_fixture(definitions[-1])].add(item.nodeid)
        self._context = item.nodeid
        self._measured.switch_context(item.nodeid)
        began = _spent()
        signal.setitimer(signal.ITIMER_PROF, LONGEST)
        try:
            return (yield)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            # A trial draws more examples, where the test does not say how many itself.
            drawn = getattr(getattr(item, "obj", None), "_hypothesis_internal_use_settings", None)
            scaled = EXAMPLES / FEW if getattr(drawn, "max_examples", None) == FEW else 1
            self.seconds[item.nodeid] = (_spent() - began) * scaled
            self._context = ""
            self._measured.switch_context("")

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keep a few cases of each test."""
        cases: dict[str, list[pytest.Item]] = defaultdict(list)
        for item in items:
            cases[item.nodeid.split("[")[0]].append(item)
        kept = {
            id(some[round(place * (len(some) - 1) / (CASES - 1))])
            for some in cases.values()
            for place in range(min(CASES, len(some)))
        }
        items[:] = [item for item in items if id(item) in kept or item.nodeid.split("::")[0] in self._every]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Leave out what fails or is skipped unchanged."""
        if report.failed or report.skipped:
            self.failed.add(report.nodeid)


class CoverageMap:
    """Tests by the lines they execute.

    Args:
        root: The copy of the checkout.
        kept: Folder of what was measured.
        modules: Modules whose lines count, from the root.
        tests: Files of tests, and modules with doctests, from the root.
        every: Those of which every case is measured, instead of a few of each test.
    """

    def __init__(
        self, root: Path, kept: Path, modules: Sequence[str], tests: Sequence[str], every: Collection[str] = ()
    ) -> None:
        self._root, self._kept, self._modules, self._every = root, kept, modules, frozenset(every)
        self.paths = list(dict.fromkeys([*modules, *tests]))
        self.seen: dict[str, Seen] = {}

    def measure(self, seconds: float) -> list[str]:
        """Run the tests whose files or whose modules changed; return those that fail without any mutant."""
        self._kept.mkdir(parents=True, exist_ok=True)
        code = hashlib.sha256(f"{VERSION}/{FEW}/{CASES}/{LONGEST}/{self._digest(self._modules)}".encode()).hexdigest()[
            :16
        ]
        names = {
            path: self._kept / f"{code}-{self._digest([path])}{'-every' if path in self._every else ''}.json"
            for path in self.paths
        }
        stale = [path for path, file in names.items() if not file.exists()]
        if stale:
            ended, text = forked(
                lambda: json.dumps(self._measured(stale)),
                root=self._root,
                log=self._kept / "measuring.log",
                seconds=seconds,
            )
            if ended != "ended":
                raise SystemExit(f"measuring coverage {ended}; see {self._kept / 'measuring.log'}")
            for path, seen in json.loads(text).items():
                names[path].write_text(json.dumps(seen), encoding="utf-8")
        self.seen = {path: json.loads(file.read_text(encoding="utf-8")) for path, file in names.items()}
        return sorted(test for seen in self.seen.values() for test in seen["failed"])

    def _digest(self, paths: Iterable[str]) -> str:
        whole = b"\0".join(path.encode() + (self._root / path).read_bytes() for path in sorted(paths))
        return hashlib.sha256(whole).hexdigest()[:16]

    def _measured(self, paths: Sequence[str]) -> dict[str, Seen]:
        import coverage  # type: ignore[import-not-found, unused-ignore]

        measured = coverage.Coverage(data_file=None, include=[str(self._root / path) for path in self._modules])
        contexts = Contexts(measured, self._every)
        examples(FEW)
        signal.signal(signal.SIGPROF, contexts.give_up)
        measured.start()
        status = run_tests(paths, plugins=[contexts], first=False)
        measured.stop()
        if status not in (0, 1) or not contexts.seconds:
            raise RuntimeError(f"pytest ended with {status}; without any mutant tests must at least run")
        found: dict[str, Seen] = {path: _nothing() for path in paths}
        for test, taken in contexts.seconds.items():
            of = found.setdefault(test.split("::")[0], _nothing())
            if test in contexts.failed:
                of["failed"].append(test)
            else:
                of["seconds"][test] = round(taken, 4)
        data = measured.get_data()
        for file in data.measured_files():
            module = Path(file).relative_to(self._root).as_posix()
            for line, tests in data.contexts_by_lineno(file).items():
                if "" in tests:
                    found[paths[0]]["outside"].setdefault(module, []).append(line)
                for test in {test for context in tests if context for test in contexts.tests(context)}:
                    if test not in contexts.failed:
                        lines = found[test.split("::")[0]]["lines"].setdefault(module, {})
                        lines.setdefault(test, []).append(line)
        others = sorted(name for name in sys.modules if name.split(".")[0] not in {"rscovlm", "tests", "mutation"})
        found[paths[0]]["packages"] = others
        return found

    @property
    def packages(self) -> list[str]:
        """Modules of others that the tests imported."""
        return sorted({name for seen in self.seen.values() for name in seen["packages"]})

    def seconds(self, test: str) -> float:
        """Return how long a test took; of a case that was not measured, the longest of its function that was."""
        known = self.seen[test.split("::")[0]]["seconds"]
        if test in known:
            return float(known[test])
        function = test.split("[")[0]
        return max((float(taken) for name, taken in known.items() if name.split("[")[0] == function), default=0.0)

    def related(self, module: str, lines: tuple[int, int]) -> set[str]:
        """Return the test functions of which a measured case executes the function that holds some lines.

        Another of its cases may execute the lines themselves.
        """
        spans = [
            (node.body[0].lineno, node.end_lineno or node.lineno)
            for node in ast.walk(ast.parse((self._root / module).read_bytes()))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        ]
        around = [span for span in spans if span[0] <= lines[0] and lines[1] <= span[1]]
        return {test.split("[")[0] for test in self.tests(module, max(around, default=lines))}

    def outside(self, module: str, lines: tuple[int, int]) -> bool:
        """Tell whether any of the lines runs outside tests, as what a module computes when it is imported."""
        return any(
            lines[0] <= line <= lines[1] for seen in self.seen.values() for line in seen["outside"].get(module, ())
        )

    def tests(self, module: str, lines: tuple[int, int]) -> list[str]:
        """Return the tests that execute any of the lines within a test: the quickest of each function, then their second quickest.

        Cases of one function resemble each other, so other functions are tried before its other cases.

        What runs at import (constants, defaults) is executed by whatever imports the module: the tests of any line of it then, or of
        the modules that import it, and those in files that import it.
        """
        wanted = set(range(lines[0], lines[1] + 1))
        by_test: dict[str, set[int]] = {}
        for seen in self.seen.values():
            for test, executed in seen["lines"].get(module, {}).items():
                by_test.setdefault(test, set()).update(executed)
        found = {test for test, executed in by_test.items() if executed & wanted}
        if self._at_import(module, lines):
            found = set(by_test) | {
                test
                for seen in self.seen.values()
                for other in self._importers(module)
                for test in seen["lines"].get(other, {})
            }
            # A test that only reads a constant executes no line of the module.
            readers = self._importing(module, self.seen)
            found |= {test for path in readers for test in self.seen[path]["seconds"]}
        by_function: dict[str, list[str]] = defaultdict(list)
        for test in sorted(found, key=lambda test: (self.seconds(test), test)):
            by_function[test.split("[")[0]].append(test)
        rank = {test: place for tests in by_function.values() for place, test in enumerate(tests)}
        return sorted(found, key=lambda test: (rank[test], self.seconds(test), test))

    def _at_import(self, module: str, lines: tuple[int, int]) -> bool:
        inside: set[int] = set()
        for node in ast.walk(ast.parse((self._root / module).read_bytes())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                inside.update(range(node.body[0].lineno, (node.end_lineno or node.lineno) + 1))
        return not inside.issuperset(range(lines[0], lines[1] + 1))

    def _importers(self, module: str) -> list[str]:
        return self._importing(module, self._modules)

    def _importing(self, module: str, paths: Iterable[str]) -> list[str]:
        name = module.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        return [other for other in paths if name in _imported((self._root / other).read_bytes())]


def _fixture(definition: Any) -> str:
    return f"{FIXTURE}{definition.baseid}::{definition.argname}"


def _nothing() -> Seen:
    return {"seconds": {}, "failed": [], "lines": {}, "outside": {}, "packages": []}


def _imported(source: bytes) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{one.name}" for one in node.names)}
        elif isinstance(node, ast.Import):
            found |= {one.name for one in node.names}
    return found
