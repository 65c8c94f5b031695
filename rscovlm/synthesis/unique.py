"""Questions about targets that are unique in their image, written by a vision model that sees the surroundings of the target."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from rscovlm.codec.categories import spoken
from rscovlm.data.formats.coco import corners
from rscovlm.records.record import Record
from rscovlm.records.tally import Rejected, Tally
from rscovlm.records.views import open_ref
from rscovlm.synthesis.interview import Ask, Interview
from rscovlm.synthesis.replies import check_pair, usable
from rscovlm.synthesis.wording import generator, wording
from rscovlm.tasks.table import lists_objects

Region = tuple[float, float, float, float]


@dataclass(frozen=True)
class UniqueConfig:
    """Which targets, how much around them is seen, and what is asked.

    Attributes:
        categories: Topics of `prompts.yaml`.
        per_image: Largest number of targets of one image.
        per_target: Questions about one target, of different categories.
        margin: Surroundings on each side, in multiples of the target's longer side.
        least: Smallest side of a region, in pixels.
        clear: How far an extreme must be ahead of the next object, as a share of the image's side (or, for the largest, of its area).
        max_pixels: Pixels that the writer is sent at most.
        seed: Of all choices.
    """

    categories: tuple[str, ...] = ("color", "category", "shape", "status", "spatial", "scene", "rural or urban")
    per_image: int = 3
    per_target: int = 2
    margin: float = 2.0
    least: int = 224
    clear: float = 0.05
    max_pixels: int = 768 * 768
    seed: int = 0

    def __post_init__(self) -> None:
        unknown = set(self.categories) - set(wording()["pair"]["topics"])
        if unknown or not self.categories:
            raise ValueError(
                f"categories {sorted(unknown)} are unknown; use some of {', '.join(wording()['pair']['topics'])}"
            )


@dataclass(frozen=True)
class Target:
    """An object that one phrase names and no other: its index, the phrase, and the region to look at."""

    index: int
    reference: str
    region: Region


def unique_targets(record: Record, config: UniqueConfig | None = None) -> list[Target]:
    """Find the objects of a detection record that can be named without doubt.

    An object is unique if it is the only one of its class, or clearly the top-most, bottom-most, left-most, right-most or largest.
    """
    config = config or UniqueConfig()
    image = record.images[0]
    points = np.array([corners(item) for item in record.objects], float).reshape(-1, 4, 2)
    bounds = np.concatenate([points.min(axis=1), points.max(axis=1)], axis=1)
    groups: dict[str, list[int]] = defaultdict(list)
    for index, item in enumerate(record.objects):
        groups[item.label].append(index)
    targets = []
    for label, members in sorted(groups.items()):
        if any(record.objects[i].difficult for i in members):
            continue
        for index, key in _named(bounds[members], (image.width, image.height), config.clear):
            reference = wording()["references"][key].format(name=spoken(label))
            region = padded_region(bounds[members[index]], (image.width, image.height), config)
            targets.append(Target(members[index], reference, region))
    return targets


def _named(bounds: Any, size: tuple[int, int], clear: float) -> Iterator[tuple[int, str]]:
    if len(bounds) == 1:
        yield 0, "only"
        return
    areas = (bounds[:, 2] - bounds[:, 0]) * (bounds[:, 3] - bounds[:, 1])
    # Each key: what is compared (small comes first) and by how much the first must lead.
    keys = {
        "top": (bounds[:, 1], clear * size[1]),
        "bottom": (-bounds[:, 3], clear * size[1]),
        "left": (bounds[:, 0], clear * size[0]),
        "right": (-bounds[:, 2], clear * size[0]),
        "largest": (-areas, 5 * clear * areas.max()),
    }
    used: set[int] = set()
    for key, (values, lead) in keys.items():
        first, second = np.argsort(values, kind="stable")[:2]
        if values[second] - values[first] > lead and int(first) not in used:
            used.add(int(first))
            yield int(first), key


def padded_region(bounds: Any, size: tuple[int, int], config: UniqueConfig) -> Region:
    """Give the coarse region around a box: padded by the margin, at least `least` pixels a side, moved into the image."""
    x1, y1, x2, y2 = map(float, bounds)
    pad = config.margin * max(x2 - x1, y2 - y1)
    region = []
    for low, high, side in ((x1, x2, size[0]), (y1, y2, size[1])):
        length = min(float(side), max(high - low + 2 * pad, float(config.least)))
        start = min(max(0.0, (low + high - length) / 2), side - length)
        region.append((float(round(start)), float(round(start + length))))
    (left, right), (top, bottom) = region
    return left, top, right, bottom


def unique_questions(
    records: Iterable[Record],
    root: str | Path,
    interview: Interview,
    config: UniqueConfig | None = None,
    *,
    tally: Tally | None = None,
) -> Iterator[Record]:
    """Have question-answer pairs written about unique targets.

    Args:
        records: Detections of one image of known size.
        root: The data folder.
        interview: Asks the vision model and keeps its replies.
        config: Which targets and topics.
        tally: Counts pairs kept, and replies that could not be used by reason.

    Yields:
        `zoom` records: question, answer, the region as `regions`, the target as `objects`.
    """
    config, tally = config or UniqueConfig(), tally or Tally(1.0)
    waiting: dict[str, tuple[Record, Target, str]] = {}

    def asks() -> Iterator[Ask]:
        for record in records:
            if not record.objects or not lists_objects(record):
                continue
            for target, category in _choose(record, config):
                key = _key(record, target, category)
                waiting[key] = (record, target, category)
                checked = partial(usable, check_pair, target.reference)
                yield Ask(key, partial(_messages, record, target, category, root, config), checked)

    for question, reply in interview.ask(asks()):
        record, target, category = waiting.pop(question.key)
        place = f"{record.source}/{record.id}/{target.reference}/{category}"
        with tally.row(place):
            if reply is None:
                raise Rejected("budget spent", "not asked: raise the budget and run again")
            asked, answer = check_pair(reply, target.reference)
            tally.keep()
            yield Record(
                f"{record.id}/{question.key[:12]}",
                record.source,
                record.split,
                "zoom",
                record.images,
                question=asked,
                answer=answer,
                regions=(target.region,),
                objects=(record.objects[target.index],),
                extra={"category": category, "reference": target.reference},
            )


def _choose(record: Record, config: UniqueConfig) -> Iterator[tuple[Target, str]]:
    rng = generator(config.seed, record.source, record.id)
    targets = unique_targets(record, config)
    for place in rng.permutation(len(targets))[: config.per_image]:
        for topic in rng.permutation(len(config.categories))[: config.per_target]:
            yield targets[place], config.categories[topic]


def _key(record: Record, target: Target, category: str) -> str:
    image = record.images[0]
    parts = [
        record.source,
        record.id,
        image.path,
        image.parent,
        target.reference,
        list(target.region),
        category,
        wording()["pair"],
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _messages(
    record: Record, target: Target, category: str, root: str | Path, config: UniqueConfig
) -> list[dict[str, Any]]:
    texts: dict[str, Any] = wording()["pair"]
    topic = texts["topics"][category].format(reference=target.reference)
    picture = crop(record, target.region, root, config.max_pixels)
    return [
        {"role": "system", "content": [{"type": "text", "text": texts["system"].format(reference=target.reference)}]},
        {
            "role": "user",
            "content": [
                {"type": "image", "image": picture},
                {"type": "text", "text": texts["user"].format(topic=topic)},
            ],
        },
    ]


def crop(record: Record, region: Sequence[float], root: str | Path, max_pixels: int) -> Any:
    """Read a region of a record's first image at full resolution, shrunk only beyond `max_pixels`."""
    image = record.images[0]
    x1, y1, x2, y2 = (round(value) for value in region)
    if not image.path and image.data is None and image.window is not None:
        left, top = image.window[:2]
        x1, y1, x2, y2 = x1 + left, y1 + top, x2 + left, y2 + top
    with open_ref(image, root) as raster:
        window = (max(0, x1), max(0, y1), min(raster.width, x2), min(raster.height, y2))
        return raster.read(window, max_pixels).image
