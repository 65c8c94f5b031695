"""Which tests execute which lines, and how long each takes: measured once, again only where files changed."""

from __future__ import annotations

import ast
import hashlib
import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from mutation.trial import EXAMPLES, examples, forked, run_tests

Seen = dict[str, Any]
FEW = 8
"""Examples of hypothesis while lines are measured, which takes several times as long as the tests themselves."""


class Contexts:
    """Names the running test to coverage, and times it."""

    def __init__(self, measured: Any) -> None:
        self._measured, self.seconds, self.failed = measured, defaultdict[str, float](float), set[str]()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Measure one test, its fixtures with it."""
        self._measured.switch_context(item.nodeid)
        began = time.perf_counter()
        try:
            return (yield)
        finally:
            # A trial draws more examples, where the test does not say how many itself.
            drawn = getattr(getattr(item, "obj", None), "_hypothesis_internal_use_settings", None)
            scaled = EXAMPLES / FEW if getattr(drawn, "max_examples", None) == FEW else 1
            self.seconds[item.nodeid] = (time.perf_counter() - began) * scaled
            self._measured.switch_context("")

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
    """

    def __init__(self, root: Path, kept: Path, modules: Sequence[str], tests: Sequence[str]) -> None:
        self._root, self._kept, self._modules = root, kept, modules
        self.paths = list(dict.fromkeys([*modules, *tests]))
        self.seen: dict[str, Seen] = {}

    def measure(self, seconds: float) -> list[str]:
        """Run the tests whose files or whose modules changed; return those that fail without any mutant."""
        self._kept.mkdir(parents=True, exist_ok=True)
        code = self._digest(self._modules)
        names = {path: self._kept / f"{code}-{self._digest([path])}.json" for path in self.paths}
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
        contexts = Contexts(measured)
        examples(FEW)
        measured.start()
        status = run_tests(paths, plugins=[contexts], first=False)
        measured.stop()
        if status not in (0, 1) or not contexts.seconds:
            raise RuntimeError(f"pytest ended with {status}; without any mutant tests must at least run")
        found: dict[str, Seen] = {path: {"seconds": {}, "failed": [], "lines": {}, "packages": []} for path in paths}
        for test, taken in contexts.seconds.items():
            of = found.setdefault(test.split("::")[0], {"seconds": {}, "failed": [], "lines": {}, "packages": []})
            if test in contexts.failed:
                of["failed"].append(test)
            else:
                of["seconds"][test] = round(taken, 4)
        data = measured.get_data()
        for file in data.measured_files():
            module = Path(file).relative_to(self._root).as_posix()
            for line, tests in data.contexts_by_lineno(file).items():
                for test in tests:
                    if test and test not in contexts.failed:
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
        """Return how long a test took."""
        return float(self.seen[test.split("::")[0]]["seconds"].get(test, 0.0))

    def tests(self, module: str, lines: tuple[int, int]) -> list[str]:
        """Return the tests that execute any of the lines within a test, quickest first.

        What runs at import (constants, defaults) is executed by whatever imports the module: the tests of any line of it then, or of
        the modules that import it.
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
        return sorted(found, key=lambda test: (self.seconds(test), test))

    def _at_import(self, module: str, lines: tuple[int, int]) -> bool:
        inside: set[int] = set()
        for node in ast.walk(ast.parse((self._root / module).read_bytes())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                inside.update(range(node.body[0].lineno, (node.end_lineno or node.lineno) + 1))
        return not inside.issuperset(range(lines[0], lines[1] + 1))

    def _importers(self, module: str) -> list[str]:
        name = module.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        return [other for other in self._modules if name in _imported((self._root / other).read_bytes())]


def _imported(source: bytes) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{one.name}" for one in node.names)}
        elif isinstance(node, ast.Import):
            found |= {one.name for one in node.names}
    return found
