"""A look at a mixture before it is trained: shares, lengths, and samples as a page."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup
from PIL import Image, ImageOps

from rscovlm.codec import Codec
from rscovlm.data.textboxes import find_boxes
from rscovlm.exports.data_url import data_url
from rscovlm.exports.drawing import draw_objects
from rscovlm.exports.page_style import page_style
from rscovlm.files import mark, write_text
from rscovlm.geometry import Boxes, Frame, Objects
from rscovlm.mixtures.weight_stages import Stages
from rscovlm.records.pictures import loaded
from rscovlm.records.tally import Rejected
from rscovlm.training.encoding import IGNORED, Encoded, Encoder

_LOOKED = 10_000
_SIDE = 420
"""Longer side of a picture on the page."""

PAGE = "mixture"
"""Kind of the page that is written."""


@dataclass(frozen=True)
class TaskRow:
    """What the samples of a task are like.

    Attributes:
        task: Name.
        samples: How many were drawn.
        tokens: Smallest, mean and largest number of tokens.
        visual: Mean number of visual tokens.
        trained: Mean number of trained tokens.
        boxes: Smallest, mean and largest number of boxes; zeros where the task has none.
    """

    task: str
    samples: int
    tokens: tuple[int, float, int]
    visual: float
    trained: float
    boxes: tuple[int, float, int]


@dataclass(frozen=True)
class InspectedSample:
    """A sample on the page: its pictures with boxes, and its text in runs, each trained or not."""

    position: int
    task: str
    pictures: list[str]
    runs: list[tuple[str, bool]]


@dataclass(frozen=True)
class Inspection:
    """What was found.

    Attributes:
        shares: Subset, share asked for, share drawn.
        tasks: One row per task.
        shown: Samples for the page.
        dropped: Unusable rows met on the way, by reason.
    """

    shares: list[tuple[str, float, float]]
    tasks: list[TaskRow]
    shown: list[InspectedSample]
    dropped: dict[str, int]

    def table(self) -> str:
        """Return the figures as lines of text."""
        lines = [f"{'subset':<28}{'asked':>8}{'drawn':>8}"]
        lines += [f"{name:<28}{asked:>8.1%}{drawn:>8.1%}" for name, asked, drawn in self.shares]
        lines += [
            "",
            f"{'task':<20}{'samples':>8}{'tokens (least, mean, most)':>30}{'visual':>8}{'trained':>9}{'boxes':>20}",
        ]
        for row in self.tasks:
            tokens = f"{row.tokens[0]}, {row.tokens[1]:.0f}, {row.tokens[2]}"
            boxes = f"{row.boxes[0]}, {row.boxes[1]:.1f}, {row.boxes[2]}"
            lines.append(f"{row.task:<20}{row.samples:>8}{tokens:>30}{row.visual:>8.0f}{row.trained:>9.0f}{boxes:>20}")
        lines += [f"dropped: {reason}: {count}" for reason, count in self.dropped.items()]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as plain values, without the samples."""
        shares = [{"subset": name, "asked": asked, "drawn": drawn} for name, asked, drawn in self.shares]
        return {"shares": shares, "tasks": [asdict(row) for row in self.tasks], "dropped": self.dropped}

    def write(self, path: Path, *, overwrite: bool = False) -> None:
        """Write the page; it holds its pictures and loads nothing.

        Args:
            path: The file.
            overwrite: Replace a file that something else wrote.

        Raises:
            ValueError: Such a file is there.
        """
        environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
        source = (files("rscovlm.training") / "inspection.html.jinja").read_text(encoding="utf-8")
        page = environment.from_string(source).render(found=self, generator=mark(PAGE), style=Markup(page_style()))
        write_text(path, page, PAGE, overwrite=overwrite)


