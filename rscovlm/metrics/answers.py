"""Accuracy of written answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rscovlm.metrics.options import MME_LETTERS, OPTION_RULES
from rscovlm.metrics.rules import RULES
from rscovlm.metrics.texts import check_texts, number_in, words

RSVQA_SUBSETS = ("HR-comp", "HR-presence", "LR-comp", "LR-presence", "LR-rural_urban")
"""The five columns of table V; its average is their plain mean."""

RSVQA_COUNTS = ("HR-count", "LR-count")
"""Questions for a number, which table V leaves out; the number named decides."""


def answer_accuracy(
    predictions: Sequence[str],
    references: Sequence[str],
    *,
    match: str = "exact",
    options: Sequence[Sequence[str]] | None = None,
    groups: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Compute the share of right answers under a named rule.

    Our rules compare whole words and call an empty answer wrong: ``"exact"`` (the default), ``"contains"`` (the true
    answer stands in the prediction), ``"contained"`` (either in the other), ``"choice"`` (a letter, or several: ``"AC"``), ``"number"``,
    ``"yes_no"``. The peers' rules compare as their programs do, traps included: ``"geochat"`` (GeoChat, and RSCoVLM's
    scenes and VQA), ``"identical"`` (RSCoVLM), ``"vhm"`` and ``"vhm_presence"`` (VHM's own program), ``"rscovlm_vhm"`` and
    ``"rscovlm_vhm_presence"`` (RSCoVLM's variants of these), ``"vhm_colour"``, ``"vhm_choice"``, ``"vrsbench"`` (before its GPT step), ``"teochat"``, ``"teochat_keywords"`` (its questions on xBD),
    ``"mme_realworld"``. `rscovlm.metrics.rules` describes each, `rscovlm.metrics.options` those that see the options.

    Args:
        predictions: One answer per item.
        references: The true answers.
        match: Name of the rule.
        options: Per item the choices, such as ``["(A) red", "(B) blue"]`` (without letters they get A, B, ...), for
            ``"choice"``, which then also understands an option's own words, and ``"mme_realworld"``, which without
            them takes the letters A to E for the choices.
        groups: A name per item; adds the accuracy of each group and their mean.

    Returns:
        ``accuracy`` (an item that the rule cannot decide counts as wrong), ``items``, ``undecided`` (how many, such as
        those VRSBench hands to GPT or that choose no letter), ``empty`` (empty answers), ``correct`` (credit per item),
        ``match``; with `groups` also ``groups`` (name -> accuracy and items) and ``group_mean``. Values are fractions.

    Raises:
        ValueError: If lengths differ, nothing is given, an entry is no string, the rule is not known or takes no
            options, or a true answer is none of its options.

    Example:
        >>> answer_accuracy(["Yes.", "", "no"], ["yes", "no", "no"])["accuracy"]
        0.6666666666666666
        >>> answer_accuracy(["blue"], ["B"], match="choice", options=[["(A) red", "(B) blue"]])["accuracy"]
        1.0
    """
    columns = {"predictions": predictions, "references": references}
    check_texts(columns if groups is None else {**columns, "groups": groups})
    if match not in RULES and match not in OPTION_RULES:
        raise ValueError(f"match is {match!r}; use one of {', '.join({**RULES, **OPTION_RULES})}")
    shown = _options(match, options, len(references))
    credits = [_credit(match, predictions[k], references[k], shown[k], k) for k in range(len(references))]
    correct = [credit or 0.0 for credit in credits]
    result: dict[str, Any] = {
        "accuracy": _mean(correct),
        "items": len(correct),
        "undecided": sum(credit is None for credit in credits),
        "empty": sum(not text.strip() for text in predictions),
        "correct": correct,
        "match": match,
    }
    if groups is not None:
        table = {}
        for group in sorted(set(groups)):
            hits = [credit for credit, name in zip(correct, groups, strict=True) if name == group]
            table[group] = {"accuracy": _mean(hits), "items": len(hits)}
        result |= {"groups": table, "group_mean": _mean([row["accuracy"] for row in table.values()])}
    return result


