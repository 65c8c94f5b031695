"""Draws mutants of floors, tries the tests on each, and says how many were noticed."""

from __future__ import annotations

import argparse
import contextlib
import functools
import gc
import importlib
import json
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from mutation.checkout import changed, copy
from mutation.coverage_map import CoverageMap
from mutation.elsewhere import Elsewhere
from mutation.equivalents import Equivalents
from mutation.mutants import Mutant, drawn, found_again
from mutation.near import NearTests
from mutation.results import Results, table
from mutation.swap import Imported
from mutation.trial import Chosen, Collected, forked, named, prepare, run_tests

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
START = 12.0
LONG = 1.0
"""Seconds of a test in a trial, above which it comes after the others in the trials that follow."""
BROKEN = {"no end", "the process died", "nothing could be collected"}
"""What stands in place of a test where none could fail."""
ELSEWHERE = "nor does a test of another floor"
"""Of a survivor: the tests of its own floor did not notice it."""
SESSION = 36000.0
"""Seconds that a floor's session may take: each of its children has a limit of its own."""

Run = Callable[[Mutant | None, Sequence[str]], tuple[bool, str] | None]
"""Runs tests with a mutant or without: whether one failed, and which; None where the mutant cannot be put in this way."""


def modules(root: Path, listed: Sequence[str], suffix: str = ".py") -> list[str]:
    """Return the Python files named, and those below the folders named."""
    files = [
        file
        for name in listed
        for file in ([root / name] if name.endswith(suffix) else (root / name).rglob(f"*{suffix}"))
    ]
    return sorted(file.relative_to(root).as_posix() for file in files)


class Trials:
    """Tries tests on mutants, and believes no test that fails without any.

    Args:
        root: A copy of the checkout.
        seen: Which tests execute which lines, or are near a module, or reach it from elsewhere.
        log: Gets what pytest prints.
        limit: Seconds of a processor that the tests of a mutant may take.
        start: Seconds that imports and collecting may take besides the tests.
    """

    def __init__(
        self, root: Path, seen: CoverageMap | NearTests | Elsewhere, log: Path, *, limit: float, start: float = START
    ) -> None:
        self._root, self._seen, self._log, self._limit, self._start = root, seen, log, limit, start
        self._sound: dict[str, bool] = {}
        self._took: dict[str, float] = {}

    def quickly(self, mutants: Sequence[tuple[Mutant, list[str]]], ended: Callable[[Mutant, str, str], None]) -> None:
        """Try what can be swapped in memory, with tests that are imported and collected once; leave out the rest.

        Args:
            mutants: Each with the names of tests, in the order in which they are tried; other cases of them follow.
            ended: Gets a mutant, its outcome and the test that failed, in another process than this one.
        """
        if not mutants:
            return
        wanted = [{*tests, *self._seen.related(mutant.path, mutant.lines)} for mutant, tests in mutants]
        files = sorted({test.split("::")[0] for tests in wanted for test in tests})

        def act(collected: Collected) -> None:
            paths = {mutant.path for mutant, _ in mutants}
            for path in paths:
                with contextlib.suppress(Exception):
                    importlib.import_module(path.removesuffix(".py").removesuffix("/__init__").replace("/", "."))
            imported = Imported(self._root, paths)
            gc.freeze()  # children copy no page only because the collector marks it
            for mutant, tests in mutants:
                run = functools.partial(self._swapped, collected, imported)
                functions = self._seen.related(mutant.path, mutant.lines)
                others = [one for one in collected.tests if one.split("[")[0] in functions and one not in tests]
                found = named(tests, collected.tests)
                found += within(sorted(others, key=self._seen.seconds), self._seen, self._limit)
                # What nobody measured before is learnt from trial to trial: a few long tests would use up the time of most.
                found.sort(key=lambda test: self._took.get(test, 0.0) > LONG)
                if found and (outcome := self._outcome(mutant, found, run)) is not None:
                    ended(mutant, *outcome)

        def whole() -> str:
            sys.dont_write_bytecode = True
            return str(run_tests(files, plugins=[Collected(act)], first=False))

        how, _ = forked(whole, root=self._root, log=self._log.with_suffix(".session.log"), seconds=SESSION)
        if how != "ended":
            print(f"the session of {len(files)} files {how}; its mutants are tried one by one", file=sys.stderr)

    def outcome(self, mutant: Mutant, tests: Sequence[str]) -> tuple[str, str]:
        """Return how tests take a mutant that is imported anew, and the test that failed."""
        found = self._outcome(mutant, tests, self._imported)
        assert found is not None  # only a swap can refuse
        return found

    def _outcome(self, mutant: Mutant, tests: Sequence[str], run: Run) -> tuple[str, str] | None:
        while tests := [test for test in tests if self._sound.get(test, True)]:
            with changed(self._root / mutant.path, mutant.source):
                answer = run(mutant, tests)
            if answer is None:
                return None
            noticed, by = answer
            if not noticed:
                break
            # A child may lack what a test needs: what fails without any mutant notices nothing.
            if by in self._sound:
                return "noticed", by
            if by in BROKEN:
                # Tests whose time nobody measured may need more than a trial has.
                alone = None if isinstance(self._seen, CoverageMap) else run(None, tests)
                believed = alone is None or alone[1] not in BROKEN
                return ("noticed", by) if believed else ("survived", f"{by}, as without it")
            alone = run(None, [by])
            self._sound[by] = alone is not None and not alone[0]
        return "survived", ""

    def _swapped(
        self, collected: Collected, imported: Imported, mutant: Mutant | None, tests: Sequence[str]
    ) -> tuple[bool, str] | None:
        def act() -> str:
            if mutant is not None and not imported.swap(mutant):
                return "null"
            return json.dumps([collected.run(tests, self._seen.seconds, 2 * self._limit), collected.took])

        seconds = self._start + 2 * self._limit + 3 * self._taken(tests)
        how, text = forked(act, root=self._root, log=self._log, seconds=seconds)
        if how != "ended":
            return True, "no end" if how == "endless" else "the process died"
        answer = json.loads(text)
        if answer is None:
            return None
        failed, took = answer
        self._took |= took
        return bool(failed), failed

    def _imported(self, mutant: Mutant | None, tests: Sequence[str]) -> tuple[bool, str]:
        unsound = {test for test, sound in self._sound.items() if not sound}
        chosen = Chosen(tests, self._start + 2 * self._limit, unsound)
        files = list(dict.fromkeys(test.split("::")[0] for test in tests))

        def act() -> str:
            sys.dont_write_bytecode = True
            return json.dumps([run_tests(files, plugins=[chosen], first=True), chosen.failed])

        seconds = 2 * self._start + 2 * self._limit + 1.5 * self._taken(tests)
        how, text = forked(act, root=self._root, log=self._log, seconds=seconds)
        if how != "ended":
            return True, "no end" if how == "endless" else "the process died"
        status, failed = json.loads(text)
        return status not in (0, 5), failed or "nothing could be collected"

    def _taken(self, tests: Sequence[str]) -> float:
        return sum(map(self._seen.seconds, tests))


