"""The table of sources: a name, what is known about the data set, and the function that reads it."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from pathlib import Path

from rscovlm.data.sources.folder import Folder
from rscovlm.records.record import Record, is_degenerate
from rscovlm.records.tally import Rejected, Tally
from rscovlm.settings.nearest import nearest
from rscovlm.tasks.table import problems as problems_of
from rscovlm.tasks.table import task_of

Reader = Callable[[Folder, str], Iterator[Record]]
_SOURCES: dict[str, Source] = {}


@dataclass(frozen=True)
class Source:
    """One data set as published.

    Attributes:
        name: What recipes and records call it.
        read: Yields the records of one split of the data in a folder.
        splits: Names that `read` takes.
        tasks: What its records are.
        licence: The terms of the data as its publishers state them.
        layout: Files below the data folder.
        held: What the layout was compared with, field by field, as repository and path, and what nothing public could confirm.
    """

    name: str
    read: Reader
    splits: tuple[str, ...]
    tasks: tuple[str, ...]
    licence: str
    layout: str
    held: str = ""


def source(
    name: str, *, splits: Sequence[str], tasks: Sequence[str], licence: str, layout: str, held: str = ""
) -> Callable[[Reader], Reader]:
    """Register the decorated function as the reader of a source.

    Raises:
        ValueError: The name is taken by another function.
    """

    def register(read: Reader) -> Reader:
        known = _SOURCES.get(name)
        if known is not None and known.read.__module__ != read.__module__:
            raise ValueError(f"source {name!r} is already read by {known.read.__module__}; choose another name")
        texts = (" ".join(text.split()) for text in (licence, layout, held))
        _SOURCES[name] = Source(name, read, tuple(splits), tuple(tasks), *texts)
        return read

    return register


def sources() -> dict[str, Source]:
    """Give all sources by name, the shipped ones and those registered since."""
    package = "rscovlm.data.sources"
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
        importlib.import_module(f"{package}.{module.name}")
    return dict(sorted(_SOURCES.items()))


def find_source(name: str) -> Source:
    """Return a source by name.

    Raises:
        ValueError: No such name exists; the message names the nearest.
    """
    known = sources()
    if name not in known:
        raise ValueError(f"source {name!r} is unknown{nearest(name, known)}")
    return known[name]


def convert(name: str, root: str | Path, split: str = "train", *, tally: Tally | None = None) -> Iterator[Record]:
    """Read one split of a source as records, in the order of its files.

    Rows that cannot be used, and records that lack what their task needs, are counted. When all is read, more than the tally's limit of
    them is an error.

    Args:
        name: A source of `sources()`.
        root: Folder the data set was unpacked into; the records' paths are relative to it.
        split: One of the source's splits.
        tally: Counts; by default one that allows 0.5 %.

    Raises:
        ValueError: The name or split is unknown, a whole annotation file cannot be read, or too many rows are unusable.
        FileNotFoundError: The folder is not laid out as the source documents.
    """
    chosen = find_source(name)
    if split not in chosen.splits:
        raise ValueError(f"source {name!r} has no split {split!r}; use one of {', '.join(chosen.splits)}")
    return _counted(chosen, Folder(root, tally or Tally()), split)


def _understood(chosen: Source, folder: Folder, split: str) -> Iterator[Record]:
    """Say which source could not read its files as a whole; what is wrong with one row was counted before."""
    try:
        yield from chosen.read(folder, split)
    except Rejected as error:
        raise ValueError(
            f"{chosen.name}: a file below {str(folder.root)!r} has another form than its layout says ({error}); layout: {chosen.layout}"
        ) from error


def _without_degenerate(record: Record, tally: Tally) -> Record:
    """Count boxes without width or height, and leave them out of detections, where nothing points at them by number."""
    flat = [item for item in record.objects if is_degenerate(item)]
    for item in flat:
        tally.set_aside("box without width or height", f"{tally.at or record.id}: {item.label!r} {item.box}")
    if not flat or not task_of(record.task).dense:
        return record
    return replace(record, objects=tuple(item for item in record.objects if item not in flat))


def _counted(chosen: Source, folder: Folder, split: str) -> Iterator[Record]:
    tally, before = folder.tally, folder.tally.seen
    for record in map(_without_degenerate, _understood(chosen, folder, split), repeat(tally)):
        problems = problems_of(record)
        if problems:
            tally.drop(problems[0], tally.at or f"{chosen.name}/{record.id}")
            continue
        tally.keep()
        yield record
    if tally.seen == before:
        raise FileNotFoundError(
            f"{chosen.name} split {split!r} has no rows below {str(folder.root)!r}; layout: {chosen.layout}"
        )
    tally.finish()
