"""Counting and comparing questions from detections: no model is asked, and every answer has its boxes.

The image is seen as 3 x 3 cells. Where a class is sparse, the question is about the whole image; where it is dense, about a cell. A cell is
used only if no box of the class crosses its border, so that the count is beyond doubt.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from rscovlm.codec.categories import plural, spoken
from rscovlm.data.formats.coco import corners
from rscovlm.records.record import Annotation, Record
from rscovlm.synthesis.wording import generator, wording
from rscovlm.tasks.table import lists_objects

Region = tuple[float, float, float, float]


@dataclass(frozen=True)
class TemplateConfig:
    """How many questions, and how many objects they may be about.

    Attributes:
        per_image: Largest number of questions about one image.
        dense: A class with more objects than this is asked about by cell.
        most: Largest count that is asked for.
        zero: Share of counting questions about a cell without the class.
        seed: Of all choices.
    """

    per_image: int = 6
    dense: int = 8
    most: int = 20
    zero: float = 0.1
    seed: int = 0


@dataclass(frozen=True)
class _Cell:
    name: str
    region: Region
    members: tuple[int, ...]


def template_questions(records: Iterable[Record], config: TemplateConfig | None = None) -> Iterator[Record]:
    """Write counting and comparing questions about detection records.

    Args:
        records: Detections of one image of known size; others, and images without objects, give none.
        config: How many and which.

    Yields:
        `zoom` records: question, answer, the cells to look at as `regions`, the counted boxes as `objects`.
    """
    config = config or TemplateConfig()
    for record in records:
        if not record.objects or not lists_objects(record):
            continue
        rng = generator(config.seed, record.source, record.id)
        made = [*_counts(record, config, rng), *_comparisons(record, config, rng)]
        order = rng.permutation(len(made))[: config.per_image]
        for number, index in enumerate(sorted(order.tolist())):
            kind, question, answer, regions, chosen = made[index]
            yield Record(
                f"{record.id}/{kind}{number}",
                record.source,
                record.split,
                "zoom",
                record.images,
                question=question,
                answer=answer,
                regions=tuple(regions),
                objects=tuple(record.objects[i] for i in chosen),
                extra={"category": kind},
            )


_Made = tuple[str, str, str, Sequence[Region], Sequence[int]]


def _counts(record: Record, config: TemplateConfig, rng: np.random.Generator) -> Iterator[_Made]:
    whole = _whole(record)
    for label, members in _by_class(record).items():
        names = {"plural": plural(spoken(label))}
        if len(members) <= config.dense:
            question = _phrase(["count", "whole"], rng).format(**names)
            yield "count", question, str(len(members)), [whole], members
            continue
        for cell in grid(record, members):
            if 0 < len(cell.members) <= config.most or (not cell.members and rng.random() < config.zero):
                question = _phrase(["count", "cell"], rng).format(**names, cell=cell.name)
                yield "count", question, str(len(cell.members)), [cell.region], cell.members


def _comparisons(record: Record, config: TemplateConfig, rng: np.random.Generator) -> Iterator[_Made]:
    classes = _by_class(record)
    labels = list(classes)
    for i, first in enumerate(labels):
        for second in labels[i + 1 :]:
            a, b = (first, second) if rng.random() < 0.5 else (second, first)
            names = {"plural": plural(spoken(a)), "other": plural(spoken(b))}
            if max(len(classes[a]), len(classes[b])) <= config.dense and len(classes[a]) != len(classes[b]):
                question = _phrase(["compare", "classes"], rng).format(**names)
                yield "compare", question, _yes(classes[a], classes[b]), [_whole(record)], [*classes[a], *classes[b]]
            cells = {cell.name: cell for cell in grid(record, classes[b])}
            for cell in grid(record, classes[a]):
                twin = cells.get(cell.name)
                if (
                    twin is None
                    or len(cell.members) == len(twin.members)
                    or max(len(cell.members), len(twin.members)) > config.most
                ):
                    continue
                question = _phrase(["compare", "classes in cell"], rng).format(**names, cell=cell.name)
                chosen = [*cell.members, *twin.members]
                yield "compare", question, _yes(cell.members, twin.members), [cell.region], chosen
    for label, members in classes.items():
        usable = [cell for cell in grid(record, members) if cell.members and len(cell.members) <= config.most]
        for _ in range(min(2, len(usable) // 2)):
            one, other = (usable[k] for k in rng.choice(len(usable), 2, replace=False))
            if len(one.members) == len(other.members):
                continue
            question = _phrase(["compare", "cells"], rng)
            question = question.format(plural=plural(spoken(label)), cell=one.name, other_cell=other.name)
            more = one if len(one.members) > len(other.members) else other
            yield "compare", question, more.name, [one.region, other.region], [*one.members, *other.members]


def grid(record: Record, members: Sequence[int]) -> list[_Cell]:
    """Give the cells of 3 x 3 that no box of `members` crosses the border of, with those each holds."""
    image = record.images[0]
    xs, ys = (np.linspace(0, side, 4) for side in (image.width, image.height))
    bounds = np.array([_bounds(record.objects[i]) for i in members]).reshape(-1, 4)
    cells = []
    for number, name in enumerate(wording()["cells"]):
        row, column = divmod(number, 3)
        region = (float(xs[column]), float(ys[row]), float(xs[column + 1]), float(ys[row + 1]))
        x1, y1, x2, y2 = region
        touches = (bounds[:, 0] < x2) & (bounds[:, 2] > x1) & (bounds[:, 1] < y2) & (bounds[:, 3] > y1)
        within = (bounds[:, 0] >= x1) & (bounds[:, 2] <= x2) & (bounds[:, 1] >= y1) & (bounds[:, 3] <= y2)
        if (touches == within).all():
            cells.append(_Cell(name, region, tuple(members[k] for k in np.flatnonzero(within).tolist())))
    return cells


def _by_class(record: Record) -> dict[str, list[int]]:
    classes: dict[str, list[int]] = defaultdict(list)
    for index, item in enumerate(record.objects):
        classes[item.label].append(index)
    hard = {item.label for item in record.objects if item.difficult}
    return {label: members for label, members in sorted(classes.items()) if label not in hard}


def _bounds(item: Annotation) -> Region:
    points = np.asarray(corners(item)).reshape(4, 2)
    (x1, y1), (x2, y2) = points.min(axis=0), points.max(axis=0)
    return float(x1), float(y1), float(x2), float(y2)


def _whole(record: Record) -> Region:
    return (0.0, 0.0, float(record.images[0].width), float(record.images[0].height))


def _yes(first: Sequence[int], second: Sequence[int]) -> str:
    return "yes" if len(first) > len(second) else "no"


def _phrase(path: Sequence[str], rng: np.random.Generator) -> str:
    phrases = wording()[path[0]][path[1]]
    return str(phrases[int(rng.integers(len(phrases)))])
