"""A whole evaluation: several suites, their ways of asking and their controls, one after another."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rscovlm.benchmarks.answers import runs_of
from rscovlm.benchmarks.controls import CONTROLS
from rscovlm.benchmarks.conventions import CONVENTIONS
from rscovlm.benchmarks.evaluation import BenchmarkRun, evaluate
from rscovlm.benchmarks.items import BenchmarkItem, chosen, load_items
from rscovlm.benchmarks.leaks import Leak, find_leaks, trained_images
from rscovlm.benchmarks.scores import SuiteScore
from rscovlm.benchmarks.scoring import compare_runs
from rscovlm.benchmarks.suite import Suite, load_suite
from rscovlm.benchmarks.worst_cases import worst_cases
from rscovlm.files import mark, write_text
from rscovlm.predicting.identity import checkpoint_of
from rscovlm.records import Tally

if TYPE_CHECKING:
    from rscovlm.engines.engine import Engine


@dataclass(frozen=True)
class PlannedRun:
    """One way of asking, with its items.

    Attributes:
        run: What is asked.
        items: What is asked about.
        whole: All items of the benchmark.
    """

    run: BenchmarkRun
    items: Sequence[BenchmarkItem]
    whole: Sequence[BenchmarkItem]


@dataclass(frozen=True)
class Job:
    """What an evaluation was asked for.

    Attributes:
        suites: The benchmarks.
        data: Folder of the data sets.
        variants: Ways of asking; none for each suite's first, ``all`` for all.
        limit: Items of each suite, or None for all.
        controls: Also run the controls.
        control_limit: Items of each suite that controls ask about.
        shard: Number of this shard, and how many there are.
        batch: Items asked about at a time.
        confidence: Also keep how sure the model is of answers in words, where the engine tells.
    """

    suites: Sequence[Suite]
    data: Path
    variants: Sequence[str] = ()
    limit: int | None = None
    controls: bool = True
    control_limit: int = 200
    shard: tuple[int, int] = (1, 1)
    batch: int = 32
    confidence: bool = False

    def plan(self) -> list[PlannedRun]:
        """Return everything that is to be asked.

        Raises:
            FileNotFoundError: The data of a suite are not there.
            ValueError: No suite has a variant of a name, or data cannot be read.
        """
        planned = []
        for suite in self.suites:
            self._variants(suite)
        for suite in self.suites:
            whole = load_items(suite, self.data, tally=Tally())
            items = _some(whole, self.limit)
            few = _some(items, self.control_limit)
            for variant in self._variants(suite):
                planned.append(PlannedRun(BenchmarkRun(suite, variant), items, whole))
            if self.controls:
                first = self._variants(suite)[0]
                planned += [PlannedRun(BenchmarkRun(suite, first, name), few, whole) for name in CONTROLS]
        return planned

    def with_policies(self, policies: Sequence[str]) -> Job:
        """Return the job with each policy as one more way of asking, after those it has, where the model may look closer.

        Raises:
            ValueError: No suite lets the model look closer, or there is no such policy.
        """
        if not policies:
            return self
        suites = [suite.with_policies(policies) for suite in self.suites]
        ways = [
            name
            for more, suite in zip(suites, self.suites, strict=True)
            for name in more.variants
            if name not in suite.variants
        ]
        if not ways:
            raise ValueError(
                f"--policy says where to look closer, and {', '.join(suite.name for suite in self.suites)} asks about the overview "
                "alone; choose a suite with such a variant, as lrs-vqa"
            )
        before = self.variants or [suite.default_variant() for suite in self.suites if suite.default_variant()]
        return replace(self, suites=suites, variants=tuple(dict.fromkeys([*before, *ways])))

    def _variants(self, suite: Suite) -> list[str]:
        if "all" in self.variants:
            return list(suite.variants) or [""]
        known = {name for one in self.suites for name in one.variants}
        for name in self.variants:
            if name not in known:
                raise ValueError(f"no suite has a variant {name!r}; there are {', '.join(sorted(known)) or 'none'}")
        return [name for name in self.variants if name in suite.variants] or [suite.default_variant()]


def run_jobs(
    engine: Engine,
    planned: Sequence[PlannedRun],
    job: Job,
    out: Path,
    model: str,
    tell: Callable[[str], None],
    *,
    progress: Callable[[str], Callable[[int, int], None]] | None = None,
) -> int:
    """Ask everything that is planned and has no answer yet; return how many images could not be read.

    Args:
        engine: Who answers.
        planned: What to ask.
        job: Shard and batch.
        out: Folder of the run.
        model: What the user calls the model.
        tell: Takes a line about each run that is done.
        progress: Called with the name of each run; gives what is called with (items done, items).
    """
    checkpoint, errors = checkpoint_of(engine, model), 0
    for one in planned:
        run = replace(one.run, model=model, checkpoint=checkpoint)
        how: dict[str, Any] = {"shard": job.shard, "batch": job.batch, "confidence": job.confidence}
        bar = None if progress is None else progress(run.name)
        counts = evaluate(engine, run, one.items, out, whole=one.whole, progress=bar, **how)
        tell(f"{run.name}: {counts['asked']} asked, {counts['before']} before, {counts['errors']} errors")
        errors += counts["errors"]
    return errors


def leaks_of(planned: Sequence[PlannedRun], trained: Path, root: Path | None = None) -> dict[str, list[Leak]]:
    """Return the test images of each benchmark that a model was trained on, by suite; see `find_leaks`.

    Args:
        planned: What is asked.
        trained: Recipe or records of the training.
        root: Folder that their paths are relative to.

    Raises:
        ValueError: The training's records cannot be read.
    """
    images = list(trained_images(trained, root))
    suites = {one.run.suite.name: one.items for one in planned if not one.run.control}
    return {name: find_leaks(items, images) for name, items in suites.items()}


def write_pages(
    out: Path, planned: Sequence[PlannedRun], leaks: Mapping[str, Sequence[Leak]], worst: int
) -> list[Path]:
    """Write ``leaks.json`` where the training is known, and a page of worst cases for each way of asking.

    Args:
        out: Folder of the run.
        planned: What was asked.
        leaks: What `leaks_of` found.
        worst: Cases drawn on a page; 0 for no page.
    """
    paths = []
    if leaks:
        rows = {name: [asdict(leak) for leak in found] for name, found in leaks.items()}
        text = json.dumps({"generator": mark("evaluation"), "leaks": rows}, indent=1, ensure_ascii=False)
        paths.append(write_text(out / "leaks.json", text, overwrite=True))
    for one in planned if worst else ():
        if not one.run.control:
            page = worst_cases(out, one.run.name, one.run.suite, one.items, count=worst)
            paths.append(write_text(out / f"worst.{one.run.name}.html", page, overwrite=True))
    return paths


def scored_suites(scores: Sequence[SuiteScore], suites: Sequence[Suite]) -> list[Suite]:
    """Return the suites of some scores, those that were given as they are."""
    known = {suite.name: suite for suite in suites}
    names = dict.fromkeys(score.suite for score in scores)
    return [known[name] if name in known else load_suite(name) for name in names]


def compared(first: Path, second: Path, suites: Sequence[Suite], rules: Sequence[str] = ()) -> dict[str, Any]:
    """Test whether two folders of runs differ, run by run; controls are left out.

    Args:
        first: Folder of a run.
        second: That of another.
        suites: The benchmarks.
        rules: Convention of the test: the first that fits; the suite's own by default.

    Raises:
        ValueError: They have no run in common.
    """
    found = {run: figures for run, figures in _compared(first, second, suites, rules)}
    if not found:
        raise ValueError(f"{first} and {second} have no run in common; compare runs of the same suites")
    return found


def _compared(
    first: Path, second: Path, suites: Sequence[Suite], rules: Sequence[str]
) -> Iterator[tuple[str, dict[str, dict[str, float]]]]:
    mine, theirs = ([run for run in runs_of(folder) if not run.endswith(CONTROLS)] for folder in (first, second))
    for suite in suites:
        ours = [run for run in mine if run.startswith(f"{suite.name}.")]
        others = [run for run in theirs if run.startswith(f"{suite.name}.")]
        rule = next((one for one in rules if one in CONVENTIONS[suite.protocol.scoring]), "")
        for run in ours:
            # A file of answers has no variant, so it is compared with whatever there is.
            other = run if run in others else next((one for one in others if "file" in (one + run)), None)
            if other is not None:
                yield run, compare_runs((first, run), (second, other), suite, rule=rule)


def _some(items: Sequence[BenchmarkItem], limit: int | None) -> Sequence[BenchmarkItem]:
    return chosen(list(items), limit)
