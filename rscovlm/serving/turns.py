"""The turns of a chat request: read, bounded, their images opened and never fetched."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rscovlm.data.records import Role
from rscovlm.rasters import Limits, Raster, open_image
from rscovlm.serving.refusals import BadRequest, RequestLimits
from rscovlm.zoom.words import check_words

_ROLES: dict[str, Role] = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
_DATA = re.compile(r"data:(?:image/[\w.+-]{1,64}|application/octet-stream);base64,", re.IGNORECASE | re.ASCII)
# Whatever a header claims is read, to say how much it is.
_ANY = Limits(in_memory=2**62, sequential=2**62, streamed=2**62)


@dataclass(frozen=True)
class Turn:
    """One turn as the client sent it.

    Attributes:
        role: Who speaks.
        text: The words, boxes in pixels of the image sent last before them.
        images: The images, opened.
    """

    role: Role
    text: str
    images: tuple[Raster, ...] = ()


def read_turns(messages: Any, limits: RequestLimits) -> list[Turn]:
    """Read the messages of a request.

    Raises:
        BadRequest: They are not of the API's form, an image is no data URI or cannot be read, or a limit is passed.
    """
    if not isinstance(messages, list) or not messages or len(messages) > limits.turns:
        raise BadRequest(f"messages must be a list of 1 to {limits.turns} turns", param="messages")
    turns = [_turn(message) for message in messages]
    if turns[-1][0] != "user":
        raise BadRequest("the last turn is not the user's; nothing is asked", param="messages")
    if sum(len(urls) for _, _, urls in turns) > limits.images:
        raise BadRequest(f"there are more than {limits.images} images", 413)
    if sum(len(text) for _, text, _ in turns) > limits.text:
        raise BadRequest(f"the texts have more than {limits.text} characters", 413)
    opened = _opened([url for _, _, urls in turns for url in urls], limits)
    return [Turn(role, text, tuple(next(opened) for _ in urls)) for role, text, urls in turns]


def _turn(message: Any) -> tuple[Role, str, list[Any]]:
    said = message.get("role") if isinstance(message, dict) else None
    role = _ROLES.get(said) if isinstance(said, str) else None
    if role is None:
        raise BadRequest(f"a turn needs a role, one of {', '.join(_ROLES)}", param="messages")
    content = message.get("content")
    if content is None and role == "assistant":  # a turn that only called a tool
        content = ""
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    if not isinstance(blocks, list):
        raise BadRequest("the content of a turn must be text or a list of blocks", param="messages")
    texts: list[str] = []
    images: list[Any] = []
    for block in blocks:
        kind = block.get("type") if isinstance(block, dict) else None
        if kind == "text" and isinstance(block.get("text"), str):
            texts.append(block["text"])
        elif kind == "image_url" and role == "user":
            value = block.get("image_url")
            images.append(value.get("url") if isinstance(value, dict) else value)
        else:
            raise BadRequest(
                "a block must be {'type': 'text', 'text': ...}, or in a user's turn {'type': 'image_url', ...}",
                param="messages",
            )
    return role, clean_text("\n".join(texts)), images


def clean_text(text: str) -> str:
    """Return a text that may stand in a prompt.

    Raises:
        BadRequest: It holds a control token, which would end a turn or stand for an image, or no proper characters.
    """
    try:
        return check_words(text)
    except ValueError as error:
        raise BadRequest(str(error)) from error


def _opened(urls: Sequence[Any], limits: RequestLimits) -> Iterator[Raster]:
    """Yield the images, of which all together may not have more pixels than allowed."""
    left = limits.pixels
    for url in urls:
        raster = _image(url, max(0, left))
        left -= raster.width * raster.height
        yield raster


def _image(url: Any, pixels: int) -> Raster:
    start = _DATA.match(url[:128]) if isinstance(url, str) else None
    if start is None:
        raise BadRequest("an image must be a data URI (data:image/png;base64,...); addresses are not fetched")
    try:
        data = base64.b64decode(url[start.end() :], validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadRequest("an image's data URI is not base64") from error
    if b"<VRTDataset" in data[:4096]:
        raise BadRequest("an image is a GDAL virtual file, which names other files; send its pixels as a GeoTIFF")
    with _open(data, _ANY) as claimed:
        width, height = claimed.width, claimed.height
    if width * height > pixels:
        raise BadRequest(f"an image has {width}x{height} pixels; {pixels} are allowed in all of a request", 413)
    return _open(data, Limits(in_memory=min(pixels, Limits().in_memory), sequential=pixels, streamed=pixels))


def _open(data: bytes, limits: Limits) -> Raster:
    try:
        return open_image(data, limits=limits)
    except ValueError as error:
        raise BadRequest(f"an image cannot be read: {error}") from error
