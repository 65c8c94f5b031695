"""The answer in what a model wrote: without its thoughts, and from between the tags of an answer."""

from __future__ import annotations

import re

_THOUGHT = re.compile("</think>", re.IGNORECASE)
_OPENED = re.compile("<answer>", re.IGNORECASE)
_CLOSED = re.compile("</answer>", re.IGNORECASE)


def answer_span(text: str) -> tuple[int, int]:
    """Return where the answer begins and ends: behind the last ``</think>``, and inside ``<answer>`` where that stands.

    Thoughts that do not end are no thoughts: the text is the answer then. Capitals in the tags do not matter.
    """
    thoughts = [match.end() for match in _THOUGHT.finditer(text)]
    begin = thoughts[-1] if thoughts else 0
    opened = _OPENED.search(text, begin)
    if opened is None:
        return begin, len(text)
    closed = _CLOSED.search(text, opened.end())
    return opened.end(), len(text) if closed is None else closed.start()


def final_answer(text: str) -> str:
    """Return the answer alone.

    >>> final_answer("<think>A or B? B.</think><answer>B</answer>"), final_answer("B")
    ('B', 'B')
    """
    begin, end = answer_span(text)
    return text if (begin, end) == (0, len(text)) else text[begin:end].strip()
