"""Scoring captions: CIDEr, BLEU and ROUGE-L over a whole benchmark."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rscovlm.benchmarks.items import ALL
from rscovlm.benchmarks.pooled import PooledRule, PooledTable, share
from rscovlm.benchmarks.scores import BenchmarkFigure, count_answer
from rscovlm.geometry.affine import Floats
from rscovlm.metrics.captions import N_GRAMS, bleu, caption_counts, caption_tokens

_ITEMS, _CIDER, _ROUGE, _LENGTH, _CLOSEST = range(5)
_MATCHED, _POSSIBLE = slice(5, 5 + N_GRAMS), slice(5 + N_GRAMS, 5 + 2 * N_GRAMS)


def _bleu(n: int) -> PooledRule:
    def rule(sums: Floats) -> Floats:
        return bleu(sums[..., _MATCHED], sums[..., _POSSIBLE], sums[..., _LENGTH], sums[..., _CLOSEST])[..., n - 1]

    return rule


_RULES: Mapping[str, PooledRule] = {
    "cider": share(_CIDER, _ITEMS),
    "bleu4": _bleu(4),
    "bleu1": _bleu(1),
    "rouge_l": share(_ROUGE, _ITEMS),
}


class CaptionScorer:
    """Reads rows of a run; captions are compared at the end, as how rare words are follows from all references.

    Redraws take how rare a word is from the whole benchmark.

    Args:
        rules: The conventions.
    """

    def __init__(self, rules: Sequence[str]) -> None:
        self.counts: Counter[str] = Counter()
        self._rules = tuple(rules)
        self._answers: list[tuple[str, str, str]] = []
        self._references: list[list[str]] = []
        self._unread: list[tuple[str, str]] = []

    def add(self, row: Mapping[str, Any]) -> None:
        """Take the caption of a row; an image that could not be read scores 0."""
        answered = count_answer(self.counts, row)
        references = [text for text in (row.get("truth") or {}).get("captions", ()) if text.strip()]
        head = row["item"], row.get("image", row["item"])
        if not references:
            self.counts["without_reference"] += answered
            self._unread.append(head)
            return
        text = str(row["answer"]) if answered else ""
        self.counts["unparsed"] += answered and not caption_tokens(text)
        self._answers.append((*head, text))
        self._references.append(references)

    def table(self) -> PooledTable:
        """Return the statistics of all captions."""
        table = PooledTable({name: _RULES[name] for name in self._rules})
        if self._answers:
            found = caption_counts([text for _, _, text in self._answers], self._references)
            ones = np.ones(len(self._answers))
            columns = ones, found.cider, found.rouge_l, found.lengths, found.reference_lengths
            rows = np.column_stack([*columns, found.matched, found.possible]).tolist()
            for (item, image, _), row in zip(self._answers, rows, strict=True):
                table.add(item, image, row)
        for item, image in self._unread:
            table.add(item, image, [1.0] + [0.0] * (4 + 2 * N_GRAMS))
        return table

    def figures(self, *, repeats: int) -> tuple[BenchmarkFigure, ...]:
        """Return a figure for each convention."""
        return self.table().figures(repeats=repeats)

    def constant(self) -> dict[str, float]:
        """Return what the sentence that is a reference of most images scores everywhere."""
        if not self._answers:
            return {}
        known: Counter[str] = Counter()
        for theirs in self._references:
            known.update(sorted({" ".join(caption_tokens(text)) for text in theirs}))
        sentence = known.most_common(1)[0][0]
        one = CaptionScorer(self._rules[:1])
        one._answers = [(item, image, sentence) for item, image, _ in self._answers]
        one._references, one._unread = self._references, self._unread
        return {ALL: one.figures(repeats=0)[0].value}
