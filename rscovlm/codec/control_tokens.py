"""Words that go into a prompt: those of a user are checked, those of a model made harmless."""

from __future__ import annotations

import re
from collections.abc import Iterable

# What chat templates of Qwen's kind are made of; read as tokens wherever it stands in a text.
_CONTROL = re.compile(r"<\|([A-Za-z0-9_]{1,40})\|>")


def check_words(text: str, what: str = "a text") -> str:
    """Return words that may stand in a prompt.

    Args:
        text: The words.
        what: What messages call them.

    Raises:
        ValueError: They hold a control token of the model, which would end a turn or stand for an image, or half a
            character, which no tokenizer takes.

    >>> check_words("What is it?")
    'What is it?'
    """
    found = _CONTROL.search(text)
    if found is not None:
        raise ValueError(f"{what} holds {found[0]!r}, a control token of the model; leave it out")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{what} holds half a character ({text[error.start]!r}); leave it out") from error
    return text


def check_names(names: Iterable[str], what: str) -> list[str]:
    """Return names as a list, which may have come from a generator.

    Raises:
        ValueError: One is no string, or may not stand in a prompt.
    """
    listed = list(names)
    for name in listed:
        if not isinstance(name, str):
            raise ValueError(f"{what} {name!r} is no string; give strings")
        check_words(name, f"{what} {name[:80]!r}")
    return listed


def harmless(text: str) -> str:
    """Return what a model wrote as it may stand in the next prompt: a control token it spelt out is none any more.

    >>> harmless("a ship <|image_pad|>")
    'a ship <| image_pad |>'
    """
    return _CONTROL.sub(r"<| \1 |>", text).encode(errors="replace").decode()
