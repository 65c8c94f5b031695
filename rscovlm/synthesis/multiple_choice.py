"""Multiple choice from open questions: three wrong options by a model, checked, shuffled, the letter kept."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from rscovlm.records.record import Record
from rscovlm.records.tally import Rejected, Tally
from rscovlm.synthesis.interview import Ask, Interview
from rscovlm.synthesis.replies import check_distractors, usable
from rscovlm.synthesis.wording import generator, wording
from rscovlm.tasks.table import task_of


def multiple_choice(
    records: Iterable[Record], interview: Interview, *, seed: int = 0, tally: Tally | None = None
) -> Iterator[Record]:
    """Turn questions with answers into multiple choice with exactly four distinct options.

    Args:
        records: `zoom` or `vqa` records with an open question; others, and those that have choices, are passed over.
        interview: Asks the model for distractors and keeps its replies.
        seed: Of the shuffle.
        tally: Counts records kept, and those rejected by reason.

    Yields:
        The records with `choices`, and the right one's letter as `answer`.
    """
    tally = tally or Tally(1.0)
    waiting: dict[str, list[Record]] = {}

    def asks() -> Iterator[Ask]:
        for record in records:
            if not task_of(record.task).choosable or record.choices or not record.question or not record.answer:
                continue
            key = hashlib.sha256(
                "\x1f".join([record.question, record.answer, str(wording()["distractors"])]).encode()
            ).hexdigest()
            waiting.setdefault(key, []).append(record)
            yield Ask(key, partial(_messages, record), partial(usable, check_distractors, record.answer))

    for question, reply in interview.ask(asks()):
        record = waiting[question.key].pop(0)
        with tally.row(f"{record.source}/{record.id}"):
            if reply is None:
                raise Rejected("budget spent", "not asked: raise the budget and run again")
            options = [record.answer, *check_distractors(reply, record.answer)]
            order = generator(seed, record.source, record.id, record.question).permutation(4).tolist()
            letter = "ABCD"[order.index(0)]
            tally.keep()
            extra = {**record.extra, "open_answer": record.answer}
            choices = tuple(options[place] for place in order)
            yield replace(record, id=f"{record.id}/mcq", choices=choices, answer=letter, extra=extra)


def _messages(record: Record) -> list[dict[str, Any]]:
    texts: dict[str, str] = wording()["distractors"]
    asked = texts["user"].format(question=record.question, answer=record.answer)
    return [{"role": "system", "content": texts["system"]}, {"role": "user", "content": asked}]
