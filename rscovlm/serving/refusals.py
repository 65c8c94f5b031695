"""What one request may ask for, and how it is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rscovlm.zoom.policies import NAMES

_KINDS = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}
_CODES = {
    401: "invalid_api_key",
    404: "not_found",
    405: "method_not_allowed",
    411: "length_required",
    413: "request_too_large",
    429: "rate_limit_exceeded",
    503: "overloaded",
    504: "timeout",
}


class BadRequest(ValueError):
    """A request is refused.

    Attributes:
        status: HTTP status.
        param: The field at fault, where one is.
    """

    def __init__(self, message: str, status: int = 400, *, param: str | None = None) -> None:
        super().__init__(message)
        self.status, self.param = status, param


@dataclass(frozen=True)
class RequestLimits:
    """What one request may ask for, and all of them together.

    Attributes:
        body: Bytes of the request.
        images: Number of images.
        pixels: Pixels of all images of a request, by what their headers claim.
        tokens: Generated tokens of one reply of the model; a client's ``max_tokens`` bounds the whole completion.
        steps: Windows shown for one question.
        visual_tokens: Visual tokens of all images shown for one question.
        policies: Policies of the zoom chain that a request may choose, besides ``call`` and ``none``.
        search_calls: Conversations with which a policy looks for the answer to one question.
        search_tokens: Visual tokens of these.
        turns: Messages of a conversation.
        text: Tokens of all its texts.
        tiles: Tiles of one detection.
        seconds: Time for one request; looked at between replies of the model.
        waiting: Concurrent requests; further ones get 429.
        connections: Connections held open at a time.
        bodies: Bytes of all concurrent requests together.
        memory: Bytes in which the pictures of all requests are decoded.
    """

    body: int = 64 * 2**20
    images: int = 8
    pixels: int = 2**28
    tokens: int = 2048
    steps: int = 4
    visual_tokens: int = 6000
    policies: tuple[str, ...] = ()
    search_calls: int = 64
    search_tokens: int = 20_000
    turns: int = 64
    text: int = 16_384
    tiles: int = 400
    seconds: int = 600
    waiting: int = 64
    connections: int = 256
    bodies: int = 2**29
    memory: int = 3 * 2**29

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name != "policies" and value < 1:
                raise ValueError(f"limit {name} is {value}; give a number from 1 up")
        for policy in self.policies:
            if policy not in NAMES:
                raise ValueError(f"policy is {policy!r}; choose from {', '.join(NAMES)}")


def error_body(status: int, message: str, param: str | None = None) -> dict[str, Any]:
    """Return an error in the form of the OpenAI API."""
    kind = "server_error" if status >= 500 and status != 501 else _KINDS.get(status, "invalid_request_error")
    code = "model_not_found" if status == 404 and param == "model" else _CODES.get(status)
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}
