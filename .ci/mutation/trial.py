"""Runs tests in a forked child: what the parent has imported costs nothing, and nothing of a mutant outlives its child."""

from __future__ import annotations

import contextlib
import importlib
import os
import resource
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

MEMORY = 10 << 30
"""Address space of a child, in bytes: a mutant may ask for all there is."""
EXAMPLES = 40
SLACK = 5.0
"""Seconds that any test may take besides what it took unchanged: a fixture that others had set up, for one."""
OPTIONS = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-o", "addopts=", "--tb=line", "--no-header"]
COLLECTED = ["--doctest-modules", "--doctest-ignore-import-errors", "--continue-on-collection-errors"]


def examples(most: int) -> None:
    """Let hypothesis try so many examples where a test does not say; fewer can only hide what would be noticed.

    They are the same for every mutant, and neither kept nor shrunk, which would take longer than the test.
    """
    import hypothesis

    phases = [hypothesis.Phase.explicit, hypothesis.Phase.generate]
    # The tests' own profile inherits what it does not set.
    hypothesis.settings.register_profile("mutants", database=None, derandomize=True, max_examples=most, phases=phases)
    hypothesis.settings.load_profile("mutants")


def prepare(root: Path, packages: Iterable[str]) -> None:
    """Import what tests need but a mutant cannot change, once for all children.

    Args:
        root: The checkout that children run in.
        packages: Modules of others; one that cannot be imported by itself is left to the tests.
    """
    examples(EXAMPLES)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in packages:
            with contextlib.suppress(Exception):
                importlib.import_module(name)
    for name in [name for name in sys.modules if name.split(".")[0] in {"rscovlm", "tests"}]:
        del sys.modules[name]
    sys.path.insert(0, str(root))
    os.environ["PYTHONPATH"] = str(root)
    os.environ.pop("CI", None)


class Chosen:
    """Runs the tests named, in their order, and writes down the first that fails.

    Args:
        tests: Names of tests, or of files for all of theirs; all where empty.
        limit: Seconds of a processor after which no further test begins.
        left_out: Names of tests that are not run.
    """

    def __init__(self, tests: Sequence[str], limit: float, left_out: Collection[str] = ()) -> None:
        self._tests, self._limit, self._left_out = tests, limit, left_out
        self.failed = ""

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keep what was chosen."""
        if self._tests:
            known = {item.nodeid: item for item in items}
            items[:] = [known[name] for name in named(self._tests, list(known)) if name not in self._left_out]

    def pytest_runtest_logfinish(self) -> None:
        """Stop where the time is spent."""
        if spent() > self._limit:
            raise pytest.exit.Exception("the time of the trial is spent", 0)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a failure."""
        if report.failed and not self.failed:
            self.failed = report.nodeid


def spent() -> float:
    """Return the seconds of a processor that this process took."""
    return sum(resource.getrusage(resource.RUSAGE_SELF)[:2])


def named(names: Sequence[str], tests: Sequence[str]) -> list[str]:
    """Return the tests of some names, in the order of the names.

    A file stands for its tests: a case of each function first, since cases of one function resemble each other.

    Args:
        names: Tests and files.
        tests: All that were collected.
    """
    by_file: dict[str, list[str]] = {}
    cases: dict[str, int] = {}
    later: set[str] = set()
    for test in tests:
        function = test.split("[")[0]
        cases[function] = cases.get(function, 0) + 1
        later |= {test} if cases[function] > 1 else set()
        by_file.setdefault(test.split("::")[0], []).append(test)
    known = set(tests)
    found = [one for name in names for one in ([name] if name in known else by_file.get(name, []))]
    whole = {name for name in names if name not in known}
    last = [one for one in found if one in later and one.split("::")[0] in whole]
    return [*(one for one in found if one not in set(last)), *last]


def forked(act: Callable[[], str], *, root: Path, log: Path, seconds: float) -> tuple[str, str]:
    """Return how a child ended, and its text.

    Args:
        act: What the child does; it returns the text.
        root: The folder it runs in.
        log: Gets what it prints.
        seconds: Processor time it may take. It is stopped after ten times as long by the clock, with all it started.

    Returns:
        ``"ended"``, ``"broke"`` or ``"endless"``; and the text, empty unless it ended.
    """
    answer = log.with_suffix(".answer")
    answer.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        _child(act, answer, root, log, seconds)
    last = time.monotonic() + 10 * seconds
    try:
        while (ended := os.waitpid(child, os.WNOHANG))[0] == 0 and time.monotonic() < last:
            time.sleep(0.02)
    finally:  # what it started may outlive it, and it may outlive us
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child, signal.SIGKILL)
    late = ended[0] == 0
    status = os.waitpid(child, 0)[1] if late else ended[1]
    if late or (os.WIFSIGNALED(status) and os.WTERMSIG(status) in {signal.SIGXCPU, signal.SIGKILL}):
        return "endless", ""
    return ("ended", answer.read_text(encoding="utf-8")) if status == 0 else ("broke", "")


def _child(act: Callable[[], str], answer: Path, root: Path, log: Path, seconds: float) -> None:
    code = 1
    try:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 5))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        output = os.open(log, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.chdir(root)
        answer.write_text(act(), encoding="utf-8")
        code = 0
    finally:
        if code:
            traceback.print_exc()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        os._exit(code)


class Collected:
    """Tests that were collected once, to be run many times, each time in a child of its own.

    Args:
        act: What is done with them, in place of running them all.

    Attributes:
        took: Seconds of a processor that each test took which ran in this process.
    """

    def __init__(self, act: Callable[[Collected], None]) -> None:
        self._act = act
        self._items: dict[str, pytest.Item] = {}
        self._failed = ""
        self.took: dict[str, float] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run what is wanted, and nothing else."""
        self._items = {item.nodeid: item for item in session.items}
        self._act(self)
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a failure."""
        if report.failed and not self._failed:
            self._failed = report.nodeid

    @property
    def tests(self) -> list[str]:
        """Names of what was collected."""
        return list(self._items)

    def run(self, tests: Sequence[str], seconds: Callable[[str], float], limit: float) -> str:
        """Run some tests in their order, in a child, and return the name of the first that fails, or nothing.

        Args:
            tests: Names of tests.
            seconds: Processor time that a test takes; three times as much and some more ends the process.
            limit: Seconds of a processor after which no further test begins.
        """
        items = [self._items[test] for test in tests]
        for place, item in enumerate(items):
            used = spent()
            if used > limit:
                break
            most = resource.getrlimit(resource.RLIMIT_CPU)[1]
            allowed = min(int(used + SLACK + 3 * seconds(item.nodeid)) + 1, most)
            resource.setrlimit(resource.RLIMIT_CPU, (allowed, most))
            following = items[place + 1] if place + 1 < len(items) else None
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            self.took[item.nodeid] = spent() - used
            if self._failed:
                return self._failed
        return ""


def run_tests(paths: Sequence[str], *, plugins: Sequence[Any], first: bool) -> int:
    """Run pytest here, in a child, and return its exit status."""
    arguments = [*OPTIONS, *COLLECTED, *(["-x"] if first else []), *paths]
    return int(pytest.main(arguments, plugins=list(plugins)))
