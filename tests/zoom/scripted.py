"""An engine whose replies are written down beforehand: it looks at nothing and keeps what it was asked."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence

from rscovlm.codec import Codec
from rscovlm.engines import Conversation, Engine, Reply
from rscovlm.processing.resolution import PixelBudget

Script = Callable[[Conversation, int], str | Reply]


class Scripted:
    """Calls ``script(conversation, turns of the assistant so far)`` for each reply."""

    def __init__(
        self, script: Script | Sequence[str], codec: str = "rscovlm-v1", budget: PixelBudget | None = None
    ) -> None:
        self.codec = Codec.preset(codec)
        self.budget = budget or PixelBudget()
        lines = [] if callable(script) else list(script)
        self.script: Script = script if callable(script) else lambda _, turn: lines[turn]
        self.asked: list[list[Conversation]] = []

    def generate(
        self, conversations: Sequence[Conversation], *, max_new_tokens: int = 1024, logprobs: bool = False
    ) -> list[Reply]:
        self.asked.append(
            [Conversation(list(one.messages), copy.copy(one.tools), one.grammar) for one in conversations]
        )
        replies = []
        for one in conversations:
            said = self.script(one, sum(turn["role"] == "assistant" for turn in one.messages))
            replies.append(said if isinstance(said, Reply) else Reply(said, tokens=len(said), seconds=0.001))
        return replies


def as_engine(engine: Scripted) -> Engine:
    return engine


def call(*bbox: float, image: int | None = None) -> str:
    arguments: dict[str, object] = {"bbox": list(bbox)} | ({} if image is None else {"image": image})
    return "<tool_call>\n" + json.dumps({"name": "image_zoom_in", "arguments": arguments}) + "\n</tool_call>"


def texts(conversation: Conversation) -> list[str]:
    """Each turn as ``role: text``, images as ``<image>``."""
    lines = []
    for turn in conversation.messages:
        content = turn["content"]
        words = content if isinstance(content, str) else "".join(block.get("text", "<image>") for block in content)
        lines.append(f"{turn['role']}: {words}")
    return lines
