"""Whether hiding the region that is to answer a question changes what a model answers, record by record."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rscovlm.engines.engine import Conversation, check_engine, dialect_of
from rscovlm.geometry import Boxes
from rscovlm.metrics.letters import chosen_letters
from rscovlm.metrics.options import choice
from rscovlm.quality.findings import Finding, Report
from rscovlm.records.record import Annotation, Record
from rscovlm.records.views import load_image, open_ref
from rscovlm.tasks.answer import question
from rscovlm.tasks.zoom import nested_regions
from rscovlm.zoom.evidence import answer_pairs, hidden_pair
from rscovlm.zoom.summary import ZoomQuestion, same_answer

if TYPE_CHECKING:
    from rscovlm.engines import Engine

CHANGED = "the answer changes"
"""What is counted for a question that is answered from its region, as it should be."""

Pair = tuple[Conversation, Conversation]


def lint_evidence(
    records: Iterable[Record],
    root: str | Path,
    engine: Engine,
    report: Report,
    *,
    batch: int = 16,
    max_new_tokens: int = 64,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Ask each question with its region shown and with its region hidden, and add what does not change to a report.

    ``idle evidence``: the answer is the same, so it comes from elsewhere or is guessed. ``wrong evidence``: the answer is not
    the true one although the region is shown, so that the region is another or the model too weak; such a question says nothing
    about its region. Of regions that lie in one another the innermost is hidden, of regions apart all are.

    Args:
        records: Records; those without question, answer or region are counted and left out.
        root: The data folder.
        engine: Who answers.
        report: Gets the findings, and the counts as ``report.evidence``.
        batch: Questions that are asked at a time.
        max_new_tokens: Limit of an answer.
        progress: Called with the number of questions so far.
    """
    check_engine(engine)
    wanted = _askable(records, Path(root), engine, report)
    done = 0
    while some := list(islice(wanted, batch)):
        answers = answer_pairs(engine, [pair for _, pair in some], max_new_tokens=max_new_tokens)
        for (record, _), (shown, hidden) in zip(some, answers, strict=True):
            _judge(record, shown, hidden, report)
        done += len(some)
        if progress is not None:
            progress(done)


def evidence_of(record: Record) -> tuple[tuple[float, float, float, float], ...]:
    """Return the regions to hide: the innermost of some that lie in one another, else all.

    >>> apart = Record("1", "mine", "train", "zoom", regions=((0, 0, 2, 2), (4, 4, 9, 9)))
    >>> nested = Record("1", "mine", "train", "zoom", regions=((0, 0, 9, 9), (2, 2, 5, 5)))
    >>> evidence_of(apart), evidence_of(nested)
    (((0, 0, 2, 2), (4, 4, 9, 9)), ((2, 2, 5, 5),))
    """
    return nested_regions(record)[-1:] or record.regions


def _askable(records: Iterable[Record], root: Path, engine: Engine, report: Report) -> Iterator[tuple[Record, Pair]]:
    """Yield the records that can be checked with their conversations; count why others cannot."""
    for record in records:
        lacking = {"no region": not record.regions, "no question": not record.question, "no answer": not record.answer}
        reason = next((reason for reason, so in lacking.items() if so), "")
        if not reason and len(record.images) != 1:
            reason = f"{len(record.images)} images"
        if reason:
            report.evidence[reason] += 1
            continue
        (image,) = record.images
        try:
            pixels: Any = load_image(image, root) if image.window is not None else open_ref(image, root)
        except (ValueError, OSError) as error:
            report.evidence["no readable image"] += 1
            report.add(Finding("unreadable image", _place(record), str(error)))
            continue
        try:
            pair = _pair(record, pixels, engine)
        except ValueError as error:  # the region shows nothing
            report.evidence["no region on the image"] += 1
            report.add(Finding("wrong evidence", _place(record), str(error), images=record.images))
            continue
        yield record, pair


def _pair(record: Record, pixels: Any, engine: Engine) -> Pair:
    asked = question(dialect_of(engine), record.question, record.choices).user
    regions = Boxes([list(region) for region in evidence_of(record)], "hbb")
    return hidden_pair(engine, ZoomQuestion(pixels, asked, record.answer, regions))


def _judge(record: Record, shown: str, hidden: str, report: Report) -> None:
    right, same = _right(record, shown), same_answer(shown, hidden)
    if record.choices and not same:
        letters = chosen_letters(shown)
        same = bool(letters) and letters == chosen_letters(hidden)
    check = "wrong evidence" if not right else "idle evidence" if same else ""
    report.evidence[check or CHANGED] += 1
    if not check:
        return
    detail = f"{record.question!r}: {shown!r} with its region, {hidden!r} without"
    if not right:
        detail += f", true is {record.answer!r}"
    marked = tuple(Annotation(region, "evidence", "hbb") for region in evidence_of(record))
    report.add(Finding(check, _place(record), detail, images=record.images, boxes=marked))


def _right(record: Record, answer: str) -> bool:
    if same_answer(answer, record.answer):
        return True
    if not record.choices:
        return False
    try:
        return choice(answer, record.answer, record.choices) == 1.0
    except ValueError:  # the true answer is none of the choices; lint's own checks say so
        return False


def _place(record: Record) -> str:
    return f"{record.source}/{record.split}/{record.id}"
