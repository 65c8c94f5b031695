"""What all tests share: settings, pictures that take seconds to make, and a list of the skips that CI lets pass."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import settings

from tests.evidence import write_photograph, write_world

# Examples are drawn with no limit on the time of each, which would measure the machine.
settings.register_profile("any-machine", deadline=None)
settings.load_profile("any-machine")

# No test leaves anything in the folder of whoever runs it.
os.environ["RSCOVLM_CACHE"] = ""

SKIPS = Path(__file__).with_name("skips.txt")
PACKAGE = Path(__file__).resolve().parents[1] / "rscovlm"


@pytest.fixture(scope="session")
def photograph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A JPEG of 4592 x 3072."""
    return write_photograph(tmp_path_factory.mktemp("photograph") / "drone.jpg")


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GeoTIFF of 36,000 x 18,000 with overviews."""
    return write_world(tmp_path_factory.mktemp("world") / "world.tif")


class Skips:
    """Fails a run in CI for each skip whose reason is not listed."""

    def __init__(self, listed: Path) -> None:
        lines = listed.read_text(encoding="utf-8").splitlines()
        self._listed = [re.compile(line) for line in lines if line.strip() and not line.startswith("#")]
        self.unlisted: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._note(report)

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        # What is expected to fail is reported as skipped too.
        if not report.skipped or hasattr(report, "wasxfail") or not isinstance(report.longrepr, tuple):
            return
        reason = str(report.longrepr[2]).removeprefix("Skipped: ")
        if not any(pattern.match(reason) for pattern in self._listed):
            self.unlisted[report.nodeid] = reason

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.unlisted and session.exitstatus == 0:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for test, reason in self.unlisted.items():
            terminalreporter.write_line(f"{test} was skipped ({reason}), which {SKIPS.name} does not list", red=True)


class Unchanged:
    """Fails a run after which the data of the package are not what they were: tests and scripts write elsewhere."""

    def __init__(self, package: Path) -> None:
        self._package = package
        self._before = self._seen()
        self.changed: list[str] = []

    def _seen(self) -> dict[str, tuple[int, int]]:
        files = (path for path in self._package.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
        # Somebody may edit a module while tests run.
        return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in files if path.suffix != ".py"}

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        after = self._seen()
        self.changed = sorted(name for name in {*self._before, *after} if self._before.get(name) != after.get(name))
        if self.changed and session.exitstatus == 0:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for name in self.changed:
            terminalreporter.write_line(f"{name} was changed by this run; write elsewhere", red=True)


def pytest_configure(config: pytest.Config) -> None:
    """Watch the package, and hold skips against the list where tests run in CI."""
    if hasattr(config, "workerinput"):
        return
    config.pluginmanager.register(Unchanged(PACKAGE), "unchanged-package")
    if os.environ.get("CI") == "true":
        config.pluginmanager.register(Skips(SKIPS), "listed-skips")
