"""Captions: BLEU, ROUGE-L and CIDEr, as the evaluation of COCO captions computes them."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rscovlm.geometry.affine import Floats
from rscovlm.metrics.texts import check_columns, check_texts

N_GRAMS = 4
_BETA = 1.2
"""Weight of recall in ROUGE-L."""
_SIGMA = 6.0
"""Width of CIDEr's penalty of other lengths, in words."""

_TOKEN = re.compile(r"\d+(?:[.,:/]\d+)+|(?:[a-z]\.){2,}|\w+(?:[-'./]\w+)*|n't|'\w+|[^\w\s]")
_PARTED = re.compile(r"(?<=\w)(?=n't\b|'(?:s|re|ve|ll|d|m)\b)|(?<=\bcan)(?=not\b)|(?<=\bgon|\bwan)(?=na\b)")
_DROPPED = frozenset("\"'`.?!,:;-–—…“”‘’")
_BRACKETS = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"}

Grams = Counter[tuple[str, ...]]


@dataclass(frozen=True)
class CaptionCounts:
    """What the scores of captions are computed from, a row an item. Rows can be redrawn and summed.

    Attributes:
        matched: (n, 4) n-grams of one to four words that a reference has too, each at most as often.
        possible: (n, 4) n-grams of the captions.
        lengths: (n,) words of the captions.
        reference_lengths: (n,) words of the reference of the closest length.
        rouge_l: (n,) from 0 to 1.
        cider: (n,) from 0 to 10.
    """

    matched: Floats
    possible: Floats
    lengths: Floats
    reference_lengths: Floats
    rouge_l: Floats
    cider: Floats


def caption_scores(predictions: Sequence[str], references: Sequence[str | Sequence[str]]) -> dict[str, Any]:
    """Compute BLEU-1 to BLEU-4, ROUGE-L and CIDEr of captions.

    Args:
        predictions: One caption per image.
        references: One or several captions per image.

    Returns:
        ``bleu1`` to ``bleu4`` (of the whole set: n-grams are pooled), ``rouge_l`` and ``cider`` (means over images; CIDEr runs from
        0 to 10 and papers print it times 100), ``items``, ``empty`` (captions without a word), ``rouge_l_each``, ``cider_each``.

    Raises:
        ValueError: If lengths differ, nothing is given, or an image has no reference.

    Source:
        Papineni et al. 2002; Lin 2004 (beta 1.2); Vedantam et al. 2015, CIDEr-D (clipped, sigma 6, times 10), whose inverse document
        frequencies are those of the references given: a part of a set scores otherwise than the whole. METEOR is not computed: it is
        defined by a Java program with tables of paraphrases.

    Example:
        >>> result = caption_scores(["a road crosses the forest", "many ships"], [["A road crosses the forest."], ["Many boats."]])
        >>> round(result["bleu1"], 3), round(result["rouge_l"], 3), round(result["cider"], 2)
        (0.857, 0.75, 5.62)
    """
    counts = caption_counts(predictions, references)
    scores = bleu(
        counts.matched.sum(axis=0), counts.possible.sum(axis=0), counts.lengths.sum(), counts.reference_lengths.sum()
    )
    return {
        **{f"bleu{n}": float(score) for n, score in enumerate(scores, start=1)},
        "rouge_l": float(counts.rouge_l.mean()),
        "cider": float(counts.cider.mean()),
        "items": len(predictions),
        "empty": int((counts.lengths == 0).sum()),
        "rouge_l_each": counts.rouge_l.tolist(),
        "cider_each": counts.cider.tolist(),
    }


def caption_counts(predictions: Sequence[str], references: Sequence[str | Sequence[str]]) -> CaptionCounts:
    """Return what the scores are computed from.

    Args:
        predictions: One caption per image.
        references: One or several captions per image.

    Raises:
        ValueError: If lengths differ, nothing is given, or an image has no reference.
    """
    check_columns({"predictions": predictions, "references": references})
    check_texts({"predictions": predictions})
    found = [caption_tokens(text) for text in predictions]
    true = [_references(entry, place) for place, entry in enumerate(references)]
    closest = [
        min((abs(len(one) - len(mine)), len(one)) for one in theirs)[1]
        for mine, theirs in zip(found, true, strict=True)
    ]
    pairs = list(zip(found, true, strict=True))
    return CaptionCounts(
        np.array([_matched(mine, theirs) for mine, theirs in pairs], np.float64),
        np.array([[max(0, len(mine) - n) for n in range(N_GRAMS)] for mine in found], np.float64),
        np.array([len(mine) for mine in found], np.float64),
        np.array(closest, np.float64),
        np.array([_rouge_l(mine, theirs) for mine, theirs in pairs], np.float64),
        _cider(found, true),
    )


