"""Running a benchmark: what is missing is asked, and every answer is on disk before the next batch begins."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rscovlm.benchmarks.answers import answered_items, open_answers, run_name
from rscovlm.benchmarks.asking import Asker
from rscovlm.benchmarks.controls import Control, shuffled
from rscovlm.benchmarks.items import BenchmarkItem, data_digest
from rscovlm.benchmarks.suite import Suite, budget_of
from rscovlm.engines.engine import dialect_of
from rscovlm.predicting.identity import checkpoint_of
from rscovlm.processing.resolution import PixelBudget

if TYPE_CHECKING:
    from rscovlm.engines.engine import Engine

Row = dict[str, Any]


@dataclass(frozen=True)
class BenchmarkRun:
    """One suite, asked in one way.

    Attributes:
        suite: The benchmark.
        variant: How it is asked; empty for the suite's first variant.
        control: What is shown instead of the image.
        model: What the user calls the model.
        checkpoint: What tells its weights from others, where that is known already; reading them takes a while.
    """

    suite: Suite
    variant: str = ""
    control: Control = ""
    model: str = ""
    checkpoint: str = ""

    @property
    def name(self) -> str:
        """What its files begin with."""
        return run_name(self.suite.name, self.variant or self.suite.default_variant(), self.control)


def evaluate(
    engine: Engine,
    run: BenchmarkRun,
    items: Sequence[BenchmarkItem],
    out: Path,
    *,
    whole: Sequence[BenchmarkItem] | None = None,
    shard: tuple[int, int] = (1, 1),
    batch: int = 32,
    confidence: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, int]:
    """Ask about every item that has no answer yet and append one JSON row each.

    Rows are on disk before the next batch begins. After a kill, even in the middle of a line, the same call resumes with
    the items that are missing. Shards may run at the same time, on one machine or many that share the folder.

    Args:
        engine: Who answers.
        run: What is asked, and how.
        items: What to ask about.
        out: Folder of the run.
        whole: All items of the benchmark, where `items` are some of them: their digest tells data apart.
        shard: Number of this shard, from 1, and how many there are; a shard takes every so-manieth item.
        batch: Items, or tiles, asked about at a time.
        confidence: Also keep how sure the model is of answers in words, where the engine tells.
        progress: Called with (items done, items).

    Returns:
        Counts: ``asked`` now, ``before`` (had an answer), ``errors`` (images that could not be read; asked again by the
        next call).

    Raises:
        ValueError: Answers that are there were made with another model, data, dialect or settings.
    """
    whole = items if whole is None else whole
    mine = items[shard[0] - 1 :: shard[1]]
    asking = run.suite.asked(run.variant)
    with _budgeted(engine, budget_of(asking, engine.budget)):
        settings = run_settings(engine, run, whole)
        with open_answers(out, run.name, shard, settings) as journal:
            done = answered_items(out, run.name)
            left = [item for item in mine if item.id not in done]
            counts = {"asked": 0, "before": len(mine) - len(left), "errors": 0}
            images = shuffled(whole) if run.control == "shuffled" else {}
            asker = Asker(engine, asking, run.control, images, batch, confidence)
            for start in range(0, len(left), max(1, batch)):
                rows = list(asker.rows(left[start : start + max(1, batch)]))
                journal.append(rows)
                counts["asked"] += len(rows)
                counts["errors"] += sum("error" in row for row in rows)
                if progress is not None:
                    progress(counts["before"] + counts["asked"], len(mine))
    return counts


def run_settings(engine: Engine, run: BenchmarkRun, items: Sequence[BenchmarkItem]) -> Row:
    """Return what all answers of a run depend on; it stands in the first line of their files."""
    asking = run.suite.asked(run.variant)
    settings: Row = {
        "suite": run.suite.name,
        "version": run.suite.version,
        "variant": run.variant or run.suite.default_variant(),
        "control": run.control,
        "model": Path(run.model).resolve().name if run.model and Path(run.model).is_dir() else run.model,
        "checkpoint": run.checkpoint or checkpoint_of(engine, run.model),
        "dtype": str(getattr(getattr(engine, "model", None), "dtype", "")),
        "engine": type(engine).__name__,
        "dialect": dialect_of(engine).to_dict(),
        "budget": engine.budget.to_dict(),
        "asking": asking.settings(),
        "data": data_digest(items),
        "items": len(items),
    }
    return {**json.loads(json.dumps(settings)), "fingerprint": fingerprint(settings)}


def fingerprint(settings: Row) -> str:
    """Return twelve characters that differ where settings do.

    >>> fingerprint({"a": 1}) == fingerprint({"a": 1}) != fingerprint({"a": 2})
    True
    """
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]


@contextmanager
def _budgeted(engine: Engine, budget: PixelBudget) -> Iterator[None]:
    """Let a model in this process show so many pixels for a while.

    Raises:
        ValueError: The benchmark wants another budget of an engine whose processing is elsewhere, such as a server.
    """
    if budget == engine.budget:
        yield
        return
    processor: Any = getattr(engine, "processor", None)
    if getattr(processor, "budget", None) is None:
        raise ValueError(
            f"this way of asking shows {budget.min_pixels} to {budget.max_pixels} pixels (mode {budget.mode!r}), and "
            f"{type(engine).__name__} shows {engine.budget.min_pixels} to {engine.budget.max_pixels}; start it with this "
            "budget, or evaluate in this process (--engine transformers)"
        )
    changed: Any = engine
    before = engine.budget, processor.budget
    try:
        changed.budget = processor.budget = budget
        yield
    finally:
        changed.budget, processor.budget = before
