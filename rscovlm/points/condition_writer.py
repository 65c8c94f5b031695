"""Instructions to plans by a model: asked for JSON, checked, asked again with the reason, and kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

from rscovlm.engines.engine import Conversation, check_engine, replies
from rscovlm.points.conditions import ACTIONS, PARTS, SCHEMA, ConditionPlan
from rscovlm.zoom.journal import Journal

if TYPE_CHECKING:
    from rscovlm.engines.engine import Engine

PLANS = "plans"
"""Kind of the file of plans."""

SYSTEM = f"""You split an instruction about an overhead image into steps. Answer with one JSON object and nothing else:
{{"steps": [{{"name": ..., "do": ..., ...}}, ...]}}

Every step has a name of its own. "do" is one of {", ".join(ACTIONS)}.
- find: "what" is what to look for, without conditions; "many" is false where one particular object is meant.
- all others choose from the objects of another step, named by "of".
- left_of to west_of, within, beyond, along, nearest, farthest, inside, outside, between compare with the steps named in the list "to".
- within and beyond need "distance" with "unit" m or px.
- superlatives, nearest and farthest keep "count" objects, 1 by default.
- part: "what" is one of {", ".join(PARTS)} of the image. matching: "what" is a property that only a look can decide.
- count is the last step where a number is asked for.
The last step is the answer. Put superlatives behind the other conditions.

Instruction: the two largest ships within 200 m of the pier
{{"steps": [{{"name": "ships", "do": "find", "what": "ships"}},
{{"name": "pier", "do": "find", "what": "pier", "many": false}},
{{"name": "near", "do": "within", "of": "ships", "to": ["pier"], "distance": 200}},
{{"name": "answer", "do": "largest", "of": "near", "count": 2}}]}}"""


class ConditionWriter:
    """Parses instructions with a model.

    Args:
        engine: Who answers; it is shown no image.
        tries: Times that it is asked until its answer is a valid plan.
        cache: A file that keeps every valid plan, so that an instruction is asked once; None keeps them in memory.
        max_new_tokens: Limit of an answer.

    Attributes:
        asked: Questions put to the engine so far.

    Raises:
        ValueError: The engine is none, `tries` is not positive, or the file is not ours.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        tries: int = 3,
        cache: str | PathLike[str] | None = None,
        max_new_tokens: int = 1024,
    ) -> None:
        check_engine(engine)
        if tries < 1:
            raise ValueError(f"tries is {tries}; give a number from 1")
        self.engine, self.tries, self.cache, self.max_new_tokens = engine, tries, cache, max_new_tokens
        self.asked = 0
        self._known: dict[str, Any] = {}
        if cache is not None:
            with self._journal() as journal:
                self._known = {row["id"]: row["plan"] for row in journal}

    def __call__(self, instruction: str, *, areas: Sequence[str] = ()) -> ConditionPlan:
        """Return the plan of an instruction.

        Args:
            instruction: What is asked for.
            areas: Names of areas that the plan may compare with.

        Raises:
            ValueError: No answer was a valid plan; the message holds the last reason.
        """
        key = hashlib.sha256(json.dumps([instruction, list(areas)]).encode()).hexdigest()[:24]
        if key in self._known:
            return ConditionPlan.from_dict(self._known[key], given=areas)
        plan = self._written(instruction, areas)
        self._known[key] = plan.to_dict()
        if self.cache is not None:
            with self._journal() as journal:
                journal.append([{"id": key, "instruction": instruction, "plan": self._known[key]}])
        return plan

    def _written(self, instruction: str, areas: Sequence[str]) -> ConditionPlan:
        known = f"\nAreas that are known: {', '.join(areas)}" if areas else ""
        messages: list[dict[str, Any]] = [_turn("system", SYSTEM), _turn("user", f"Instruction: {instruction}{known}")]
        reason = ""
        for _ in range(self.tries):
            self.asked += 1
            (reply,) = replies(self.engine, [Conversation(list(messages))], max_new_tokens=self.max_new_tokens)
            try:
                return ConditionPlan.from_dict(read_object(reply.text), given=areas)
            except ValueError as error:
                reason = str(error)
            # The model is shown what it wrote and why it cannot be used.
            messages += [
                _turn("assistant", reply.text),
                _turn("user", f"That is no valid plan: {reason}. Answer with the corrected JSON object alone."),
            ]
        raise ValueError(
            f"{self.tries} answers to {instruction[:80]!r} were no valid plan, the last because {reason}; reword the "
            "instruction, raise tries, or parse it by rules"
        )

    def _journal(self) -> Journal:
        about = {"system": hashlib.sha256(SYSTEM.encode()).hexdigest()[:12], "schema": SCHEMA}
        return Journal(str(self.cache), about, kind=PLANS, what="another form of plans")


def read_object(text: str) -> Any:
    """Return the first JSON object with steps in a text, whatever stands around it.

    Raises:
        ValueError: There is none.

    >>> read_object('Sure: ```json {"steps": []} ```')
    {'steps': []}
    """
    for value in _objects(text):
        if "steps" in value:
            return value
    raise ValueError(f"there is no JSON object with steps in {text[:80]!r}")


def _objects(text: str) -> Iterator[dict[str, Any]]:
    decoder, start = json.JSONDecoder(), text.find("{")
    # A reader that fails at each brace would read a long answer again and again.
    for _ in range(64):
        if start < 0:
            return
        try:
            value, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            start = text.find("{", start + 1)
            continue
        if isinstance(value, dict):
            yield value
        start = text.find("{", end)


def _turn(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "content": [{"type": "text", "text": text}]}
