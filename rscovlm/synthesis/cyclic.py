"""Records of cyclic referring: objects described by a model that finds them again from its own words, both ways."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rscovlm.geometry import Frame, Objects
from rscovlm.records.record import Annotation, Record
from rscovlm.records.tally import Rejected, Tally
from rscovlm.records.views import boxes_of, open_ref
from rscovlm.tasks.cyclic import RoundTrips, round_trips
from rscovlm.tasks.table import task_of

if TYPE_CHECKING:
    from rscovlm.engines.engine import Engine


def turned_round(record: Record) -> Record:
    """Return a grounding record of one object as a region caption, or a region caption as grounding.

    Raises:
        ValueError: It is neither, or means several objects; the error carries a reason that a `Tally` counts by.

    >>> box = Annotation((1, 1, 9, 9), "", "hbb")
    >>> turned_round(Record("1", "mine", "train", "grounding", expression="the ship", objects=(box,))).task
    'region_caption'
    """
    other = task_of(record.task).reverse
    if not other:
        raise Rejected(
            "no referring record", f"record {record.id!r} is a {record.task} record; give grounding or region captions"
        )
    if len(record.objects) != 1 or not record.expression.strip():
        raise Rejected(
            "not one object", f"record {record.id!r} has {len(record.objects)} objects and {record.expression!r}"
        )
    return replace(record, id=f"{record.id}/cyclic", task=other)


def cyclic_records(
    records: Iterable[Record],
    engine: Engine,
    root: str | Path,
    *,
    least: float = 0.5,
    unique: bool = True,
    tally: Tally | None = None,
) -> Iterator[Record]:
    """Describe the objects of records, keep those that their description finds again, and yield both directions.

    Args:
        records: Detection, grounding or region caption records on one image each.
        engine: Who describes and finds.
        root: Folder that the records' paths are relative to.
        least: IoU of the round trip from which an object is kept.
        unique: Keep only descriptions that find one thing and that no other object of the record has.
        tally: Counts what was kept and what was filtered, by reason: ``no description``, ``not found again``,
            ``not unique``.

    Yields:
        For each object kept a `grounding` record and a `region_caption` record, whose ``extra["round_trip_iou"]`` says how well
        it was found again.
    """
    counts = tally if tally is not None else Tally(1.0)
    for record in records:
        if len(record.images) != 1 or record.images[0].window is not None or not record.objects:
            counts.drop("not one whole image with objects", record.id)
            continue
        with open_ref(record.images[0], root) as raster:
            frame = Frame(raster.width, raster.height)
            kinds = {item.kind for item in record.objects}
            kind = kinds.pop() if len(kinds) == 1 else "hbb"
            boxes = boxes_of(record.objects, kind, frame)
            trips = round_trips(engine, raster, Objects(boxes, tuple(item.label for item in record.objects)))
        for row, item in enumerate(record.objects):
            reason = _reason(trips, row, least, unique=unique)
            if reason:
                counts.drop(reason, f"{record.id} object {row}")
                continue
            counts.keep()
            yield from _both(record, item, trips, row)


def _reason(trips: RoundTrips, row: int, least: float, *, unique: bool) -> str:
    if not trips.texts[row]:
        return "no description"
    if trips.overlaps[row] < least:
        return "not found again"
    return "not unique" if unique and not trips.unique[row] else ""


def _both(record: Record, item: Annotation, trips: RoundTrips, row: int) -> Iterator[Record]:
    extra = {**record.extra, "round_trip_iou": f"{trips.overlaps[row]:.4f}"}
    for task in ("grounding", "region_caption"):
        yield Record(
            f"{record.id}/{row}/{task}",
            record.source,
            record.split,
            task,
            record.images,
            expression=trips.texts[row],
            objects=(item,),
            extra=extra,
        )
