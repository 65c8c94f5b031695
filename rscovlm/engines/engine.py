"""What answers a conversation: the one small protocol that the chain and the detector know."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args, runtime_checkable

from rscovlm.codec.dialect import Dialect

if TYPE_CHECKING:
    from rscovlm.codec import Codec
    from rscovlm.codec.grammar import Grammar
    from rscovlm.processing.resolution import PixelBudget

Finish = Literal["stop", "length", "repeat"]


@dataclass(eq=False)
class Memory:
    """Where an engine may leave what it computed for a conversation, to resume from there when the conversation grows.

    Whoever builds the turns of one conversation gives them all the same memory and drops it with the conversation, so
    nothing outlives it. An engine that has no use for it leaves it alone.

    Attributes:
        more: Another turn may follow; when False an engine uses what it kept and keeps nothing new.
        kept: The engine's own; opaque to everyone else.
    """

    more: bool = True
    kept: Any = field(default=None, repr=False)


@dataclass
class Conversation:
    """Messages that wait for an answer.

    Attributes:
        messages: Turns with Hugging Face content blocks; images as ``{"type": "image", "image": PIL.Image}``.
        tools: Function schemas for the chat template, or ``None``.
        grammar: What the answer must look like (``codec.grammar(...)``), or ``None`` for anything: an engine that can
            hold a model to it does, so that the answer can be read.
        memory: Shared by the turns of a conversation that grows; ``None`` where there is one turn only.
    """

    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]] | None = None
    grammar: Grammar | None = None
    memory: Memory | None = field(default=None, repr=False, compare=False)

    def images(self) -> list[Any]:
        """Return the images of all turns, in order.

        Raises:
            ValueError: An image block holds no image.
        """
        images = []
        for number, turn in enumerate(self.messages):
            for block in () if isinstance(turn["content"], str) else turn["content"]:
                if block["type"] == "image":
                    if block.get("image") is None:
                        raise ValueError(f'turn {number} has an image block without an image; give {{"image": ...}}')
                    images.append(block["image"])
        return images


@dataclass(frozen=True)
class Reply:
    """What an engine answered.

    Attributes:
        text: The answer without the tokens that end a turn.
        tokens: How many tokens were generated, the one that ends the turn included.
        seconds: This reply's equal share of the time its batch took.
        finish: ``"stop"`` (the model ended its turn), ``"length"`` (cut at the limit) or ``"repeat"`` (ended by the
            repeat guard because the model said the same thing over and over).
        token_logprobs: Natural log-probability of each generated token, when asked for.
        token_texts: The text of each generated token, when log-probabilities were asked for; joined they are ``text``.
        prompt_tokens: Tokens of the conversation that it answers, those of its images included; 0 where unknown.
    """

    text: str
    tokens: int = 0
    seconds: float = 0.0
    finish: Finish = "stop"
    token_logprobs: list[float] | None = None
    token_texts: list[str] | None = None
    prompt_tokens: int = 0


@runtime_checkable
class Engine(Protocol):
    """Conversations in, replies out, in the same order.

    Attributes:
        codec: How this model writes boxes.
        budget: The pixels this model sees of an image; the engine's own processing must agree with
            ``plan_size(width, height, budget)``.
    """

    @property
    def codec(self) -> Codec:
        """How this model writes boxes."""
        ...

    @property
    def budget(self) -> PixelBudget:
        """The pixels this model sees of an image."""
        ...

    def generate(
        self, conversations: Sequence[Conversation], *, max_new_tokens: int = 1024, logprobs: bool = False
    ) -> list[Reply]:
        """Answer each conversation.

        Args:
            conversations: What to answer; none gives an empty list.
            max_new_tokens: Limit of generated tokens of each reply.
            logprobs: Also return each token's log-probability and text (``None`` where an engine cannot).
        """
        ...


def check_engine(engine: Any) -> None:
    """Refuse what is no engine, before any image is read.

    Raises:
        ValueError: It lacks an attribute or the method of :class:`Engine`.
    """
    lacking = [name for name in ("codec", "budget", "generate") if not hasattr(engine, name)]
    if lacking:
        raise ValueError(
            f"engine is {engine!r}, without {', '.join(lacking)}; give an object with the attributes codec and budget "
            "and the method generate, such as rscovlm.engines.Transformers(model, processor)"
        )


def dialect_of(engine: Any) -> Dialect:
    """Return how a model is asked: the engine's ``dialect``, or the one that goes with its codec."""
    dialect: Dialect | None = getattr(engine, "dialect", None)
    return Dialect.of(engine.codec) if dialect is None else dialect


def replies(engine: Engine, conversations: Sequence[Conversation], **options: Any) -> list[Reply]:
    """Have an engine answer, and see that it answered each; half a character in a text becomes a question mark.

    Args:
        engine: Who answers.
        conversations: What to answer; for none the engine is not asked.
        options: Those of :meth:`Engine.generate`.

    Raises:
        ValueError: The engine gave another number of replies, or something else than replies.
    """
    if not conversations:
        return []
    given: Any = engine.generate(conversations, **options)
    if not isinstance(given, Iterable):
        raise ValueError(f"{type(engine).__name__}.generate gave {given!r}; it must give a list of replies")
    answers = [_whole(answer) for answer in given]
    for answer in answers:
        if not isinstance(answer, Reply) or not isinstance(answer.text, str) or answer.finish not in get_args(Finish):
            raise ValueError(
                f"{type(engine).__name__}.generate gave {repr(answer)[:200]}; it must give Reply(text, ...) with a "
                f"string as text and a finish among {', '.join(get_args(Finish))}"
            )
    if len(answers) != len(conversations):
        raise ValueError(
            f"{type(engine).__name__}.generate gave {len(answers)} replies to {len(conversations)} conversations; "
            "an engine must give one each, in their order"
        )
    return answers


def _whole(answer: Any) -> Any:
    """Return a reply whose text can be written anywhere, which half a character cannot."""
    if isinstance(answer, Reply) and isinstance(answer.text, str) and not answer.text.isascii():
        text = answer.text.encode(errors="replace").decode()
        return answer if text == answer.text else replace(answer, text=text)
    return answer
