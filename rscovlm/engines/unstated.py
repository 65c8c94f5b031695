"""A model of which nobody says how it sees images and writes boxes: it is asked for words, never for coordinates."""

from __future__ import annotations

from typing import Any, NoReturn

from rscovlm.codec import Codec
from rscovlm.codec.dialect import Dialect

HOW = (
    "give --processor with the checkpoint that it serves, or --dialect and --budget (in Python processor=, or dialect= "
    "and budget=)"
)
"""How a user states what a server does not."""


class UnstatedCodec(Codec):
    """The codec of such a model. It reads and writes no coordinates, so that none is read in the wrong space.

    >>> UnstatedCodec("mine").decode_box([1, 2, 3, 4], None)
    Traceback (most recent call last):
    ...
    ValueError: it is not known ...
    """

    def _refuse(self, *given: Any, **options: Any) -> NoReturn:
        raise ValueError(f"it is not known how the model at the server sees images and writes boxes; {HOW}")

    encode = decode = grammar = mention = encode_box = decode_box = _refuse

    @classmethod
    def of(cls, codec: Codec) -> UnstatedCodec:
        """Return the codec that stands for one of which only the words can be trusted."""
        return cls(**{name: getattr(codec, name) for name in codec.__dataclass_fields__})


def without_coordinates(dialect: Dialect) -> Dialect:
    """Return a dialect whose words are asked and whose coordinates are neither written nor read."""
    return Dialect(dialect.name, UnstatedCodec.of(dialect.codec), dialect.wording, dialect.source)


def check_stated(engine: Any, task: str) -> None:
    """Refuse a task with coordinates, before anything is asked, of an engine that does not know how they are written.

    Raises:
        ValueError: Nobody said how the model sees images and writes boxes; the message says how to.
    """
    if isinstance(engine.codec, UnstatedCodec):
        raise ValueError(
            f"{task!r} needs coordinates, and it is not known how the model at the server sees images and writes boxes; {HOW}"
        )
