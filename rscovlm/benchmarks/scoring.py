"""Scores from the answers on disk; nothing is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rscovlm.benchmarks.answers import merged_rows, runs_of, settings_of, shard_files
from rscovlm.benchmarks.box_scores import BoxScorer
from rscovlm.benchmarks.caption_scores import CaptionScorer
from rscovlm.benchmarks.conventions import CONVENTIONS
from rscovlm.benchmarks.detection_scores import DetectionScorer
from rscovlm.benchmarks.intervals import paired_cells
from rscovlm.benchmarks.mask_scores import MaskScorer
from rscovlm.benchmarks.paired_detections import compare_detections
from rscovlm.benchmarks.scores import SuiteScore, protocol_of
from rscovlm.benchmarks.suite import Suite, load_suite
from rscovlm.benchmarks.word_scores import WordScorer
from rscovlm.codec.dialect import Dialect
from rscovlm.settings.nearest import nearest

Scorer = WordScorer | BoxScorer | DetectionScorer | MaskScorer | CaptionScorer
REPEATS = 1000
"""Redraws behind an interval."""


def score_folder(
    folder: Path, *, suites: Sequence[Suite] = (), rules: Sequence[str] = (), repeats: int = REPEATS
) -> list[SuiteScore]:
    """Score all runs of a folder.

    Args:
        folder: As `evaluate` wrote it.
        suites: Those that are no shipped ones, or are not scored as shipped.
        rules: Conventions to score under instead, where a suite's answers can be.
        repeats: Redraws behind each interval; 0 for none.

    Raises:
        FileNotFoundError: It holds no answers.
        ValueError: Its files are none of ours, disagree, or name a suite that is not known.
    """
    known = {suite.name: suite for suite in suites}
    found = []
    for run in runs_of(folder):
        settings = run_settings_of(folder, run)
        if not settings:
            continue
        name = settings["suite"]
        suite = known[name] if name in known else load_suite(name)
        found.append(score_run(folder, run, suite, rules=rules, repeats=repeats))
    return found


def score_run(folder: Path, run: str, suite: Suite, *, rules: Sequence[str] = (), repeats: int = REPEATS) -> SuiteScore:
    """Score one way of asking.

    Args:
        folder: As `evaluate` wrote it.
        run: Name of its files.
        suite: The benchmark.
        rules: Conventions to score under instead; the suite's own where none of them is of its kind.
        repeats: Redraws behind each interval; 0 for none.

    Raises:
        ValueError: The answers were made for another version of the suite, or none are there.
    """
    settings = run_settings_of(folder, run)
    _check_version(suite, settings, run)
    wanted = _rules(suite, rules)
    scorer = filled_scorer(folder, run, suite, settings, wanted)
    figures = scorer.figures(repeats=repeats)
    counts = dict(scorer.counts)
    of = int(settings.get("items", 0))
    counts["missing"] = max(0, of - counts.get("answers", 0))
    for name in ("unparsed", "refused", "truncated", "repeated", "errors"):
        counts.setdefault(name, 0)
    return SuiteScore(
        suite.name,
        suite.title,
        settings.get("variant", ""),
        settings.get("control", ""),
        str(settings.get("model") or settings.get("checkpoint") or ""),
        protocol_of(suite, settings, wanted[0]),
        figures,
        counts,
        scorer.constant() if not settings.get("control") else {},
        scorer.details if isinstance(scorer, DetectionScorer | WordScorer) else {},
    )


def compare_runs(
    first: tuple[Path, str], second: tuple[Path, str], suite: Suite, *, rule: str = "", repeats: int = REPEATS
) -> dict[str, dict[str, float]]:
    """Test whether two runs differ on the items that both answer; see `paired_cells`.

    Args:
        first: Folder and name of a run.
        second: Those of the other.
        suite: The benchmark.
        rule: Convention; the suite's first by default.
        repeats: Number of swaps, and of redraws.

    Returns:
        By figure ``difference``, ``p_value``, ``low`` and ``high``, and ``items`` both answer.

    Raises:
        ValueError: They answer no item in common.
    """
    wanted = (rule or suite.protocol.rule,)
    tables, pooled, detectors = [], [], []
    for folder, run in (first, second):
        scorer = filled_scorer(folder, run, suite, run_settings_of(folder, run), wanted, keep_items=True)
        if isinstance(scorer, DetectionScorer):
            detectors.append(scorer)
        elif isinstance(scorer, MaskScorer | CaptionScorer):
            pooled.append(scorer.table())
        else:
            if isinstance(scorer, BoxScorer):
                scorer.settle()
            tables.append(scorer.table)
    if detectors:
        return compare_detections(detectors[0], detectors[1], wanted[0], repeats=repeats)
    if pooled:
        return pooled[0].paired(pooled[1], wanted[0], repeats=repeats)
    places = [{item: place for place, item in enumerate(table.items)} for table in tables]
    common = sorted(places[0].keys() & places[1].keys())
    if not common:
        raise ValueError(f"runs {first[1]!r} and {second[1]!r} answer no item in common; compare runs of one benchmark")
    sums = [
        table.sums(wanted[0], [place[item] for item in common]) for table, place in zip(tables, places, strict=True)
    ]
    # Images are numbered as they came; both runs now give them in the order of the common items.
    return {name: {**row, "items": len(common)} for name, row in paired_cells(*sums, repeats=repeats).items()}


def run_settings_of(folder: Path, run: str) -> dict[str, Any]:
    """Return what the answers of a run depend on; empty where a kill left no whole first line."""
    return next((found for path in shard_files(folder, run) if (found := settings_of(path))), {})


def _check_version(suite: Suite, settings: dict[str, Any], run: str) -> None:
    if settings.get("version") != suite.version:
        raise ValueError(
            f"{run} was asked for version {settings.get('version')} of suite {suite.name!r}, which is at "
            f"{suite.version}; ask again, or give the suite's old file"
        )


def _rules(suite: Suite, rules: Sequence[str]) -> tuple[str, ...]:
    known = CONVENTIONS[suite.protocol.scoring]
    every = {name for names in CONVENTIONS.values() for name in names}
    for rule in rules:
        if rule not in every:
            raise ValueError(f"rule is {rule!r}{nearest(rule, every)}")
    own = tuple(rule for rule in rules if rule in known)
    return own or tuple(dict.fromkeys((suite.protocol.rule, *suite.protocol.also)))


def filled_scorer(
    folder: Path, run: str, suite: Suite, settings: dict[str, Any], rules: Sequence[str], *, keep_items: bool = False
) -> Scorer:
    """Return a scorer that has read all answers of a run."""
    protocol = suite.protocol
    columns = list(protocol.columns)
    scorer: Scorer
    if protocol.scoring == "words":
        scorer = WordScorer(rules, columns, protocol.average, keep_items=keep_items)
    elif protocol.scoring == "boxes":
        dialect = Dialect.from_dict(settings["dialect"])
        scorer = BoxScorer(rules, columns, protocol.average, dialect, keep_items=keep_items)
    elif protocol.scoring == "masks":
        scorer = MaskScorer(rules)
    elif protocol.scoring == "captions":
        scorer = CaptionScorer(rules)
    else:
        scorer = DetectionScorer(rules)
    for row in merged_rows(folder, run):
        scorer.add(row)
    return scorer


def renamed(score: SuiteScore, model: str) -> SuiteScore:
    """Return a score under another name of the model."""
    return replace(score, model=model)
