"""Records to conversations: which wording, box kind, style and size is drawn when a record is, not before."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from rscovlm.codec import Codec
from rscovlm.codec.categories import spoken
from rscovlm.codec.prompts import referent, system_prompt
from rscovlm.codec.writing import Style
from rscovlm.data.pictures import Picture, picture_size
from rscovlm.data.prompts import synonyms, wording
from rscovlm.data.records import BOX_MARK, Annotation, Record
from rscovlm.data.rendering import Sample, Turn
from rscovlm.data.tally import Rejected
from rscovlm.data.tiles import LEAST, halves, shared_out
from rscovlm.data.views import boxes_of
from rscovlm.geometry import Boxes, Frame, Objects
from rscovlm.geometry.kinds import Kind
from rscovlm.processing.resolution import PixelBudget, plan_size
from rscovlm.rasters.reader import Window
from rscovlm.zoom.layouts import Layout, answer_turn, zoom_conversation

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True)
class RenderOptions:
    """How records of a subset are put into words. All rates are probabilities from 0 to 1.

    Attributes:
        kinds: Box kinds and their weights.
        json_rate: Answers with boxes written as JSON instead of plain lines.
        rephrase_rate: Another wording than the plainest.
        synonym_rate: A class named by a synonym, in question and answer alike.
        sublist_rate: Detection asks for some of the categories only, absent ones among them.
        resize_rate: The image resized to an area drawn log-uniformly within the pixel budget.
        direct_rate: Zoom records asked without the tool.
        layout: Form of zoom conversations.

    Raises:
        ValueError: A rate outside 0 to 1, or no box kind with a positive weight.
    """

    kinds: Mapping[Kind, float] = field(default_factory=lambda: {"quad": 1.0})
    json_rate: float = 0.0
    rephrase_rate: float = 0.5
    synonym_rate: float = 0.0
    sublist_rate: float = 0.0
    resize_rate: float = 0.0
    direct_rate: float = 0.0
    layout: Layout = "reference"

    def __post_init__(self) -> None:
        """Refuse rates that are no probabilities."""
        for name, value in vars(self).items():
            if name.endswith("_rate") and not 0 <= value <= 1:
                raise ValueError(f"{name} is {value}; give a probability from 0 to 1")
        if any(weight < 0 for weight in self.kinds.values()) or not sum(self.kinds.values()) > 0:
            raise ValueError(f"kinds is {dict(self.kinds)}; give box kinds with positive weights")


class RecordRenderer:
    """Turns a record into a training sample, from a random generator alone.

    Args:
        codec: Writes the boxes.
        budget: Pixels the model sees.
        root: Folder that the records' paths are relative to.
        options: How to put records into words.

    Examples:
        >>> from rscovlm.data.records import ImageRef
        >>> record = Record("1", "mine", "train", "vqa", (ImageRef("a.png", width=84, height=84),), question="Is it dry?", answer="yes")
        >>> renderer = RecordRenderer(Codec.preset("rscovlm-v1"), PixelBudget(), Path("."), RenderOptions(rephrase_rate=0))
        >>> [turn["content"][-1]["text"] for turn in renderer(record, np.random.default_rng(0))["messages"]]
        ['Is it dry?', 'yes']
    """

    def __init__(
        self, codec: Codec, budget: PixelBudget, root: str | Path, options: RenderOptions | None = None
    ) -> None:
        self.codec, self.budget, self.root = codec, budget, Path(root)
        self.options = options or RenderOptions()
        if self.options.resize_rate and budget.mode != "native":
            raise ValueError(
                f"resize_rate is {self.options.resize_rate} with a budget of mode {budget.mode!r}, which would undo it; "
                "use mode 'native'"
            )

    def __call__(
        self, record: Record, rng: np.random.Generator, *, scale: float = 1.0, window: Window | None = None
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
        missing = record.problems()
        if missing:
            raise Rejected(missing[0], f"record {record.id!r}: {'; '.join(missing)}")
        redraw = Redraw(record, self, rng.bit_generator, window)
        if window is None:
            sizes = [picture_size(image, self.root) for image in record.images]
        else:
            sizes = [(window[2] - window[0], window[3] - window[1])]
            categories = sorted({*record.categories, *(item.label for item in record.objects)})
            (objects,), _ = shared_out(record.objects, [window])
            record = replace(record, objects=objects, categories=tuple(categories))
        shown = [self._shown_size(size, rng, scale) for size in sizes]
        pictures = [Picture(image, self.root, size, window) for image, size in zip(record.images, shown, strict=True)]
        frames = [Frame(*size) for size in sizes]
        truth: Objects | None = None
        if record.task == "zoom" and len(record.regions) == 1 and rng.random() >= self.options.direct_rate:
            return {**self._zoom(record, frames[0], pictures[0]), "redraw": redraw}
        if record.task == "conversation":
            messages = self._conversation(record, frames, shown)
        else:
            turn, truth = self._turn(record, frames, shown, rng)
            blocks: list[dict[str, Any]] = [{"type": "image"} for _ in pictures]
            messages = [{"role": "system", "content": turn.system}] if turn.system else []
            messages.append({"role": "user", "content": [*blocks, {"type": "text", "text": turn.question}]})
            messages.append(answer_turn(turn.answer))
        sample = {"messages": messages, "images": pictures, "tools": None, "task": record.task, "truth": truth}
        return sample | {"redraw": redraw}

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

    def _turn(
        self, record: Record, frames: Sequence[Frame], shown: Sequence[tuple[int, int]], rng: np.random.Generator
    ) -> tuple[Turn, Objects | None]:
        if record.task == "detection":
            return self._detection(record, frames[0], shown[0], rng)
        if record.task == "grounding":
            return self._grounding(record, frames[0], shown[0], rng)
        question, answer = self._words(record, rng)
        return Turn(question, answer, record.task), None

    def _words(self, record: Record, rng: np.random.Generator) -> tuple[str, str]:
        """Question and answer of the tasks answered in words."""
        rephrase = self.options.rephrase_rate
        if record.task == "classification":
            names = [spoken(name) for name in record.categories]
            task = "classification_choices" if names and rng.random() < 0.5 else "classification"
            asked = wording(task, rng, rephrase=rephrase).format(names=", ".join(names))
            return asked, ", ".join(spoken(name) for name in record.classes)
        if record.captions and record.task in ("caption", "change"):
            task = "caption_change" if record.task == "change" else "caption"
            caption = record.captions[int(rng.integers(len(record.captions)))]
            return wording(task, rng, rephrase=rephrase), caption
        if record.task in ("vqa", "zoom"):
            if record.choices:
                asked = wording("vqa_choices", rng, rephrase=rephrase)
                return asked.format(question=record.question, options=_options(record)), record.answer
            return wording("vqa", rng, rephrase=rephrase).format(question=record.question), record.answer
        raise Rejected("no text form", f"record {record.id!r}: a {record.task} record has no form as text yet")

    def _detection(
        self, record: Record, frame: Frame, shown: tuple[int, int], rng: np.random.Generator
    ) -> tuple[Turn, Objects]:
        categories = sorted({*record.categories, *(item.label for item in record.objects)})
        if self.options.sublist_rate and len(categories) > 1 and rng.random() < self.options.sublist_rate:
            count = int(rng.integers(1, len(categories)))
            categories = sorted(categories[place] for place in rng.permutation(len(categories))[:count])
        names = {name: self._name(name, rng) for name in categories}
        asked = sorted(names.values())
        kept = [item for item in record.objects if item.label in names]
        kind, style = self._form(rng)
        objects = as_objects(kept, frame, kind, [names[item.label] for item in kept])
        answer = self.codec.encode(objects, frame.resized(*shown), kind=kind, style=style, categories=asked)
        text = wording("detection", rng, style=style, kind=kind, rephrase=self.options.rephrase_rate)
        turn = Turn(text.format(what=", ".join(asked)), answer, "detection", system_prompt(kind, style))
        return turn, objects

    def _grounding(
        self, record: Record, frame: Frame, shown: tuple[int, int], rng: np.random.Generator
    ) -> tuple[Turn, Objects]:
        kind, style = self._form(rng)
        what = referent(record.expression)
        objects = as_objects(record.objects, frame, kind, [what] * len(record.objects))
        answer = self.codec.encode(objects, frame.resized(*shown), kind=kind, style=style)
        text = wording("grounding", rng, style=style, kind=kind, rephrase=self.options.rephrase_rate)
        return Turn(text.format(what=what), answer, "grounding", system_prompt(kind, style)), objects

    def _zoom(self, record: Record, frame: Frame, overview: Picture) -> Sample:
        x1, y1, x2, y2 = record.regions[0]
        window = (
            max(0, math.floor(x1)),
            max(0, math.floor(y1)),
            min(frame.width, math.ceil(x2)),
            min(frame.height, math.ceil(y2)),
        )
        if window[2] <= window[0] or window[3] <= window[1]:
            raise Rejected(
                "region outside the image", f"record {record.id!r}: region {record.regions[0]} shows nothing"
            )
        window, call = self._called(window, frame, overview.size)
        size = plan_size(window[2] - window[0], window[3] - window[1], self.budget)
        crop = Picture(overview.image, self.root, size, window)
        question = f"{record.question}\n{_options(record)}" if record.choices else record.question
        messages, tools = zoom_conversation(None, question, call, None, record.answer, self.options.layout)
        return {"messages": messages, "images": [overview, crop], "tools": tools, "task": "zoom", "truth": None}

    def _called(self, window: Window, frame: Frame, shown: tuple[int, int]) -> tuple[Window, list[int]]:
        """Return the numbers of a call, and its window: grown where the coordinates of the overview round it to nothing."""
        grown, margin = window, 0
        while True:
            box = Boxes(np.array([grown], dtype=np.float64), "hbb", frame)
            call = self.codec.encode_box(box, frame.resized(*shown))
            if call[2] > call[0] and call[3] > call[1]:
                return grown, call
            margin = max(1, 2 * margin)
            x1, y1, x2, y2 = window
            grown = (
                max(0, x1 - margin),
                max(0, y1 - margin),
                min(frame.width, x2 + margin),
                min(frame.height, y2 + margin),
            )

    def _conversation(
        self, record: Record, frames: Sequence[Frame], shown: Sequence[tuple[int, int]]
    ) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = []
        placed = sum(turn.text.count("<image>") for turn in record.turns)
        for place, turn in enumerate(record.turns):
            text = BOX_MARK.sub(lambda mark: self._box_text(record.objects[int(mark[1])], frames, shown), turn.text)
            content: list[dict[str, Any]] = []
            if not placed and turn.role == "user" and not any(m["role"] == "user" for m in messages):
                content += [{"type": "image"} for _ in record.images]
            for part_place, part in enumerate(text.split("<image>")):
                content += [{"type": "image"}] if part_place else []
                content += [{"type": "text", "text": part.strip("\n")}] if part.strip() else []
            messages.append({"role": turn.role, "content": content or [{"type": "text", "text": ""}]})
            if turn.role == "assistant" and place == 0:
                raise Rejected("answer without a question", f"record {record.id!r} begins with an assistant turn")
        return messages

    def _box_text(self, item: Annotation, frames: Sequence[Frame], shown: Sequence[tuple[int, int]]) -> str:
        """A box inside a sentence, as four numbers in the codec's coordinates."""
        frame = frames[item.image]
        box = Boxes(np.array([item.box]), item.kind, frame).as_kind("hbb")
        values = self.codec.encode_box(box, frame.resized(*shown[item.image]))
        return "[" + ", ".join(map(str, values)) + "]"

    def _name(self, label: str, rng: np.random.Generator) -> str:
        name = spoken(label)
        others = synonyms().get(name, ())
        if others and self.options.synonym_rate and rng.random() < self.options.synonym_rate:
            return others[int(rng.integers(len(others)))]
        return name

    def _form(self, rng: np.random.Generator) -> tuple[Kind, Style]:
        kinds: list[Kind] = sorted(self.options.kinds)
        weights = np.array([self.options.kinds[kind] for kind in kinds], dtype=np.float64)
        kind = kinds[int(rng.choice(len(kinds), p=weights / weights.sum()))] if len(kinds) > 1 else kinds[0]
        return kind, "json" if rng.random() < self.options.json_rate else "plain"


