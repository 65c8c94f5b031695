"""Conversation files of one's own, in the forms of the common trainers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from rscovlm.data.formats.messages import conversation_records
from rscovlm.data.sources.folder import Folder, stem_of
from rscovlm.data.sources.llava_onevision import rows as table_rows
from rscovlm.data.sources.registry import source
from rscovlm.records.record import Record
from rscovlm.records.rows import Row

_SPLITS = {"train": ("train", "training"), "val": ("val", "valid", "validation", "dev", "eval"), "test": ("test",)}


@source(
    "chat",
    splits=["train", "val", "test"],
    tasks=["conversation"],
    licence="your own",
    layout="""*.jsonl, *.json or *.parquet at the top, a conversation a row, as OpenAI, TRL, ms-swift, LLaMA-Factory, LLaVA and Qwen write
    them: messages, prompt and completion, query and response, conversations, or instruction and output; pictures in blocks, or in a
    column images or image. Paths are relative to the folder, or absolute and inside it. A file's name says its split (train, val, test);
    one that names none is 'train'. Where boxes in texts are to count, run `rscovlm data clean` afterwards.""",
    held="""files written by datasets (Parquet with an Image column), and rows in the documented forms of TRL (dataset formats), ms-swift
    (custom dataset), LLaMA-Factory (data/README.md) and LLaVA.""",
)
def chat(folder: Folder, split: str) -> Iterator[Record]:
    """Read one conversation a row, with sizes of pictures from their headers."""
    for name in folder.files("", ".json", ".jsonl", ".ndjson", ".parquet"):
        if _split_of(name) != split:
            folder.tally.set_aside("file of another split", name)
            continue
        records = conversation_records(_rows(folder, name), folder.tally, source="chat", split=split, scale=None)
        yield from folder.present(replace(record, id=f"{stem_of(name)}/{record.id}") for record in records)


def _split_of(name: str) -> str:
    words = set(re.split(r"[^a-z]+", stem_of(name).lower()))
    return next((split for split, known in _SPLITS.items() if words & set(known)), "train")


def _rows(folder: Folder, name: str) -> Iterator[tuple[str, Any]]:
    """Give a file's rows with their places, absolute paths below the folder made relative."""
    root = folder.root.resolve().as_posix()
    found: Iterator[tuple[str, Row]]
    if Path(name).suffix.lower() == ".parquet":
        found = ((f"{name}, row {number}", row) for number, row in enumerate(table_rows(folder.path(name)), start=1))
    else:
        found = folder.items(name)
    return ((place, _relative(row.value, root)) for place, row in found)


def _relative(value: Any, root: str) -> Any:
    """Write texts that are paths below `root` relative to it, at any depth."""
    if isinstance(value, str):
        return (
            value.removeprefix("file://")[len(root) + 1 :]
            if value.removeprefix("file://").startswith(f"{root}/")
            else value
        )
    if isinstance(value, list):
        return [_relative(item, root) for item in value]
    if isinstance(value, dict):
        return {key: _relative(item, root) for key, item in value.items()}
    return value
