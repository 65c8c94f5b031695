"""Draws mutants of floors, tries the tests on each, and says how many were noticed."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from mutation.checkout import changed, copy
from mutation.coverage_map import CoverageMap
from mutation.equivalents import Equivalents
from mutation.mutants import Mutant, drawn, found_again
from mutation.results import Results, table
from mutation.trial import Chosen, forked, prepare, run_tests

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
START = 8.0
"""Seconds that imports and collecting may take besides the tests."""


def modules(root: Path, listed: Sequence[str], suffix: str = ".py") -> list[str]:
    """Return the Python files named, and those below the folders named."""
    files = [
        file
        for name in listed
        for file in ([root / name] if name.endswith(suffix) else (root / name).rglob(f"*{suffix}"))
    ]
    return sorted(file.relative_to(root).as_posix() for file in files)


class Trials:
    """Runs tests on mutants, and believes no test that fails in a child without any.

    Args:
        root: A copy of the checkout.
        log: Gets what pytest prints.
        start: Seconds that imports and collecting may take.
    """

    def __init__(self, root: Path, log: Path, *, start: float = START) -> None:
        self._root, self._log, self._start = root, log, start
        self._sound: dict[str, bool] = {}

    def outcome(self, mutant: Mutant, tests: Sequence[str], *, expected: float) -> tuple[str, str]:
        """Return how tests take a mutant, and the test that failed.

        Args:
            mutant: What is put in place of its module.
            tests: Names of tests, in the order in which they are tried.
            expected: Seconds that the tests take unchanged, as measured with their coverage, which takes longer.
        """
        while tests := [test for test in tests if self._sound.get(test, True)]:
            with changed(self._root / mutant.path, mutant.source):
                noticed, by = self._run(tests, expected)
            if not noticed:
                break
            # A child may lack what a test needs: what fails without any mutant notices nothing.
            if by in self._sound or by not in tests:
                return "noticed", by
            self._sound[by] = not self._run([by], expected)[0]
        return "survived", ""

    def _run(self, tests: Sequence[str], expected: float) -> tuple[bool, str]:
        chosen = Chosen(tests)
        files = list(dict.fromkeys(test.split("::")[0] for test in tests))

        def act() -> str:
            sys.dont_write_bytecode = True
            status = run_tests(files, plugins=[chosen], first=True)
            return json.dumps([status, chosen.failed])

        ended, text = forked(act, root=self._root, log=self._log, seconds=self._start + 1.5 * expected)
        if ended != "ended":
            return True, "no end" if ended == "endless" else "the process died"
        status, failed = json.loads(text)
        return status not in (0, 5), failed or "nothing could be collected"


def within(tests: Sequence[str], seen: CoverageMap, limit: float) -> list[str]:
    """Return the quickest tests that end within a limit together, in seconds."""
    kept: list[str] = []
    taken = 0.0
    for test in tests:
        taken += seen.seconds(test)
        if kept and taken > limit:
            break
        kept.append(test)
    return kept


def floor_trials(
    name: str, listed: dict[str, Any], asked: argparse.Namespace, results: Results
) -> Iterator[dict[str, Any]]:
    """Try the mutants of a floor, and yield a row for each as it ends."""
    root, kept = asked.copy / "tree", asked.copy / "seen"
    copy(asked.root, root)
    left_out = set(listed.get("left_out", ()))
    paths = modules(root, listed["change"])
    tests = [
        path for path in modules(root, listed["tests"]) if Path(path).name.startswith("test_") and path not in left_out
    ]
    seen = CoverageMap(root, kept, paths, tests)
    prepare(root, [])
    failing = seen.measure(asked.measuring)
    if failing:
        print(f"{name}: {len(failing)} tests are skipped or fail without any mutant", file=sys.stderr)
    prepare(root, seen.packages)
    equivalents, trials = Equivalents.read(asked.equivalents), Trials(root, asked.copy / "trial.log")
    mutants = (
        found_again(root, results.survivors(name))
        if asked.again
        else drawn(root, paths, sample=asked.sample, seed=f"{asked.seed}/{name}")
    )
    for mutant in mutants:
        row = {
            "floor": name,
            "seed": asked.seed,
            "path": mutant.path,
            "where": mutant.where,
            "was": mutant.was,
            "now": mutant.now,
        }
        if (known := results.known(row)) is not None and not asked.again:
            yield known
            continue
        reason = equivalents.reason(mutant.key)
        began = time.perf_counter()
        if reason is not None:
            outcome, by = "equivalent", reason
        elif found := within(seen.tests(mutant.path, mutant.lines), seen, asked.limit):
            taken = sum(map(seen.seconds, found))
            outcome, by = trials.outcome(mutant, found, expected=taken)
        else:
            outcome, by = "survived", "no test executes it"
        row |= {"line": mutant.lines[0], "outcome": outcome, "by": by, "seconds": round(time.perf_counter() - began, 1)}
        results.add(row)
        yield row


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print a line a survivor and a table a floor, and return the exit status."""
    floors = yaml.safe_load((HERE / "floors.yaml").read_text(encoding="utf-8"))
    parser = argparse.ArgumentParser(prog=".ci/mutants", description=__doc__)
    parser.add_argument("--floor", action="append", choices=sorted(floors), help="a floor; by default all")
    parser.add_argument("--sample", type=int, default=40, help="mutants a floor")
    parser.add_argument("--seed", default="1", help="what the draw depends on")
    parser.add_argument("--limit", type=float, default=60, help="seconds of tests a mutant, as measured unchanged")
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
        for row in floor_trials(name, floors[name], asked, results):
            rows.append(row)
            if row["outcome"] == "survived":
                print(
                    f"{row['path']}:{row['line']} {row['where']}\n  was {row['was']}\n  now {row['now']}\n  {row['by']}",
                    flush=True,
                )
    lines, good = table(rows, asked.least)
    print("\n".join(lines))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
