"""The engine as one request has it: its tokens are counted, and end where the client wants them to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rscovlm.engines.engine import Conversation, Reply, dialect_of, replies
from rscovlm.processing.resolution import plan_size

if TYPE_CHECKING:
    from rscovlm.codec import Codec
    from rscovlm.codec.dialect import Dialect
    from rscovlm.engines import Engine
    from rscovlm.processing.resolution import PixelBudget

BYTES_A_TOKEN = 3
"""By which the tokens of a text are estimated where the engine cannot count them; English has about four."""


class Metered:
    """An engine that counts what one request costs and bounds the tokens of its whole completion.

    A completion may take many replies: one a tile, one a look. Those that could pass the bound together are asked for one
    after another, and what is left when the bound is reached is not asked at all: its reply is empty and cut.

    Args:
        engine: Who answers.
        most: Generated tokens of the completion at most; ``None`` bounds each reply alone.
        each: Generated tokens of a reply at most, whatever is asked for; ``None`` for no such bound.

    Attributes:
        codec: The engine's.
        budget: The engine's.
        dialect: The engine's.
        prompt_tokens: Tokens that the model read, over all replies.
        completion_tokens: Tokens that it wrote.
    """

    def __init__(self, engine: Engine, most: int | None = None, each: int | None = None) -> None:
        self._engine, self._most, self._each = engine, most, each
        self.codec: Codec = engine.codec
        self.budget: PixelBudget = engine.budget
        self.dialect: Dialect = dialect_of(engine)
        self.prompt_tokens = self.completion_tokens = 0

    def generate(
        self, conversations: Sequence[Conversation], *, max_new_tokens: int = 1024, logprobs: bool = False
    ) -> list[Reply]:
        """Answer each conversation; see :class:`~rscovlm.engines.Engine`."""
        answered: list[Reply] = []
        while rest := conversations[len(answered) :]:
            each = max_new_tokens if self._each is None else min(max_new_tokens, self._each)
            together = len(rest)
            if self._most is not None:
                left = self._most - self.completion_tokens
                if left <= 0:
                    return answered + [Reply("", finish="length")] * len(rest)
                each = min(each, left)
                together = left // each
            asked = rest[:together]
            for conversation, reply in zip(
                asked, replies(self._engine, asked, max_new_tokens=each, logprobs=logprobs), strict=True
            ):
                self.prompt_tokens += reply.prompt_tokens or self._estimate(conversation)
                self.completion_tokens += reply.tokens
                answered.append(reply)
        return answered

    def _estimate(self, conversation: Conversation) -> int:
        """Return about how many tokens a conversation has, for engines that do not say."""
        images = conversation.images()
        visual = sum(self.budget.tokens(plan_size(one.width, one.height, self.budget)) for one in images)
        return visual + sum(estimated_tokens(_text(turn["content"])) for turn in conversation.messages)


def estimated_tokens(text: str) -> int:
    """Return about how many tokens a text has.

    >>> estimated_tokens("two ships")
    3
    """
    return -(-len(text.encode(errors="replace")) // BYTES_A_TOKEN)


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else []
    return "".join(str(block.get("text", "")) for block in blocks)
