"""The reply to a call that brings no picture: the true reason, and what it can do."""

from __future__ import annotations

from typing import Literal

from rscovlm.zoom.calls import Refusal
from rscovlm.zoom.layouts import TOOL_NAME

Ending = Literal["max_steps", "max_visual_tokens", "no_progress", "refused"]

ANSWER_NOW = "Answer the question now."
TRY_AGAIN = "Call again or answer the question."

_REASONS: dict[Refusal, str] = {
    "malformed": "That call could not be read as a JSON object with a name and arguments.",
    "unknown_tool": f"There is no such tool; the only one is {TOOL_NAME}.",
    "bad_arguments": f'{TOOL_NAME} takes "bbox": [x1, y1, x2, y2], four numbers, and nothing else.',
    "not_finite": "The corners of the region must be finite numbers.",
    "inverted": "The region is inverted: x1 must be below x2 and y1 below y2.",
    "zero_area": "The region has no area: x1 must be below x2 and y1 below y2.",
    "outside": "The region lies outside the image, which spans 0 to {width} across and 0 to {height} down.",
    "repeated": "This region was shown before; nothing more can be seen in it.",
}
_SEVERAL = f'{TOOL_NAME} takes "bbox": [x1, y1, x2, y2], four numbers, and "image", a number from 1 to {{images}}.'
_ENDINGS: dict[Ending, str] = {
    "max_steps": "No more regions can be shown.",
    "max_visual_tokens": "No more regions can be shown.",
}


def refusal_text(reason: Refusal, *, width: int, height: int, images: int = 1, several: bool = False) -> str:
    """Return the reply to a call that was not carried out.

    Args:
        reason: Why.
        width: Right end of the image meant, in the codec's coordinates.
        height: Its lower end.
        images: Images shown so far.
        several: The call may name an image.

    >>> refusal_text("outside", width=504, height=448)
    'The region lies outside the image, which spans 0 to 504 across and 0 to 448 down.'
    """
    text = _SEVERAL if several and reason == "bad_arguments" else _REASONS[reason]
    return text.format(width=width, height=height, images=images) if "{" in text else text


def ending_text(ending: Ending, reason: str = "") -> str:
    """Return the text that asks a model for its answer without tools.

    >>> ending_text("max_steps")
    'No more regions can be shown. Answer the question now.'
    """
    return f"{_ENDINGS.get(ending, reason)} {ANSWER_NOW}".strip()
