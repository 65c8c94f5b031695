"""LLaVA-style conversations, `{"conversations": [{"from": "human", "value": "..."}], "image": "..."}`, shared by several sources."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from rscovlm.data.textboxes import Scale, lift
from rscovlm.records.record import Annotation, ImageRef, Record, Role, Turn
from rscovlm.records.rows import Row
from rscovlm.records.tally import Rejected

_ROLES: dict[str, Role] = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "model": "assistant",
    "system": "system",
}
_MARK = re.compile(r"[ \t]*<(?:image|video)>[ \t]*\n?")


def read_turns(conversations: Sequence[object], images: int) -> tuple[Turn, ...]:
    r"""Read the turns, each `<image>` (with the line break after it) as one bare `<image>` mark.

    If no mark is there, all `images` are taken to stand before the first text. A single `<video>`, or a single `<image>` for several
    frames, stands for all of them.

    >>> read_turns([{"from": "human", "value": "<image>\nWhat is it?"}, {"from": "gpt", "value": " A port. "}], 1)[0].text
    '<image>What is it?'
    """
    turns = []
    for item in map(Row, conversations):
        speaker = item.text("from")
        if speaker not in _ROLES:
            raise Rejected("unknown role", f"turn is from {speaker!r}; known: {', '.join(_ROLES)}")
        turns.append(Turn(_ROLES[speaker], _MARK.sub("<image>", item.text("value")).strip()))
    marks = sum(turn.text.count("<image>") for turn in turns)
    if marks == images:
        return tuple(turns)
    if marks > 1 or (marks and not images):
        raise Rejected("image marks do not match", f"{marks} image marks for {images} images")
    first = next(
        (i for i, turn in enumerate(turns) if ("<image>" in turn.text if marks else turn.role == "user")), None
    )
    if first is None:
        raise Rejected("answer without a question", "no user turn to show the images in")
    text = turns[first].text
    all_marks = "<image>" * images
    turns[first] = Turn(turns[first].role, text.replace("<image>", all_marks) if marks else all_marks + text)
    return tuple(turns)


def chat_record(
    row: Row,
    name: str,
    source: str,
    split: str,
    images: Sequence[ImageRef],
    *,
    scale: Scale | None,
    extra: Mapping[str, str] | None = None,
) -> Record:
    """Make a conversation record; with a scale, boxes in its texts become `<box:i>` and objects on the first image."""
    turns = read_turns(row.list("conversations"), len(images))
    objects: list[Annotation] = []
    if scale is not None and images:
        width, height = images[0].width, images[0].height
        turns = tuple(Turn(turn.role, lift(turn.text, objects, scale, width, height)) for turn in turns)
    return Record(
        name, source, split, "conversation", tuple(images), turns=turns, objects=tuple(objects), extra=dict(extra or {})
    )


def named(row: Row, place: str) -> str:
    """Give the row's own id with its number appended, since published ids repeat; without an id its number."""
    number = place.rpartition("row ")[2]
    own = row.get("id", row.get("question_id"))
    return f"{own}#{number}" if own is not None else number
