"""Run one of the four experiments from the command line; see the package."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from rscovlm.benchmarks.learning import empties, sizes, spaces, tasks
from rscovlm.benchmarks.learning.report import markdown_table
from rscovlm.benchmarks.learning.runs import Claim, Run, run_arm

CLAIMS = {claim.name: claim for claim in (sizes.CLAIM, empties.CLAIM, spaces.CLAIM, tasks.CLAIM)}


def main() -> None:
    """Run an experiment, go on where an earlier run stopped, and write its figure and table."""
    parser = argparse.ArgumentParser(prog="python -m rscovlm.benchmarks.learning", description=__doc__)
    parser.add_argument("claim", choices=sorted(CLAIMS))
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds, from 0")
    parser.add_argument("--steps", type=int, help="steps of every arm, in place of its own")
    parser.add_argument("--count", type=int, default=128, help="test scenes of each kind")
    parser.add_argument("--out", type=Path, default=Path("learning"), help="folder for the journal and the figures")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    claim = CLAIMS[options.claim]
    runs = run_claim(claim, options.out / f"{claim.name}.jsonl", options.seeds, options.steps, options.count)
    for name, drawing in claim.draw(runs).items():
        (options.out / f"{name}.svg").write_text(drawing, encoding="utf-8")
    sys.stdout.write(markdown_table(runs) + "\n")


def run_claim(claim: Claim, journal: Path, seeds: int, steps: int | None, count: int) -> list[Run]:
    """Run every arm with every seed that the journal does not hold yet; a line is added as each is done.

    Args:
        claim: The experiment.
        journal: JSON lines, one for each run.
        seeds: Number of seeds, from 0.
        steps: Steps of every arm, in place of its own.
        count: Test scenes of each kind.
    """
    lines = journal.read_text(encoding="utf-8").splitlines() if journal.exists() else []
    runs = [Run.from_dict(json.loads(line)) for line in lines]
    for seed in range(seeds):
        for arm in claim.arms:
            done = [run for run in runs if run.seed == seed]
            if arm.name in {run.arm for run in done}:
                continue
            runs.append(run_arm(claim, arm, seed, done, steps=steps, count=count))
            with journal.open("a", encoding="utf-8") as file:
                file.write(json.dumps(runs[-1].to_dict()) + "\n")
    return [run for run in runs if run.seed < seeds]


if __name__ == "__main__":
    main()
