"""Records to conversations: which wording, box kind, style and size is drawn when a record is, not before."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rscovlm.codec import Codec
from rscovlm.codec.dialect import Dialect
from rscovlm.data.tiles import LEAST, halves, shared_out
from rscovlm.geometry import Frame
from rscovlm.geometry.window import Window, WindowLike
from rscovlm.processing.resolution import PixelBudget, plan_size
from rscovlm.rasters.ground import ground_sample_distance
from rscovlm.records import ImageRef, Record, Rejected
from rscovlm.records.pictures import Picture
from rscovlm.records.sizes import FileRule, fitted, picture_size
from rscovlm.records.unlabelled import is_unlabelled
from rscovlm.records.views import open_ref
from rscovlm.tasks.options import RenderOptions
from rscovlm.tasks.table import problems, task_of
from rscovlm.tasks.task import Draw, Example, Shown

Sample = dict[str, Any]


class RecordRenderer:
    """Turns a record into a training sample, from a random generator alone.

    Args:
        dialect: How the model writes boxes and is asked; a codec stands for the dialect of its name.
        budget: Pixels the model sees.
        root: Folder that the records' paths are relative to.
        options: How to put records into words.
        files: How the files of records are taken.

    Examples:
        >>> from rscovlm.records import ImageRef
        >>> record = Record("1", "mine", "train", "vqa", (ImageRef("a.png", width=84, height=84),), question="Is it dry?", answer="yes")
        >>> renderer = RecordRenderer(Codec.preset("rscovlm-v1"), PixelBudget(), Path("."), RenderOptions(rephrase_rate=0))
        >>> [turn["content"][-1]["text"] for turn in renderer(record, np.random.default_rng(0))["messages"]]
        ['Is it dry?', 'yes']
    """

    def __init__(
        self,
        dialect: Dialect | Codec,
        budget: PixelBudget,
        root: str | Path,
        options: RenderOptions | None = None,
        *,
        files: FileRule | None = None,
    ) -> None:
        self.dialect = Dialect.of(dialect) if isinstance(dialect, Codec) else dialect
        self.budget, self.root = budget, Path(root)
        self.options, self.files = options or RenderOptions(), files or FileRule()
        if self.options.resize_rate and budget.mode != "native":
            raise ValueError(
                f"resize_rate is {self.options.resize_rate} with a budget of mode {budget.mode!r}, which would undo it; "
                "use mode 'native'"
            )

    @property
    def codec(self) -> Codec:
        """How boxes are written."""
        return self.dialect.codec

    def __call__(
        self, record: Record, rng: np.random.Generator, *, scale: float = 1.0, window: WindowLike | None = None
    ) -> Sample:
        """Render a record.

        Args:
            record: What to render.
            rng: Decides wording, form and size.
            scale: Factor of the size the images are shown at, within the pixel budget.
            window: Part of the one image of a detection to show, with the objects it holds. The sample's ``redraw``
                renders the same record with the same draws at another scale, or in tiles.

        Raises:
            ValueError: The record lacks what its task needs, or its task has no form as text; the error carries a
                reason that a `Tally` counts by.
        """
        missing = problems(record)
        if missing:
            raise Rejected(missing[0], f"record {record.id!r}: {'; '.join(missing)}")
        _check_labelled(record)
        record = fitted(record, self.root, self.files)
        redraw = Redraw(record, self, rng.bit_generator, window)
        if window is not None:
            categories = sorted({*record.categories, *(item.label for item in record.objects)})
            (objects,), _ = shared_out(record.objects, [window])
            record = replace(record, objects=objects, categories=tuple(categories))
        shown = self._shown(record, rng, scale, window)
        example = task_of(record.task).example(record, shown, Draw(self.dialect, self.options, rng))
        return _sample(example, record.task) | {"redraw": redraw}

    def together(self, records: Sequence[Record], rng: np.random.Generator) -> Sample:
        """Render several records about the same images as the turns of one conversation, the images shown once.

        Args:
            records: At least one; those whose questions rely on a system text must rely on the same.
            rng: Decides wording, form and size.

        Returns:
            A sample whose ``task`` is the tasks, joined by ``+``.

        Raises:
            ValueError: No record, records of other images, or ones that rely on different system texts.
        """
        if not records or any(record.images != records[0].images for record in records):
            raise ValueError(f"{len(records)} records do not share their images; give records of the same images")
        for record in records:
            _check_labelled(record)
        records = [fitted(record, self.root, self.files) for record in records]
        shown = self._shown(records[0], rng, 1.0, None)
        draw = Draw(self.dialect, self.options, rng)
        examples = [task_of(record.task).example(record, shown, draw) for record in records]
        if any(example.tools or example.pictures != shown.pictures for example in examples):
            raise ValueError("a conversation of several records shows its images once; render zooms by themselves")
        turns = [turn for example in examples for turn in example.messages]
        systems = [turn for turn in turns if turn["role"] == "system"]
        if any(turn != systems[0] for turn in systems):
            raise ValueError("questions of one conversation rely on different system texts; render them apart")
        messages, images = systems[:1], True
        for turn in turns:
            if turn["role"] == "system":
                continue
            content = [block for block in turn["content"] if images or block["type"] != "image"]
            messages.append({**turn, "content": content})
            images = False
        return _sample(Example(messages, shown.pictures), "+".join(record.task for record in records))

    def _shown(self, record: Record, rng: np.random.Generator, scale: float, window: WindowLike | None) -> Shown:
        if window is None:
            sizes = [picture_size(image, self.root, self.files.orientation) for image in record.images]
        else:
            sizes = [Window(*window).size]
        planned = [self._shown_size(size, rng, scale) for size in sizes]
        pictures = [
            Picture(image, self.root, size, window, self.files.orientation)
            for image, size in zip(record.images, planned, strict=True)
        ]
        frames = [Frame(*size, ground=self._ground(image)) for image, size in zip(record.images, sizes, strict=True)]
        return Shown(tuple(pictures), tuple(frames), self.budget)

    def _ground(self, image: ImageRef) -> float | None:
        """Return the ground sample distance of an image, its file's where the record has none; opened only to be said."""
        if image.gsd or not self.dialect.wording.gsd:
            return image.gsd or None
        with open_ref(image, self.root, self.files.orientation) as raster:
            return ground_sample_distance(raster.frame)

    def _shown_size(self, size: tuple[int, int], rng: np.random.Generator, factor: float) -> tuple[int, int]:
        """Size to show an image at: the planned one, or with its rate one of an area drawn log-uniformly; times a factor."""
        width, height = self._drawn_size(size, rng)
        if factor == 1:
            return width, height
        return plan_size(max(1, round(width * factor)), max(1, round(height * factor)), self.budget)

    def _drawn_size(self, size: tuple[int, int], rng: np.random.Generator) -> tuple[int, int]:
        if not self.options.resize_rate or rng.random() >= self.options.resize_rate:
            return plan_size(*size, self.budget)
        low, high = math.log(self.budget.min_pixels), math.log(self.budget.max_pixels)
        scale = math.sqrt(math.exp(rng.uniform(low, high)) / (size[0] * size[1]))
        return plan_size(max(1, round(size[0] * scale)), max(1, round(size[1] * scale)), self.budget)