def inspect(
    mixture: Stages,
    processor: Any,
    *,
    draws: int = 400,
    shown: int = 12,
    progress: Callable[[int, int], None] | None = None,
) -> Inspection:
    """Draw the first samples of a mixture and describe them.

    Args:
        mixture: What would be trained.
        processor: Renders and tokenises the samples.
        draws: Samples to draw for the figures.
        shown: Samples for the page, one task after another.
        progress: Called with (samples drawn, samples).

    Raises:
        ValueError: A sample cannot be drawn or encoded; the message names it.
    """
    encoder = Encoder(processor)
    draws = min(draws, len(mixture))
    by_task: dict[str, list[tuple[int, Any, Encoded]]] = defaultdict(list)
    count, first = mixture.stages[0]
    # What is drawn follows from the positions alone; over a few samples shares are rough.
    looked = min(count, _LOOKED)
    drawn = Counter(mixture.subset_at(position) for position in range(looked))
    for position in range(draws):
        sample = mixture[position]
        by_task[str(sample.get("task", "unknown"))].append((position, sample, encoder(sample, f"sample {position}")))
        if progress is not None:
            progress(position + 1, draws)
    shares = [(name, share, drawn[name] / looked) for name, share in first.shares().items()]
    tasks = [_row(task, [(s, e) for _, s, e in entries], processor) for task, entries in sorted(by_task.items())]
    chosen: list[tuple[int, Any, Encoded]] = []
    depth = 0
    while len(chosen) < min(shown, draws):
        chosen += [entries[depth] for _, entries in sorted(by_task.items()) if depth < len(entries)]
        depth += 1
    chosen = chosen[:shown]
    pages, unreadable = [], Counter[str]()
    for position, sample, encoded in chosen:
        try:
            pages.append(_shown(position, sample, encoded, processor))
        except Rejected as fault:
            unreadable[fault.reason] += 1
    dropped = sum((stage.tally.dropped for _, stage in mixture.stages), unreadable)
    return Inspection(shares, tasks, pages, dict(dropped))


def _row(task: str, entries: Sequence[tuple[Any, Encoded]], processor: Any) -> TaskRow:
    lengths = [len(encoded) for _, encoded in entries]
    merged = processor.image_processor.merge_size**2
    visual = [sum(t * h * w // merged for t, h, w in encoded.grids) for _, encoded in entries]
    codec = processor.codec
    boxes = [len(found) for found in (_objects(sample, codec) for sample, _ in entries) if found is not None] or [0]
    return TaskRow(
        task,
        len(entries),
        (min(lengths), float(np.mean(lengths)), max(lengths)),
        float(np.mean(visual)),
        float(np.mean([encoded.trained for _, encoded in entries])),
        (min(boxes), float(np.mean(boxes)), max(boxes)),
    )


def _shown(position: int, sample: Any, encoded: Encoded, processor: Any) -> InspectedSample:
    truth = _objects(sample, processor.codec)
    pictures = []
    for place, image in enumerate(sample.get("images") or ()):
        # At the size of the page before boxes are drawn: of small pictures a label would hide the object, of large ones be too small.
        picture = ImageOps.contain(loaded(image).convert("RGB"), (_SIDE, _SIDE), Image.Resampling.BICUBIC)
        if truth is not None and len(truth) and place == 0 and truth.boxes.frame is not None:
            picture = draw_objects(picture, truth.to(truth.boxes.frame.resized(*picture.size)))
        pictures.append(data_url(picture))
    runs: list[tuple[str, bool]] = []
    ids: list[int] = []
    trained = False
    for token, label in zip([*encoded.ids, -1], [*encoded.labels, None], strict=True):
        if label is None or (label != IGNORED) != trained:
            if ids:
                runs.append((_text(ids, processor), trained))
            ids, trained = [], label is not None and label != IGNORED
        ids.append(token)
    return InspectedSample(position, str(sample.get("task", "")), pictures, runs)


def _objects(sample: Any, codec: Codec) -> Objects | None:
    """Return the objects that an answer lists, or those that the sentences about a single image mention."""
    images = list(sample.get("images") or [])
    if sample.get("truth") is not None or len(images) != 1:
        truth: Objects | None = sample.get("truth")
        return truth
    frame = Frame(*images[0].size)
    parts = [part for message in sample["messages"] for part in message["content"] if isinstance(part, dict)]
    given = [box.numbers for part in parts if part["type"] == "text" for box in find_boxes(part["text"])]
    sides = []
    for numbers in given:
        if len(numbers) == 4 and numbers[0] < numbers[2] and numbers[1] < numbers[3]:
            sides.append(codec.decode_box(numbers, frame).coords[0])
    return Objects(Boxes(np.reshape(sides, (-1, 4)), "hbb", frame), ("",) * len(sides)) if sides else None


def _text(ids: Sequence[int], processor: Any) -> str:
    """Text of tokens; an image's many tokens are shown as one."""
    image = processor.image_token_id
    kept = [token for place, token in enumerate(ids) if token != image or place == 0 or ids[place - 1] != image]
    return str(processor.tokenizer.decode(kept, skip_special_tokens=False))
