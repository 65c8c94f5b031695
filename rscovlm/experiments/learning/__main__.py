"""Run one of the four experiments from the command line; see the package."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rscovlm.experiments.learning import empties, sizes, spaces, tasks
from rscovlm.experiments.learning.report import markdown_table
from rscovlm.experiments.learning.runs import ArmRun, Claim, run_arm
from rscovlm.exports.chart import PLOT, marked
from rscovlm.files import write_text
from rscovlm.zoom.journal import Journal

CLAIMS = {claim.name: claim for claim in (sizes.CLAIM, empties.CLAIM, spaces.CLAIM, tasks.CLAIM)}


def main() -> None:
    """Run an experiment from where an earlier run stopped, and write its figure and table."""
    parser = argparse.ArgumentParser(prog="python -m rscovlm.experiments.learning", description=__doc__)
    parser.add_argument("claim", choices=sorted(CLAIMS))
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds, from 0")
    parser.add_argument("--times", type=float, default=1.0, help="how many times its own steps every arm takes")
    parser.add_argument("--count", type=int, default=128, help="test scenes of each kind")
    parser.add_argument("--out", type=Path, default=Path("learning"), help="folder for the journal and the figures")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    claim = CLAIMS[options.claim]
    runs = run_claim(claim, options.out / f"{claim.name}.jsonl", options.seeds, options.times, options.count)
    for name, drawing in claim.draw(runs).items():
        write_text(options.out / f"{name}.svg", marked(drawing), PLOT)
    sys.stdout.write(markdown_table(runs) + "\n")


def run_claim(claim: Claim, journal: Path, seeds: int, times: float, count: int) -> list[ArmRun]:
    """Run every arm with every seed that the journal does not hold yet; a line is added as each is done.

    Args:
        claim: The experiment.
        journal: JSON lines, one for each run.
        seeds: Number of seeds, from 0.
        times: How many times its own steps every arm takes.
        count: Test scenes of each kind.

    Raises:
        ValueError: The journal holds a run of other steps, or is another file.
    """
    with Journal(journal, kind="learning") as kept:
        runs = [ArmRun.from_dict(row) for row in kept]
        _run_missing(claim, kept, runs, seeds, times, count)
    return [run for run in runs if run.seed < seeds]


def _run_missing(claim: Claim, journal: Journal, runs: list[ArmRun], seeds: int, times: float, count: int) -> None:
    for seed in range(seeds):
        for arm in claim.arms:
            done = [run for run in runs if run.seed == seed]
            earlier = next((run for run in done if run.arm == arm.name), None)
            if earlier is not None and earlier.steps != arm.steps_at(times):
                raise ValueError(
                    f"{journal.path} holds {arm.name!r} with {earlier.steps} steps, where --times {times:g} makes "
                    f"{arm.steps_at(times)}; give another folder with --out"
                )
            if earlier is not None:
                continue
            runs.append(run_arm(claim, arm, seed, done, times=times, count=count))
            journal.append([runs[-1].to_dict()])


if __name__ == "__main__":
    main()
