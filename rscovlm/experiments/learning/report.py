"""What arms reached, as a table and as the series of a figure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from rscovlm.experiments.learning.runs import ArmRun, Measure


def series(
    runs: Sequence[ArmRun], place: Callable[[ArmRun, Measure], tuple[str, str] | None]
) -> dict[str, dict[str, list[float]]]:
    """Gather figures for `figure.draw`.

    Args:
        runs: What was run.
        place: Gives a figure's line and its place on the axis; None leaves it out.
    """
    found: dict[str, dict[str, list[float]]] = {}
    for run in runs:
        for measure in run.measures:
            at = place(run, measure)
            if at is not None:
                found.setdefault(at[0], {}).setdefault(at[1], []).append(measure.value)
    return found


def markdown_table(runs: Sequence[ArmRun]) -> str:
    """Return the mean over the seeds, with the least and the largest, of every figure and arm."""
    arms = list(dict.fromkeys(run.arm for run in runs))
    rows = series(runs, lambda run, one: (one.name + (f" at {one.x:g}" if one.x else ""), run.arm))
    seconds = {arm: [run.seconds for run in runs if run.arm == arm] for arm in arms}
    lines = [_row("", arms), _row("---", ["---"] * len(arms))]
    lines += [_row(name, [_cell(values, arm, "{:.3f}") for arm in arms]) for name, values in rows.items()]
    lines.append(_row("CPU seconds of training", [_cell(seconds, arm, "{:.0f}") for arm in arms]))
    return "\n".join(lines)


def _row(name: str, cells: Sequence[str]) -> str:
    return "| " + " | ".join([name, *cells]) + " |"


def _cell(values: Mapping[str, Sequence[float]], arm: str, form: str) -> str:
    if arm not in values:
        return ""
    seeds = values[arm]
    spread = f" ({form.format(min(seeds))} to {form.format(max(seeds))})" if len(seeds) > 1 else ""
    return form.format(float(np.mean(seeds))) + spread