def rsvqa_accuracy(
    predictions: Sequence[str], references: Sequence[str], *, subsets: Sequence[str], match: str = "exact"
) -> dict[str, Any]:
    """Compute the RSVQA columns of table V and their average.

    Args:
        predictions: One answer per question.
        references: The true answers.
        subsets: Per question one of ``"HR-comp"``, ``"HR-presence"``, ``"LR-comp"``, ``"LR-presence"`` and
            ``"LR-rural_urban"``, or ``"HR-count"`` or ``"LR-count"``; case and a leading ``"RSVQA_"`` do not matter.
        match: A rule of `answer_accuracy`; the numbers of RSCoVLM's paper are those of ``"rscovlm_vhm"``. Counts are right
            where the first number named is the true one, or, where the truth is no number (``"between 0 and 10"``),
            where the words are the same.

    Returns:
        ``average`` (mean over the subsets of table V that are present; None if there is none), ``subsets`` (name ->
        accuracy and items), ``missing`` (subsets of table V without a question), ``counts`` (the same of the two with
        numbers), and ``overall`` (all questions of table V pooled; None if there is none), ``undecided``, ``match``.

    Raises:
        ValueError: As `answer_accuracy`, or if a subset is not known.

    Source:
        RSCoVLM table V; VHM's split of RSVQA.

    Example:
        >>> rsvqa_accuracy(["yes", "no"], ["yes", "yes"], subsets=["HR-comp", "LR-comp"])["average"]
        0.5
    """
    check_texts({"predictions": predictions, "references": references, "subsets": subsets})
    known = {name.lower(): name for name in (*RSVQA_SUBSETS, *RSVQA_COUNTS)}
    names = []
    for k, subset in enumerate(subsets):
        plain = subset.lower().removeprefix("rsvqa_")
        if plain not in known:
            raise ValueError(f"subsets[{k}] is {subset!r}; use one of {', '.join(known.values())}")
        names.append(known[plain])
    listed = [k for k, name in enumerate(names) if name in RSVQA_SUBSETS]
    rows = [k for k, name in enumerate(names) if name in RSVQA_COUNTS]
    result: dict[str, Any] = {"group_mean": None, "groups": {}, "accuracy": None, "undecided": 0}
    if listed:
        mine, true, groups = ([column[k] for k in listed] for column in (predictions, references, names))
        result = answer_accuracy(mine, true, match=match, groups=groups)
    counted: dict[str, list[float | None]] = {}
    for k in rows:
        counted.setdefault(names[k], []).append(_same_count(predictions[k], references[k]))
    return {
        "average": result["group_mean"],
        "subsets": result["groups"],
        "missing": [name for name in RSVQA_SUBSETS if name not in result["groups"]],
        "counts": {
            name: {"accuracy": _mean([credit or 0.0 for credit in credits]), "items": len(credits)}
            for name, credits in sorted(counted.items())
        },
        "overall": result["accuracy"],
        "undecided": result["undecided"] + sum(credit is None for credits in counted.values() for credit in credits),
        "match": match,
    }


def _same_count(prediction: str, reference: str) -> float | None:
    """Compare numbers, or the words where the truth is a range."""
    true = words(reference)
    if len(true) == 1 and number_in(reference) is not None:
        return RULES["number"](prediction, reference)
    return RULES["exact"](prediction, reference)


def _options(match: str, options: Sequence[Sequence[str]] | None, items: int) -> Sequence[Sequence[str] | None]:
    """Return the options of every item: those given, or what the rule takes without them."""
    if options is None:
        return [MME_LETTERS if match not in RULES else None] * items
    if match not in OPTION_RULES:
        raise ValueError(f"match is {match!r}, which looks at no options; leave them out or use {list(OPTION_RULES)}")
    if len(options) != items:
        raise ValueError(f"options has {len(options)} entries for {items} items; give one list of choices per item")
    for k, choices in enumerate(options):
        if isinstance(choices, str) or not all(isinstance(text, str) for text in choices):
            raise ValueError(f"options[{k}] is {choices!r}; give a list of strings, one per choice")
    return options


def _credit(match: str, prediction: str, reference: str, options: Sequence[str] | None, k: int) -> float | None:
    try:
        return (
            RULES[match](prediction, reference)
            if options is None
            else OPTION_RULES[match](prediction, reference, options)
        )
    except ValueError as error:
        raise ValueError(f"references[{k}]: {error}") from None


def _mean(values: Sequence[float]) -> float:
    # Exact sums: credits are mostly 0 and 1, and shares are added in an order that rows do not change.
    return sum(sorted(values)) / len(values)