def bleu(matched: Floats, possible: Floats, lengths: Any, reference_lengths: Any) -> Floats:
    """Return (..., 4) BLEU-1 to BLEU-4 of pooled n-grams; 0 where none of a length matches.

    Args:
        matched: (..., 4) n-grams that match.
        possible: (..., 4) n-grams in all.
        lengths: (...) words in all.
        reference_lengths: (...) words of the closest references.

    >>> bleu(np.array([3.0, 2, 1, 0]), np.array([4.0, 3, 2, 1]), 4.0, 4.0).round(3).tolist()
    [0.75, 0.707, 0.63, 0.0]
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        logarithms = np.log(np.where(possible > 0, matched / possible, 0.0))
        penalty = np.minimum(0.0, 1.0 - np.asarray(reference_lengths, np.float64) / lengths)
        means = np.cumsum(logarithms, axis=-1) / np.arange(1, N_GRAMS + 1)
        scores: Floats = np.exp(means + np.nan_to_num(penalty, nan=0.0)[..., None])
    return scores


def caption_tokens(text: str) -> list[str]:
    """Return the words of a caption: lower case, contractions parted, without punctuation.

    Source:
        The evaluation of COCO captions: Stanford's PTB tokenizer, then its list of dropped signs. Rare abbreviations ("St.", "no. 5")
        and addresses are kept whole there and lose their dots here.

    >>> caption_tokens("Two well-lit ships (one white) aren't moving.")
    ['two', 'well-lit', 'ships', '-lrb-', 'one', 'white', '-rrb-', 'are', "n't", 'moving']
    """
    pieces = _TOKEN.findall(_PARTED.sub(" ", text.lower()))
    return [_BRACKETS.get(piece, piece) for piece in pieces if piece not in _DROPPED]


def _references(entry: str | Sequence[str], place: int) -> list[list[str]]:
    texts = [entry] if isinstance(entry, str) else list(entry)
    if not texts:
        raise ValueError(f"references[{place}] is empty; give at least one caption per image")
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise ValueError(f"references[{place}][{number}] is {text!r}, a {type(text).__name__}; give a string")
    return [caption_tokens(text) for text in texts]


def _grams(tokens: Sequence[str]) -> Grams:
    return Counter(tuple(tokens[k : k + n]) for n in range(1, N_GRAMS + 1) for k in range(len(tokens) - n + 1))


def _matched(mine: Sequence[str], theirs: Sequence[Sequence[str]]) -> list[int]:
    most: Grams = Counter()
    for one in theirs:
        most |= _grams(one)
    found = [0] * N_GRAMS
    for gram, number in (_grams(mine) & most).items():
        found[len(gram) - 1] += number
    return found


def _rouge_l(mine: Sequence[str], theirs: Sequence[Sequence[str]]) -> float:
    """Return ROUGE-L of a caption, its precision and its recall each those of the best reference."""
    shared = [_common(mine, one) for one in theirs]
    precision = max(shared) / len(mine) if mine else 0.0
    recall = max(number / len(one) if one else 0.0 for number, one in zip(shared, theirs, strict=True))
    if not precision or not recall:
        return 0.0
    return (1 + _BETA**2) * precision * recall / (recall + _BETA**2 * precision)


def _common(first: Sequence[str], second: Sequence[str]) -> int:
    """Return the length of the longest common subsequence."""
    row = [0] * (len(second) + 1)
    for word in first:
        before = 0
        for place, other in enumerate(second, start=1):
            before, row[place] = row[place], before + 1 if word == other else max(row[place], row[place - 1])
    return row[-1]


def _cider(found: Sequence[Sequence[str]], true: Sequence[Sequence[Sequence[str]]]) -> Floats:
    """Return (n,) CIDEr-D of captions."""
    grams = [[_grams(one) for one in theirs] for theirs in true]
    documents: Counter[tuple[str, ...]] = Counter()
    for some in grams:
        documents.update(set().union(*some))
    rarity = {gram: math.log(len(true) / number) for gram, number in documents.items()}
    unseen = math.log(len(true))
    scores = []
    for mine, some in zip(found, grams, strict=True):
        own = _Weighted.of(_grams(mine), rarity, unseen)
        scores.append(10 * sum(own.likeness(_Weighted.of(one, rarity, unseen)) for one in some) / len(some))
    return np.array(scores, np.float64)


@dataclass(frozen=True)
class _Weighted:
    """The n-grams of a caption, each weighted by how rare it is."""

    weights: tuple[Mapping[tuple[str, ...], float], ...]
    norms: tuple[float, ...]
    pairs: int

    @classmethod
    def of(cls, grams: Grams, rarity: Mapping[tuple[str, ...], float], unseen: float) -> _Weighted:
        weights: tuple[dict[tuple[str, ...], float], ...] = tuple({} for _ in range(N_GRAMS))
        for gram, number in grams.items():
            weights[len(gram) - 1][gram] = number * rarity.get(gram, unseen)
        norms = tuple(math.sqrt(sum(value * value for value in one.values())) for one in weights)
        # The published program takes the number of word pairs for the length.
        return cls(weights, norms, sum(number for gram, number in grams.items() if len(gram) == 2))

    def likeness(self, other: _Weighted) -> float:
        """Return the mean cosine of the two over all lengths of n-grams, clipped, less for other lengths."""
        cosines = []
        for mine, theirs, norm, their_norm in zip(self.weights, other.weights, self.norms, other.norms, strict=True):
            shared = sum(min(value, theirs[gram]) * theirs[gram] for gram, value in mine.items() if gram in theirs)
            cosines.append(shared / (norm * their_norm) if norm and their_norm else 0.0)
        return sum(cosines) / N_GRAMS * math.exp(-((self.pairs - other.pairs) ** 2) / (2 * _SIGMA**2))
