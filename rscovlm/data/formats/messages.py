"""Conversation files: reading any form that trainers take, writing OpenAI-style `messages` as JSON lines.

    {"messages": [{"role": "user", "content": [{"type": "image", "image": "a.png"}, {"type": "text", "text": "How many?"}]},
                  {"role": "assistant", "content": [{"type": "text", "text": "Two."}]}]}

Boxes in the text are in original pixels on writing; on reading they stay text until a scale is given.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from rscovlm.data.formats.conversations import IMAGE, read_conversation
from rscovlm.data.textboxes import Scale, lift
from rscovlm.files import replacing
from rscovlm.rasters.formats import FORMATS
from rscovlm.records.jsonfiles import read_items
from rscovlm.records.record import BOX_MARK, ImageRef, Record, Turn
from rscovlm.records.rows import Row
from rscovlm.records.tally import Rejected, Strict, Tally
from rscovlm.tasks.conversation import declared_tools
from rscovlm.tasks.table import task_of


def read_messages(
    path: str | Path | Iterable[Any],
    *,
    source: str = "messages",
    split: str = "train",
    scale: Scale | None = None,
    tally: Tally | None = None,
) -> Iterator[Record]:
    """Read conversations in any form of `rscovlm.data.formats.conversations`.

    Args:
        path: A JSON file (an array of rows or of bare message lists) or a JSON-lines file; image paths in it are relative to the
            data folder. Or the rows themselves: a list, a `datasets.Dataset` or `IterableDataset`, its images decoded or not.
        source: Written into the records.
        split: Written into the records.
        scale: What the numbers of boxes in the text mean (see `textboxes`); None leaves them in the text.
        tally: Counts rows that cannot be read. Without it the first one is an error.

    Raises:
        ValueError: A row cannot be read; the message names file and row.
    """
    tally = tally or Strict()
    if isinstance(path, (str, Path)):
        if Path(path).suffix.lower() in (".parquet", ".arrow"):
            raise ValueError(
                f"{Path(path).name} is no JSON; give the rows of datasets.load_dataset, or use `rscovlm data convert chat`"
            )
        rows = read_items(Path(path))
    else:
        rows = ((f"row {number}", row) for number, row in enumerate(path, start=1))
    yield from tally.counted(conversation_records(rows, tally, source=source, split=split, scale=scale))


def conversation_records(
    rows: Iterable[tuple[str, Any]], tally: Tally, *, source: str, split: str, scale: Scale | None
) -> Iterator[Record]:
    """Do what `read_messages` does with rows and their places, leaving it to the caller to count what is kept."""
    for place, item in rows:
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
    said = read_conversation(item)
    turns, objects = said.turns, said.objects
    if scale is not None and not objects:
        size = (said.images[0].width, said.images[0].height) if said.images else (0, 0)
        turns = [Turn(turn.role, lift(turn.text, objects, scale, *size)) for turn in turns]
    own = None if isinstance(item, list) else Row(item).get("id")
    name = place.rpartition("row ")[2] if own is None else str(own)
    extra = {"tools": said.tools} if said.tools else {}
    return Record(
        name,
        source,
        split,
        "conversation",
        tuple(said.images),
        turns=tuple(turns),
        objects=tuple(objects),
        extra=extra,
    )


def _line(record: Record) -> dict[str, Any]:
    turns = task_of(record.task).turns(record)
    if turns is None:
        raise Rejected(
            "task without wording", f"a {record.task} record has no wording before it is rendered; render it first"
        )
    pending = list(record.images)
    placed = sum(turn.text.count(IMAGE) for turn in turns)
    if placed > len(pending):
        raise Rejected("more image marks than images", f"{placed} <image> marks for {len(pending)} images")
    messages: list[dict[str, Any]] = []
    for turn in turns:
        parts = []
        if turn.role == "user" and not _has_user(messages):
            parts = [_part(pending.pop(0)) for _ in range(len(pending) - placed)]
        for piece in re.split(f"({IMAGE})", turn.text):
            if piece == IMAGE:
                parts.append(_part(pending.pop(0)))
            elif piece:
                parts.append({"type": "text", "text": _spelled(piece, record)})
        messages.append({"role": turn.role, "content": parts})
    line = {"id": record.id, "messages": messages}
    tools = declared_tools(record.extra.get("tools", ""))
    return {**line, "tools": tools} if tools else line


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
        head = image.data[:4096]
        # Readers look at the bytes; where nobody knows them, some name of a picture must stand.
        kind = next((name for name, one in FORMATS.items() if one.begins(head)), "png")
        where = f"data:image/{kind};base64,{base64.b64encode(image.data).decode('ascii')}"
    size = {"width": image.width, "height": image.height} if image.width and image.height else {}
    return {"type": "image", "image": where, **size}
