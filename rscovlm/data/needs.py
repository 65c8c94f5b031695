"""What each task needs of a record, and how a record that lacks it is called when it is counted."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import takewhile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rscovlm.data.records import Record, Turn


def missing(record: Record) -> list[str]:
    """Say what the record's task needs and it lacks, one short reason each, the first being what it is counted by."""
    reasons = [reason for lacks, reason in _NEEDS[record.task](record) if lacks]
    if not record.images and record.task != "conversation":
        reasons.append("no image")
    if any("<|" in text and _MODEL_MARK.search(text) for text in _told(record)):
        reasons.append("special token in the text")
    if not _writable(record):
        reasons.append("text is not Unicode")
    return reasons


_MODEL_MARK = re.compile(r"<\|\w+\|>")
"""What tokenizers of Qwen models read as one token of their own, such as the end of a turn, wherever it stands."""


def _told(record: Record) -> list[str]:
    """Return the texts that a model may be shown or trained on."""
    texts = [record.question, record.answer, record.expression]
    texts += [*record.classes, *record.captions, *record.choices, *record.categories]
    return texts + [turn.text for turn in record.turns] + [item.label for item in record.objects]


def _writable(record: Record) -> bool:
    """Tell whether the texts can be written: half a surrogate pair, or a byte that was no UTF-8, cannot."""
    texts = [record.id, record.source, record.split, *_told(record)]
    texts += [image.path for image in (*record.images, *record.masks)]
    texts += [text for pair in record.extra.items() for text in pair]
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        return False
    return True


def _unasked(turns: Iterable[Turn]) -> bool:
    """Tell whether an answer comes before anything was said: pictures alone ask nothing."""
    first = "".join(
        turn.text for turn in takewhile(lambda turn: turn.role != "assistant", turns) if turn.role == "user"
    )
    return not first.replace("<image>", "").strip()


def _question(record: Record) -> Iterable[tuple[bool, str]]:
    yield not record.question.strip(), "answer without a question" if record.answer else "no question"
    yield not record.answer.strip(), "empty answer"


def _conversation(record: Record) -> Iterable[tuple[bool, str]]:
    roles = [turn.role for turn in record.turns if turn.role != "system"]
    yield "assistant" not in roles, "no answer in the conversation"
    yield bool(roles) and roles[0] != "user" or _unasked(record.turns), "answer without a question"
    yield any(turn.role == "assistant" and not turn.text.strip() for turn in record.turns), "empty answer"


_NEEDS: dict[str, Callable[[Record], Iterable[tuple[bool, str]]]] = {
    "classification": lambda r: [(not r.classes, "no class")],
    "caption": lambda r: [(not any(text.strip() for text in r.captions), "no caption")],
    "vqa": _question,
    "conversation": _conversation,
    "grounding": lambda r: [(not r.expression.strip(), "no expression"), (not r.objects, "no object")],
    "detection": lambda r: [(not r.categories, "no categories")],
    "zoom": lambda r: [*_question(r), (not r.regions, "no region")],
    "segmentation": lambda r: [
        (not (r.expression or r.categories), "no expression"),
        (not (r.objects or r.masks), "no mask"),
    ],
    "change": lambda r: [(len(r.images) < 2, "fewer than two images")],
}