def within(tests: Sequence[str], seen: CoverageMap | NearTests | Elsewhere, limit: float) -> list[str]:
    """Return the first tests that end within a limit together, in seconds; one that takes too long is passed over."""
    kept: list[str] = []
    taken = 0.0
    for test in tests:
        if not kept or taken + seen.seconds(test) <= limit:
            taken += seen.seconds(test)
            kept.append(test)
    return kept


def floor_trials(
    name: str, listed: dict[str, Any], asked: argparse.Namespace, results: Results
) -> list[dict[str, Any]]:
    """Try the mutants of a floor, keep a row of each as it ends, and return them."""
    root, kept = asked.copy.resolve() / "tree", asked.copy.resolve() / "seen"
    copy(asked.root, root)
    left_out = set(listed.get("left_out", ()))
    paths = [path for path in modules(root, listed["change"]) if path not in listed.get("unchanged", ())]
    tests = [
        path for path in modules(root, listed["tests"]) if Path(path).name.startswith("test_") and path not in left_out
    ]
    others = [path for path in modules(root, ["tests"]) if Path(path).name.startswith("test_") and path not in left_out]
    seen = (
        NearTests(root, paths, tests, others)
        if asked.near
        else CoverageMap(root, kept, paths, tests, listed.get("every", ()))
    )
    prepare(root, [])
    failing = seen.measure(asked.measuring)
    if failing:
        print(f"{name}: {len(failing)} tests are skipped or fail without any mutant", file=sys.stderr)
    prepare(root, seen.packages)
    mutants = list(
        found_again(root, results.survivors(name))
        if asked.again
        else drawn(root, paths, sample=asked.sample, seed=f"{asked.seed}/{name}")
    )
    equivalents, trials = (
        Equivalents.read(asked.equivalents),
        Trials(root, seen, asked.copy / "trial.log", limit=asked.limit),
    )
    began = time.perf_counter()

    def ended(mutant: Mutant, outcome: str, by: str) -> None:
        nonlocal began
        seconds, began = round(time.perf_counter() - began, 1), time.perf_counter()
        row = _row(name, asked.seed, mutant) | {"outcome": outcome, "by": by, "seconds": seconds}
        results.add(row)

    open_mutants: list[tuple[Mutant, list[str]]] = []
    for mutant in mutants:
        if not asked.again and results.known(_row(name, asked.seed, mutant)) is not None:
            continue
        reason = equivalents.reason(mutant.key)
        found = within(seen.tests(mutant.path, mutant.lines), seen, asked.limit)
        if reason is not None:
            ended(mutant, "equivalent", reason)
        else:
            open_mutants.append((mutant, found))
    swappable = [one for one in open_mutants if not seen.outside(one[0].path, one[0].lines)]
    before = results.count()
    trials.quickly(swappable, ended)
    tried = results.read_again(before)
    for mutant, found in open_mutants:
        if mutant.key not in tried:
            ended(mutant, *(trials.outcome(mutant, found) if found else ("survived", "no test executes it")))
    rows = [results.known(_row(name, asked.seed, mutant)) for mutant in mutants]
    survivors = [
        mutant
        for mutant, row in zip(mutants, rows, strict=True)
        if row is not None and row["outcome"] == "survived" and not row["by"].endswith(ELSEWHERE)
    ]
    if survivors and not asked.near:
        _try_elsewhere(survivors, [path for path in others if path not in tests], asked, results, ended)
        rows = [results.known(_row(name, asked.seed, mutant)) for mutant in mutants]
    return [row for row in rows if row is not None]


