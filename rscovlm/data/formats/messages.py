"""OpenAI-style `messages` JSON lines: one conversation a line, images as parts of the content.

    {"messages": [{"role": "user", "content": [{"type": "image", "image": "a.png"}, {"type": "text", "text": "How many?"}]},
                  {"role": "assistant", "content": [{"type": "text", "text": "Two."}]}]}

Read as well: content that is a plain string, `image_url` parts, base64 data URIs, and `file://` before a relative path. Boxes in the text
are in original pixels on writing; on reading they stay text until a scale is given.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast

from rscovlm.data.textboxes import Scale, lift
from rscovlm.files import replacing
from rscovlm.records.jsonfiles import read_items
from rscovlm.records.record import BOX_MARK, ImageRef, Record, Role, Turn
from rscovlm.records.rows import Row, as_list, as_text, as_whole
from rscovlm.records.tally import Rejected, Strict, Tally

_IMAGE = "<image>"
_DATA = re.compile(r"data:image/[\w.+-]+;base64,")
_MEDIA = {
    b"\x89PNG": "png",
    b"\xff\xd8\xff": "jpeg",
    b"GIF8": "gif",
    b"II*\x00": "tiff",
    b"MM\x00*": "tiff",
    b"RIFF": "webp",
}


def read_messages(
    path: str | Path,
    *,
    source: str = "messages",
    split: str = "train",
    scale: Scale | None = None,
    tally: Tally | None = None,
) -> Iterator[Record]:
    """Read conversations; a file that is one JSON array of them, or of bare message lists, is read too.

    Args:
        path: The file; image paths in it are relative to the data folder.
        source: Written into the records.
        split: Written into the records.
        scale: What the numbers of boxes in the text mean (see `textboxes`); None leaves them in the text.
        tally: Counts rows that cannot be read. Without it the first one is an error.

    Raises:
        ValueError: A row cannot be read; the message names file and row.
    """
    tally = tally or Strict()
    yield from tally.counted(message_records(Path(path), tally, source=source, split=split, scale=scale))


def message_records(path: Path, tally: Tally, *, source: str, split: str, scale: Scale | None) -> Iterator[Record]:
    """Do what `read_messages` does, leaving it to the caller to count what is kept."""
    for place, item in read_items(path):
        with tally.row(place):
            yield _record(item, place, source, split, scale)


def write_messages(
    records: Iterable[Record], path: str | Path, *, tally: Tally | None = None, overwrite: bool = False
) -> int:
    """Write `conversation` and `vqa` records; other tasks have no wording before they are rendered.

    Args:
        records: Any records.
        path: The file to write.
        tally: Counts records that have no wording. Without it the first one is an error.
        overwrite: Replace the file where it exists.

    Returns:
        How many lines were written.

    Raises:
        ValueError: A record has no wording, or the file exists.
    """
    tally = tally or Strict()
    before = tally.kept
    with replacing(path, overwrite=overwrite) as part, part.open("w", encoding="utf-8") as lines:
        for record in records:
            with tally.row(f"record {record.id!r}"):
                lines.write(json.dumps(_line(record), ensure_ascii=False) + "\n")
                tally.keep()
    return tally.kept - before


def _record(item: Any, place: str, source: str, split: str, scale: Scale | None) -> Record:
    row = Row({"messages": item} if isinstance(item, list) else item)
    images: list[ImageRef] = []
    turns = [Turn(_role(message["role"]), _text(message.get("content"), images)) for message in row.rows("messages")]
    objects: list[Any] = []
    if scale is not None:
        size = (images[0].width, images[0].height) if images else (0, 0)
        turns = [Turn(turn.role, lift(turn.text, objects, scale, *size)) for turn in turns]
    name = str(row.get("id", place.rpartition("row ")[2]))
    return Record(name, source, split, "conversation", tuple(images), turns=tuple(turns), objects=tuple(objects))


def _role(name: str) -> Role:
    return cast(Role, "system" if name == "developer" else name)


def _text(content: Any, images: list[ImageRef]) -> str:
    if isinstance(content, str):
        return content
    parts = []
    for part in map(Row, as_list(content or [], "'content'")):
        if part["type"] == "text":
            parts.append(part.text("text"))
        elif part["type"] in ("image", "image_url"):
            images.append(_image(part))
            parts.append(_IMAGE)
        else:
            raise Rejected(
                "unsupported content", f"content part of type {part['type']!r}; only text and images are read"
            )
    return "".join(parts)


def _image(part: Row) -> ImageRef:
    given = part["image"] if "image" in part else part["image_url"]
    where = as_text(given["url"] if isinstance(given, dict) and "url" in given else given, "an image")
    size = {side: as_whole(part.get(side, 0), repr(side)) for side in ("width", "height")}
    inline = _DATA.match(where)
    if inline:
        return ImageRef(data=base64.b64decode(where[inline.end() :], validate=True), **cast(Any, size))
    return ImageRef(where.removeprefix("file://"), **cast(Any, size))


def _line(record: Record) -> dict[str, Any]:
    if record.task == "vqa":
        lettered = [
            f"({letter}) {choice}" for letter, choice in zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", record.choices, strict=False)
        ]
        turns: tuple[Turn, ...] = (
            Turn("user", "\n".join([record.question, *lettered])),
            Turn("assistant", record.answer),
        )
    elif record.task == "conversation":
        turns = record.turns
    else:
        raise Rejected(
            "task without wording", f"a {record.task} record has no wording before it is rendered; render it first"
        )
    pending = list(record.images)
    placed = sum(turn.text.count(_IMAGE) for turn in turns)
    if placed > len(pending):
        raise Rejected("more image marks than images", f"{placed} <image> marks for {len(pending)} images")
    messages: list[dict[str, Any]] = []
    for turn in turns:
        parts = []
        if turn.role == "user" and not _has_user(messages):
            parts = [_part(pending.pop(0)) for _ in range(len(pending) - placed)]
        for piece in re.split(f"({_IMAGE})", turn.text):
            if piece == _IMAGE:
                parts.append(_part(pending.pop(0)))
            elif piece:
                parts.append({"type": "text", "text": _spelled(piece, record)})
        messages.append({"role": turn.role, "content": parts})
    return {"id": record.id, "messages": messages}


def _has_user(messages: list[dict[str, Any]]) -> bool:
    return any(message["role"] == "user" for message in messages)


def _spelled(text: str, record: Record) -> str:
    def numbers(match: re.Match[str]) -> str:
        return "[" + ", ".join(f"{value:.6g}" for value in record.objects[int(match.group(1))].box) + "]"

    return BOX_MARK.sub(numbers, text)


def _part(image: ImageRef) -> dict[str, Any]:
    where = image.path
    if not where:
        if image.data is None:
            raise Rejected(
                "image is a window", f"window {image.window} of {image.parent!r} has no file of its own; cut it first"
            )
        kind = next((name for magic, name in _MEDIA.items() if image.data.startswith(magic)), "png")
        where = f"data:image/{kind};base64,{base64.b64encode(image.data).decode('ascii')}"
    size = {"width": image.width, "height": image.height} if image.width and image.height else {}
    return {"type": "image", "image": where, **size}