def _check_labelled(record: Record) -> None:
    """Refuse a record without labels: as a sample it would train, or score, that nothing is there."""
    if is_unlabelled(record):
        raise Rejected(
            "labels not published",
            f"record {record.id!r} of {record.source!r} split {record.split!r} has no labels: predict it, and train and evaluate others",
        )


def _sample(example: Example, task: str) -> Sample:
    return {
        "messages": example.messages,
        "images": list(example.pictures),
        "tools": example.tools,
        "task": task,
        "truth": example.truth,
        **({} if example.areas is None else {"areas": example.areas}),
    }


class Redraw:
    """Renders a record again with the same draws, smaller or in tiles; equal for the same record.

    Args:
        record: What was rendered.
        renderer: What rendered it.
        source: The generator's bits before the first draw.
        window: Part of the image that was shown; None where all was.
    """

    def __init__(
        self, record: Record, renderer: RecordRenderer, source: np.random.BitGenerator, window: WindowLike | None = None
    ) -> None:
        self.record, self.window, self._renderer = record, window, renderer
        self._kind, self._state = type(source), source.state

    def smaller(self, scale: float) -> Sample:
        """Return the sample at a scale of the size it was shown at."""
        return self._renderer(self.record, self._rng(), scale=scale, window=self.window)

    def side(self) -> int:
        """Return the longer side of what was shown, in the image's own pixels; 0 where it cannot be cut into tiles."""
        if not task_of(self.record.task).dense or len(self.record.images) != 1:
            return 0
        return max(self._whole().size)

    def tiles(self, *, overlap: float = 0.2) -> list[Sample]:
        """Cut a detection into the `halves` of what was shown, row by row.

        A tile has the objects that lie in it to seven tenths, in its own pixels; tiles without objects are among them.

        Args:
            overlap: Share of a tile's side that neighbours have in common.

        Raises:
            ValueError: This is no detection on one image.
        """
        if not self.side():
            raise ValueError(f"a {self.record.task} record with {len(self.record.images)} images has no tiles")
        windows = halves(self._whole(), overlap=overlap)
        return [self._renderer(self.record, self._rng(), window=window) for window in windows]

    def outside(self, windows: Sequence[WindowLike]) -> int:
        """Return how many of the objects shown lie in none of some windows."""
        _, shown = shared_out(self.record.objects, [self._whole()])
        _, best = shared_out(self.record.objects, windows)
        return int(((shown >= LEAST) & (best < LEAST)).sum())

    def _whole(self) -> Window:
        if self.window:
            return Window(*self.window)
        size = picture_size(self.record.images[0], self._renderer.root, self._renderer.files.orientation)
        return Window.whole(*size)

    def _rng(self) -> np.random.Generator:
        source = self._kind()
        source.state = self._state
        return np.random.Generator(source)

    def __eq__(self, other: object) -> bool:
        """Compare what is shown."""
        return isinstance(other, Redraw) and (self.record, self.window) == (other.record, other.window)

    __hash__ = None  # type: ignore[assignment]
