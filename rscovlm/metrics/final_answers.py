"""The answer in what a model wrote: without its thoughts, and from between the tags of an answer."""

from __future__ import annotations


def answer_span(text: str) -> tuple[int, int]:
    """Return where the answer begins and ends: behind the last ``</think>``, and inside ``<answer>`` where that stands.

    Thoughts that do not end are no thoughts: the text is the answer then.
    """
    thought = text.rfind("</think>")
    begin = 0 if thought < 0 else thought + len("</think>")
    opened = text.find("<answer>", begin)
    if opened < 0:
        return begin, len(text)
    closed = text.find("</answer>", opened)
    return opened + len("<answer>"), len(text) if closed < 0 else closed


def final_answer(text: str) -> str:
    """Return the answer alone.

    >>> final_answer("<think>A or B? B.</think><answer>B</answer>"), final_answer("B")
    ('B', 'B')
    """
    begin, end = answer_span(text)
    return text if (begin, end) == (0, len(text)) else text[begin:end].strip()