def _try_elsewhere(
    mutants: Sequence[Mutant],
    tests: Sequence[str],
    asked: argparse.Namespace,
    results: Results,
    ended: Callable[[Mutant, str, str], None],
) -> None:
    """Try tests of other floors on what those of its own did not notice."""
    root = asked.copy.resolve() / "tree"
    seen = Elsewhere(root, modules(root, ["rscovlm"]), tests)
    # The nearest files come first: what they do not notice in this time, those after them hardly will.
    trials = Trials(root, seen, asked.copy / "trial.log", limit=asked.limit / 2)

    def seen_elsewhere(mutant: Mutant, outcome: str, by: str) -> None:
        ended(mutant, outcome, by if outcome == "noticed" else ELSEWHERE)

    found = {mutant.key: seen.files(mutant.path, mutant.where) for mutant in mutants}
    before = results.count()
    trials.quickly([(mutant, found[mutant.key]) for mutant in mutants if found[mutant.key]], seen_elsewhere)
    tried = results.read_again(before)
    for mutant in mutants:
        if mutant.key not in tried:
            files = found[mutant.key]
            seen_elsewhere(mutant, *(trials.outcome(mutant, files) if files else ("survived", "")))


def _row(floor: str, seed: str, mutant: Mutant) -> dict[str, Any]:
    path, where, was, now = mutant.key
    line = mutant.lines[0]
    return {"floor": floor, "seed": seed, "path": path, "where": where, "was": was, "now": now, "line": line}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print a line a survivor and a table a floor, and return the exit status."""
    floors = yaml.safe_load((HERE / "floors.yaml").read_text(encoding="utf-8"))
    parser = argparse.ArgumentParser(prog=".ci/mutants", description=__doc__)
    parser.add_argument("--floor", action="append", choices=sorted(floors), help="a floor; by default all")
    parser.add_argument("--sample", type=int, default=40, help="mutants a floor")
    parser.add_argument("--seed", default="1", help="what the draw depends on")
    parser.add_argument("--limit", type=float, default=15, help="seconds of tests a mutant, as measured unchanged")
    parser.add_argument(
        "--near", action="store_true", help="choose tests by the names they use, and measure no coverage: a first look"
    )
    parser.add_argument(
        "--measuring", type=float, default=1800, help="seconds that measuring a floor's coverage may take"
    )
    parser.add_argument("--least", type=float, default=95, help="per cent that must be noticed on every floor")
    parser.add_argument(
        "--out", type=Path, default=Path("mutants.jsonl"), help="a line a mutant; those it has are not tried again"
    )
    parser.add_argument("--again", action="store_true", help="try again what survived, instead of a draw")
    parser.add_argument(
        "--copy", type=Path, default=Path(tempfile.gettempdir()) / "rscovlm-mutants", help="working folder"
    )
    parser.add_argument("--root", type=Path, default=ROOT, help=argparse.SUPPRESS)
    parser.add_argument("--equivalents", type=Path, default=HERE / "equivalents.yaml", help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the child in progress ends too
    results, rows = Results(asked.out), []
    for name in asked.floor or floors:
        found = floor_trials(name, floors[name], asked, results)
        rows += found
        for row in found:
            if row["outcome"] == "survived":
                where = f"{row['path']}:{row['line']} {row['where']}"
                print(f"{where}\n  was {row['was']}\n  now {row['now']}\n  {row['by']}", flush=True)
    lines, good = table(rows, asked.least)
    print("\n".join(lines))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
