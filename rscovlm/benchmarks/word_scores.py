"""Scoring answers in words: right or wrong under each convention, by column and category."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from rscovlm.benchmarks.columns import CreditTable
from rscovlm.benchmarks.conventions import OPTIONS, WORDS
from rscovlm.benchmarks.scores import BenchmarkFigure, count_answer
from rscovlm.metrics.options import MME_LETTERS
from rscovlm.metrics.selective import selective_risk

_REMEMBERED = 1 << 17
"""Pairs of answer and truth whose credit is kept: short answers repeat."""


class WordScorer:
    """Reads rows of a run one by one and keeps their credits.

    Args:
        rules: The conventions.
        columns: Columns in the order of the suite.
        average: Name of the mean of the columns.
        keep_items: Also keep the names of items, for paired tests.
    """

    def __init__(self, rules: Sequence[str], columns: Sequence[str], average: str, *, keep_items: bool = False) -> None:
        self.table = CreditTable(rules, columns, average, keep_items=keep_items)
        self.counts: Counter[str] = Counter()
        self._rules = tuple(rules)
        self._known: dict[tuple[str, str, tuple[str, ...]], tuple[dict[str, float], bool]] = {}
        self._truths: dict[tuple[str, str], Counter[str]] = {}
        self._sure: array[float] = array("d")
        self._gained: array[float] = array("d")

    def add(self, row: Mapping[str, Any]) -> dict[str, float]:
        """Score a row and return its credits; an item without an answer has none."""
        answered = count_answer(self.counts, row)
        truth = row.get("truth") or {}
        reference = str(truth.get("answer", ""))
        column, within = row.get("column", "all"), row.get("within", "")
        credits = dict.fromkeys(self._rules, 0.0)
        if answered:
            credits, decided = self._credits(str(row["answer"]), reference, tuple(truth.get("choices", ())))
            self.counts["unparsed"] += not decided
        self._truths.setdefault((column, within), Counter())[reference] += 1
        self.table.add(row["item"], row.get("image", row["item"]), column, within, credits)
        if "confidence" in row:
            self._sure.append(float(row["confidence"]))
            self._gained.append(credits[self._rules[0]])
        return credits

    @property
    def details(self) -> dict[str, Any]:
        """What the answers of a known confidence score under the first convention, by the share of them that is kept."""
        if not self._sure:
            return {}
        found = selective_risk(self._gained, self._sure)
        accuracy = {f"{share:.0%}": value for share, value in found["accuracy"].items()}
        return {"selective": {**found, "accuracy": accuracy, "without_confidence": len(self.table) - found["items"]}}

    def figures(self, *, repeats: int) -> tuple[BenchmarkFigure, ...]:
        """Return the figures of all conventions."""
        return self.table.figures(repeats=repeats)

    def constant(self) -> dict[str, float]:
        """Return what one answer to everything in a column scores at best under exact comparison."""
        by_column: dict[str, dict[str, Counter[str]]] = {}
        for (column, within), truths in self._truths.items():
            by_column.setdefault(column, {})[within] = truths
        found = {}
        for column, groups in by_column.items():
            shares: defaultdict[str, float] = defaultdict(float)
            for truths in groups.values():
                total = truths.total()
                for answer, number in truths.items():
                    shares[answer] += number / total / len(groups)
            found[column] = float(max(shares.values()))
        names = [name for name in self.table.names if name]
        if self.table.average and names and all(name in found for name in names):
            found[self.table.average] = sum(found[name] for name in names) / len(names)
        return found

    def _credits(self, answer: str, reference: str, choices: tuple[str, ...]) -> tuple[dict[str, float], bool]:
        key = (answer, reference, choices)
        known = self._known.get(key)
        if known is None:
            found = {rule: credit_of(rule, answer, reference, choices) for rule in self._rules}
            known = {rule: credit or 0.0 for rule, credit in found.items()}, found[self._rules[0]] is not None
            if len(self._known) < _REMEMBERED:
                self._known[key] = known
        return known


def credit_of(rule: str, answer: str, reference: str, choices: Sequence[str] = ()) -> float | None:
    """Return the credit of an answer under a convention; None where it cannot decide.

    >>> credit_of("geochat", "It is a park.", "park"), credit_of("choice", "(B)", "B", ["red", "blue"])
    (1.0, 1.0)
    """
    if rule in OPTIONS and (choices or rule not in WORDS):
        credit = OPTIONS[rule](answer, reference, list(choices) or list(MME_LETTERS))
    else:
        credit = WORDS[rule](answer, reference)
    return None if credit is None else float(credit)
