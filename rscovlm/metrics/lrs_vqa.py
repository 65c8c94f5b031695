"""LRS-VQA: accuracy of short answers about very large images, averaged over categories and sources."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from rscovlm.metrics.texts import check_texts, normalised
from rscovlm.metrics.wordnet import share_meaning

Normalisation = Literal["official", "rscovlm"]


def lrs_vqa_aa(
    predictions: Sequence[str],
    references: Sequence[str],
    *,
    categories: Sequence[str],
    sources: Sequence[str],
    normalisation: Normalisation = "official",
) -> dict[str, Any]:
    """Compute LRS-VQA's average accuracy (AA) and overall accuracy (OA).

    An answer is right if it equals the true one or shares a WordNet synset with it. AA of a source is the mean over the
    categories that occur in it; table I's average is the mean of the sources' AA.

    Args:
        predictions: One answer per question.
        references: The true answers.
        categories: The questions' categories, such as ``"object color"``.
        sources: The questions' sources, or their identifiers: what stands before the first underscore counts, so that
            ``"GLH-Bridge_203"`` is of ``"GLH-Bridge"``.
        normalisation: ``"official"`` lower-cases alone, so that ``"yes."`` is wrong; ``"rscovlm"`` also strips blanks
            and then periods.

    Returns:
        ``average_accuracy`` (mean of the sources' AA, the headline of table I), ``overall_accuracy`` (all questions
        pooled), ``sources`` (name -> ``aa``, ``oa``, ``items``, ``categories`` (name -> ``accuracy``, ``correct``,
        ``items``)), ``categories`` pooled over sources, ``pooled_category_accuracy`` (their mean, which the reference
        code prints as "Average Acc"), ``correct`` per question, and ``settings``. Values are fractions.

    Raises:
        ValueError: If lengths differ, nothing is given, or an entry is no string.

    Source:
        VisionXLab/LRS-VQA ``evaluation_LRSVQA.py`` and RSCoVLM ``eval/metric/large_image_bench.py``. They ask for a path
        similarity above 0.8 in WordNet, which two words reach exactly if they share a synset.

    Example:
        >>> result = lrs_vqa_aa(["gray", "two"], ["grey", "3"], categories=["color", "count"], sources=["FAIR", "FAIR"])
        >>> result["average_accuracy"]
        0.5
    """
    columns = {
        "predictions": predictions,
        "references": references,
        "categories": categories,
        "sources": sources,
    }
    check_texts(columns)
    if normalisation not in ("official", "rscovlm"):
        raise ValueError(f"normalisation is {normalisation!r}; use 'official' or 'rscovlm'")
    correct = [same_answer(mine, true, normalisation) for mine, true in zip(predictions, references, strict=True)]
    names = [source.split("_")[0] for source in sources]
    tables: dict[str, dict[str, Any]] = {}
    for source in sorted(set(names)):
        rows = [k for k, name in enumerate(names) if name == source]
        table = _by_category([categories[k] for k in rows], [correct[k] for k in rows])
        tables[source] = {
            "aa": _mean_accuracy(table),
            "oa": sum(correct[k] for k in rows) / len(rows),
            "items": len(rows),
            "categories": table,
        }
    pooled = _by_category(categories, correct)
    return {
        "average_accuracy": sum(table["aa"] for table in tables.values()) / len(tables),
        "overall_accuracy": sum(correct) / len(correct),
        "sources": tables,
        "categories": pooled,
        "pooled_category_accuracy": _mean_accuracy(pooled),
        "items": len(correct),
        "correct": [int(value) for value in correct],
        "settings": {"normalisation": normalisation},
    }


def same_answer(prediction: str, reference: str, normalisation: Normalisation = "official") -> bool:
    """Tell whether an answer is right by LRS-VQA's rule.

    Example:
        >>> same_answer("Automobile", "car"), same_answer("car.", "car"), same_answer("car.", "car", "rscovlm")
        (True, False, True)
    """
    if normalisation == "official":
        prediction, reference = prediction.lower(), reference.lower()
    else:
        prediction, reference = normalised(prediction), normalised(reference)
    return prediction == reference or share_meaning(prediction, reference)


def _by_category(categories: Sequence[str], correct: Sequence[bool]) -> dict[str, dict[str, float]]:
    table: dict[str, dict[str, float]] = {}
    for category in sorted(set(categories)):
        hits = [right for name, right in zip(categories, correct, strict=True) if name == category]
        table[category] = {"accuracy": sum(hits) / len(hits), "correct": sum(hits), "items": len(hits)}
    return table


def _mean_accuracy(table: dict[str, dict[str, float]]) -> float:
    return sum(row["accuracy"] for row in table.values()) / len(table)