class Redraw:
    """Renders a record again with the same draws, smaller or in tiles; equal for the same record.

    Args:
        record: What was rendered.
        renderer: What rendered it.
        source: The generator's bits before the first draw.
        window: Part of the image that was shown; None where all was.
    """

    def __init__(
        self, record: Record, renderer: RecordRenderer, source: np.random.BitGenerator, window: Window | None = None
    ) -> None:
        self.record, self.window, self._renderer = record, window, renderer
        self._kind, self._state = type(source), source.state

    def smaller(self, scale: float) -> Sample:
        """Return the sample at a scale of the size it was shown at."""
        return self._renderer(self.record, self._rng(), scale=scale, window=self.window)

    def side(self) -> int:
        """Return the longer side of what was shown, in the image's own pixels; 0 where it cannot be cut into tiles."""
        if self.record.task != "detection" or len(self.record.images) != 1:
            return 0
        x1, y1, x2, y2 = self._whole()
        return max(x2 - x1, y2 - y1)

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

    def outside(self, windows: Sequence[Window]) -> int:
        """Return how many of the objects shown lie in none of some windows."""
        _, shown = shared_out(self.record.objects, [self._whole()])
        _, best = shared_out(self.record.objects, windows)
        return int(((shown >= LEAST) & (best < LEAST)).sum())

    def _whole(self) -> Window:
        return self.window or (0, 0, *picture_size(self.record.images[0], self._renderer.root))

    def _rng(self) -> np.random.Generator:
        source = self._kind()
        source.state = self._state
        return np.random.Generator(source)

    def __eq__(self, other: object) -> bool:
        """Compare what is shown."""
        return isinstance(other, Redraw) and (self.record, self.window) == (other.record, other.window)

    __hash__ = None  # type: ignore[assignment]


def _options(record: Record) -> str:
    """Return the choices of a question, a lettered line each."""
    return "\n".join(f"({letter}) {text}" for letter, text in zip(_LETTERS, record.choices, strict=False))


def as_objects(items: Sequence[Annotation], frame: Frame, kind: Kind, labels: Sequence[str]) -> Objects:
    """Return annotations as labelled boxes of one kind on the image's frame, clipped to it."""
    return Objects(boxes_of(items, kind, frame), tuple(labels))
