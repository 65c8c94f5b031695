"""Scene classification: overall accuracy, per class, confusion; and labels of which a scene has several."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rscovlm.metrics.final_answers import final_answer
from rscovlm.metrics.rules import RULES
from rscovlm.metrics.texts import check_columns, check_texts, holds, holds_joined, words

OTHER = "(none of the classes)"
"""Column of the confusion table for answers that name no class, or two."""


def scene_accuracy(
    predictions: Sequence[str],
    references: Sequence[str],
    *,
    classes: Sequence[str] | None = None,
    match: str = "class",
) -> dict[str, Any]:
    """Compute overall accuracy, accuracy per class and the confusion table of scene classification.

    Under ``match="class"`` an answer is read as the class it names: one whose words it has exactly, else the only one
    whose words stand in it whole (of names within names the longest counts). Names written in one word or in several are the
    same (``"parkinglot"``, ``"Parking-Lot"``); a model's thoughts before its answer are left out. An answer that names none, or two, is
    wrong and goes to a column of its own. Every rule of `answer_accuracy` can decide instead, such as ``"vhm"`` or
    ``"geochat"``; the table is the same.

    Args:
        predictions: One answer per image.
        references: The true class of each.
        classes: All class names; None takes those of `references`, sorted.
        match: ``"class"`` or a rule of `answer_accuracy`.

    Returns:
        ``accuracy``, ``mean_class_accuracy`` (over classes with an image), ``per_class`` (name -> ``accuracy``,
        ``items``, ``predicted``), ``confusion`` (true class -> answered class -> number, zeros left out), ``unread``
        (answers that name no class, or two), ``items``, ``correct``, ``match``. Values are fractions.

    Raises:
        ValueError: If lengths differ, nothing is given, an entry is no string, or a true class is not in `classes`.

    Source:
        RSCoVLM table IV.

    Example:
        >>> scene_accuracy(["an airport.", "park"], ["airport", "parking"], classes=["airport", "parking", "park"])["accuracy"]
        0.5
    """
    check_texts({"predictions": predictions, "references": references})
    names = sorted(set(references)) if classes is None else list(classes)
    if len(set(names)) != len(names):
        raise ValueError(f"classes is {names}; give distinct names")
    for k, name in enumerate(references):
        if name not in names:
            raise ValueError(f"references[{k}] is {name!r}, which is not among classes {names}")
    if match != "class" and match not in RULES:
        raise ValueError(f"match is {match!r}; use 'class' or one of {', '.join(RULES)}")
    spoken = {name: words(name) for name in names}
    read = {text: _class_of(words(final_answer(text)), spoken) for text in set(predictions)}
    if match == "class":
        correct = [float(read[mine] == true) for mine, true in zip(predictions, references, strict=True)]
    else:
        rule = RULES[match]
        correct = [rule(mine, true) or 0.0 for mine, true in zip(predictions, references, strict=True)]
    confusion: dict[str, dict[str, int]] = {}
    for mine, true in sorted(zip((read[text] for text in predictions), references, strict=True)):
        row = confusion.setdefault(true, {})
        row[mine] = row.get(mine, 0) + 1
    per_class = {}
    for name in names:
        hits = sorted(credit for credit, true in zip(correct, references, strict=True) if true == name)
        per_class[name] = {
            "accuracy": sum(hits) / len(hits) if hits else 0.0,
            "items": len(hits),
            "predicted": sum(row.get(name, 0) for row in confusion.values()),
        }
    present = [row["accuracy"] for row in per_class.values() if row["items"]]
    return {
        "accuracy": sum(sorted(correct)) / len(correct),
        "mean_class_accuracy": sum(present) / len(present),
        "per_class": per_class,
        "confusion": confusion,
        "unread": sum(row.get(OTHER, 0) for row in confusion.values()),
        "items": len(correct),
        "correct": correct,
        "match": match,
    }


def multi_label_f1(
    predictions: Sequence[str | Iterable[str]],
    references: Sequence[str | Iterable[str]],
    *,
    classes: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Compute mean F1 of scenes that carry several labels.

    Args:
        predictions: The labels of each image, as a collection of names or one text with commas ("a, b and c").
        references: The true labels, likewise.
        classes: All label names; None takes those of `references`. What a prediction names beyond them is wrong in
            ``f1_samples`` and counted in ``unknown``.

    Returns:
        ``mean_f1`` (mean over classes with a true image, the macro average), ``f1_samples`` (mean over images),
        ``f1_micro`` (all decisions pooled), ``per_class`` (name -> ``f1``, ``precision``, ``recall``, ``true``,
        ``predicted``), ``unknown``, ``items``.

    Raises:
        ValueError: If lengths differ, nothing is given, or a true label is not in `classes`.

    Source:
        VHM's paper reports mean F1 for multi-label scenes; its code has an average class precision alone.

    Example:
        >>> multi_label_f1(["road, tree", "tree."], [["road", "tree"], ["road"]])["f1_samples"]
        0.5
    """
    check_columns({"predictions": predictions, "references": references})
    found = [_labels(entry, f"predictions[{k}]") for k, entry in enumerate(predictions)]
    true = [_labels(entry, f"references[{k}]") for k, entry in enumerate(references)]
    names = sorted(set().union(*true)) if classes is None else [" ".join(words(name)) for name in classes]
    known = {name.replace(" ", ""): name for name in reversed(names)}
    found, true = (
        [{known.get(label.replace(" ", ""), label) for label in row} for row in rows] for rows in (found, true)
    )
    for k, labels in enumerate(true):
        if not labels <= set(names):
            raise ValueError(f"references[{k}] holds {sorted(labels - set(names))}, not among classes {names}")
    per_class = {}
    for name in names:
        both = sum(name in mine and name in theirs for mine, theirs in zip(found, true, strict=True))
        predicted, actual = sum(name in mine for mine in found), sum(name in theirs for theirs in true)
        per_class[name] = {
            "f1": _f1(both, predicted, actual),
            "precision": both / predicted if predicted else 0.0,
            "recall": both / actual if actual else 0.0,
            "true": actual,
            "predicted": predicted,
        }
    samples = [_f1(len(a & b), len(a), len(b)) for a, b in zip(found, true, strict=True)]
    present = [row["f1"] for row in per_class.values() if row["true"]]
    shared = sum(len(a & b) for a, b in zip(found, true, strict=True))
    return {
        "mean_f1": sum(present) / len(present) if present else 0.0,
        "f1_samples": sum(sorted(samples)) / len(samples),
        "f1_micro": _f1(shared, sum(map(len, found)), sum(map(len, true))),
        "per_class": per_class,
        "unknown": sum(len(labels - set(names)) for labels in found),
        "items": len(found),
    }


def _class_of(text: list[str], spoken: dict[str, list[str]]) -> str:
    """Return the class a text names."""
    same = [name for name, parts in spoken.items() if parts == text]
    if same:
        return same[0]
    same = [name for name, parts in spoken.items() if "".join(parts) == "".join(text) != ""]
    if len(same) == 1:
        return same[0]
    inside = [name for name, parts in spoken.items() if holds_joined(text, parts)]
    longest = [
        name
        for name in inside
        if not any(len(spoken[other]) > len(spoken[name]) and holds(spoken[other], spoken[name]) for other in inside)
    ]
    return longest[0] if len(longest) == 1 else OTHER


def _labels(entry: str | Iterable[str], name: str) -> set[str]:
    parts = entry.replace(" and ", ",").split(",") if isinstance(entry, str) else list(entry)
    if not all(isinstance(part, str) for part in parts):
        raise ValueError(f"{name} is {entry!r}; give names, or one text with commas")
    return {" ".join(words(part)) for part in parts} - {""}


def _f1(both: int, predicted: int, actual: int) -> float:
    """F1 of two sets; 1 where both are empty."""
    return 2 * both / (predicted + actual) if predicted + actual else 1.0
