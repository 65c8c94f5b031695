"""Conversations of several turns, as a data set tells them, with boxes in the dialect's own coordinates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import takewhile
from typing import Any

import numpy as np

from rscovlm.codec import Codec
from rscovlm.codec.dialect import Dialect
from rscovlm.codec.mentions import mentions
from rscovlm.geometry import Boxes
from rscovlm.records import Annotation, Record, Rejected, Turn
from rscovlm.records.jsonfiles import parsed
from rscovlm.records.record import BOX_MARK
from rscovlm.tasks.task import Draw, Example, Message, Question, Shown, Task, interleaved


class Converse(Task):
    """Turns of a user and an assistant."""

    name = "conversation"
    pictured = False

    def needs(self, record: Record) -> Iterable[tuple[bool, str]]:
        """A question first, and no empty answer."""
        roles = [turn.role for turn in record.turns if turn.role != "system"]
        yield "assistant" not in roles, "no answer in the conversation"
        yield bool(roles) and roles[0] != "user" or _unasked(record.turns), "answer without a question"
        yield any(turn.role == "assistant" and not turn.text.strip() for turn in record.turns), "empty answer"
        marks = sum(turn.text.count("<image>") for turn in record.turns)
        yield bool(marks) and marks != len(record.images), "image marks do not match"

    def example(self, record: Record, shown: Shown, draw: Draw) -> Example:
        """Write the turns as they are; images stand where they are marked, else before the first question."""
        messages: list[Message] = []
        placed = sum(turn.text.count("<image>") for turn in record.turns)
        for place, turn in enumerate(record.turns):
            if turn.role == "assistant":
                _check_mentions(record.id, turn.text)
            text = BOX_MARK.sub(
                lambda mark: _box_text(record.objects[int(mark[1])], shown, draw.dialect.codec), turn.text
            )
            content: list[dict[str, Any]] = []
            if not placed and turn.role == "user" and not any(m["role"] == "user" for m in messages):
                content += [{"type": "image"} for _ in record.images]
            content += interleaved(text, [{"type": "image"}] * text.count("<image>"))
            messages.append({"role": turn.role, "content": content or [{"type": "text", "text": ""}]})
            if turn.role == "assistant" and place == 0:
                raise Rejected("answer without a question", f"record {record.id!r} begins with an assistant turn")
        return Example(messages, shown.pictures, tools=declared_tools(record.extra.get("tools", "")))

    def asks(self, record: Record, dialect: Dialect) -> Question:
        """Ask the one question of a conversation, in its own words.

        Raises:
            ValueError: It has several questions, or boxes, whose coordinates depend on what the model sees.
        """
        turns = [turn for turn in record.turns if turn.role != "system"]
        if [turn.role for turn in turns] != ["user", "assistant"] or any(BOX_MARK.search(turn.text) for turn in turns):
            raise ValueError(f"record {record.id!r} is no single question and answer without boxes; leave it out")
        system = next((turn.text for turn in record.turns if turn.role == "system"), None)
        return Question(system, turns[0].text, marked="<image>" in turns[0].text)

    def turns(self, record: Record) -> tuple[Turn, ...]:
        """The turns as they are."""
        return record.turns

    def truth(self, record: Record, size: tuple[int, int]) -> dict[str, Any]:
        """The last answer."""
        return {"answer": record.turns[-1].text}


TASK = Converse()


def _check_mentions(name: str, text: str) -> None:
    """Refuse an answer that holds a box which cannot be, as a typing error leaves it: it would be trained as it is written."""
    wrong = next((one for one in mentions(text) if not one.possible), None)
    if wrong is not None:
        raise Rejected(
            "box that cannot be",
            f"record {name!r} answers with {text[wrong.start : wrong.end]!r}, which is no box of its image",
        )


def declared_tools(tools: str) -> list[dict[str, Any]] | None:
    """Give the functions that a record's `extra["tools"]` declares as the chat template takes them, or None.

    Raises:
        ValueError: They are no list of objects in JSON.
    """
    if not tools:
        return None
    found = parsed(tools)
    if not isinstance(found, list) or not all(isinstance(tool, Mapping) for tool in found):
        raise Rejected("malformed tools", f"tools {tools[:80]!r} are no list of functions")
    return [dict(tool) for tool in found] or None


def _box_text(item: Annotation, shown: Shown, codec: Codec) -> str:
    box = Boxes(np.array([item.box]), item.kind, shown.frames[item.image])
    return codec.mention(box, shown.seen(item.image))


def _unasked(turns: Iterable[Turn]) -> bool:
    """Tell whether an answer comes before anything was said: pictures alone ask nothing."""
    first = "".join(
        turn.text for turn in takewhile(lambda turn: turn.role != "assistant", turns) if turn.role == "user"
    )
    return not first.replace("<image>", "").strip()
