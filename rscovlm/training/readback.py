"""Boxes read back from the tokens that would be trained, held against the truth they were rendered from."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import shapely
from numpy.typing import NDArray

from rscovlm.codec import Codec
from rscovlm.codec.point_objects import PointObject
from rscovlm.codec.set_of_points import SetOfPoints
from rscovlm.codec.spaces import SPACES
from rscovlm.data.textboxes import Scale, find_boxes, to_annotation
from rscovlm.geometry import Boxes, Frame, Objects, iou
from rscovlm.geometry.affine import Floats
from rscovlm.geometry.kinds import Kind
from rscovlm.geometry.shapes import shape_iou
from rscovlm.processing.tokenizer import special_texts
from rscovlm.records.pictures import Picture
from rscovlm.records.record import BOX_MARK, Annotation, Record
from rscovlm.records.sizes import picture_size
from rscovlm.tasks.table import looks
from rscovlm.training.encoding import IGNORED, Encoded
from rscovlm.zoom.calls import read_calls

LEAST_IOU = 0.99
"""Boxes that overlap less than this must at least be each other's rounding."""

LEAST_COVER = 0.8
"""Areas that polygons simplified to a length cover less of have lost their shape."""

_TINY = 64.0
"""Pixels of the grid that the model sees, an object, below which rounding alone changes an area beyond that."""


def check_boxes(sample: Mapping[str, Any], encoded: Encoded, processor: Any, *, name: str) -> int:
    """Read a sample's boxes back from its tokens and hold them against the truth.

    The text is read with the processor's codec, and with what that is once it was saved and loaded again, on the grid
    of pixels that the model sees. A box is right where it overlaps the true one by an IoU of 0.99, or where none of its
    numbers is off by more than rounding: half a step of the coordinate space, half a degree. Truth that crosses the
    image's edge is clipped first, as `Codec.encode` does. Boxes and labels are matched in any order.

    Answers that list objects are read, the window of a zoom call (against the crop that is shown), and the boxes that a
    conversation mentions. An answer in words has none.

    Args:
        sample: What was rendered, with its ``truth`` or the ``redraw`` that knows its record.
        encoded: Its tokens.
        processor: An `RSCoVLMProcessor`.
        name: What errors call the sample.

    Returns:
        The number of boxes compared.

    Raises:
        ValueError: A box is not where the truth is, has another label, is missing or too much; the message names it.
    """
    patch = processor.image_processor.patch_size
    shown = [(width * patch, height * patch) for _, height, width in encoded.grids]
    count = 0
    for reader in dict.fromkeys((processor.codec, Codec.from_dict(processor.codec.to_dict()))):
        truth: Objects | None = sample.get("truth")
        areas: Sequence[PointObject] | None = sample.get("areas")
        answer = _text([label for label in encoded.labels if label != IGNORED], processor)
        if truth is not None and truth.boxes.frame is not None:
            count = _listed(truth, truth.boxes.frame.resized(*shown[0]), answer, reader, name)
            continue
        images: Sequence[Any] = sample.get("images") or ()
        if areas is not None:
            count = _areas(areas, Frame(*shown[0]), answer, reader, name)
            continue
        redraw = sample.get("redraw")
        if redraw is None or not all(isinstance(image, Picture) for image in images):
            continue
        frames = [Frame(*picture_size(image.image, image.root, image.orientation)) for image in images]
        if looks(sample["task"]) and len(images) == 2:
            count = _called(images[1].window, frames[0], frames[0].resized(*shown[0]), answer, reader, name)
        else:
            count = _mentioned(redraw.record, frames, shown, _text(encoded.ids, processor), reader, name)
    return count


def off(expected: Boxes, found: Boxes, codec: Codec) -> Floats:
    """Return how far boxes lie from each other, in what rounding moves at most: 1 or less is rounding alone.

    Args:
        expected: n true boxes on the grid of pixels that the model sees; what crosses its edge is clipped as `Codec.encode` does.
        found: m boxes of the same kind on the same grid.
        codec: Whose steps to count in. Of horizontal boxes and quadrilaterals each coordinate may be off by half a step,
            of oriented ones centre, width and height by half a step and the angle by half a degree.

    Returns:
        (n, m).

    Raises:
        ValueError: The boxes differ in kind or grid.

    >>> grid = Frame(2000, 1000)  # thousandths are steps of 2 and 1 pixels
    >>> true, read = Boxes([[100, 100, 200, 200]], "hbb", grid), Boxes([[101, 100, 200, 200], [100, 101, 200, 200]], "hbb", grid)
    >>> off(true, read, Codec.preset("qwen3-vl")).tolist()
    [[1.0, 2.0]]
    """
    kind, frame = found.kind, found.frame
    if frame is None or expected.kind != kind or expected.frame != frame:
        raise ValueError(
            f"boxes are {expected.kind!r} on {expected.frame} and {kind!r} on {frame}; give the same of both"
        )
    half = codec.rounding(kind, frame)
    largest = np.resize(np.array([frame.width, frame.height], dtype=np.float64), len(half))
    least = np.zeros(len(half))
    if kind == "obb":
        largest[2:], least[4] = np.inf, -np.inf
    true, read = np.clip(expected.coords, least, largest), found.coords
    table = np.empty((len(true), len(read)))
    for row, coords in enumerate(true):
        # Rounding may turn a quadrilateral round, or move another corner to the first place.
        ways = _turns(coords) if kind == "quad" else coords[None]
        apart = np.abs(ways[:, None] - read[None])
        if kind == "obb":
            apart[..., 4] = np.minimum(apart[..., 4], 180.0 - apart[..., 4])
        table[row] = (apart / half).max(axis=2).min(axis=0)
    return table


def _turns(quad: Floats) -> Floats:
    corners = quad.reshape(4, 2)
    return np.array([np.roll(order, by, axis=0).ravel() for order in (corners, corners[::-1]) for by in range(4)])


def _listed(truth: Objects, frame: Frame, text: str, codec: Codec, name: str) -> int:
    """Compare the objects that an answer lists."""
    read = codec.decode(text, frame, kind=truth.boxes.kind)
    if len(read.objects) != len(truth):
        said = ", ".join(f"{count} {reason}" for reason, count in read.problems.items())
        raise ValueError(
            f"{name}: the truth has {len(truth)} boxes but {len(read.objects)} read back with codec {codec.name!r} from "
            f"the trained text {text!r}{f' ({said})' if said else ''}; the codec, the chat template or the tokenizer "
            "changes the answer"
        )
    _hold(truth.to(frame), read.objects, codec, name)
    return len(truth)


def _areas(truth: Sequence[PointObject], grid: Frame, text: str, codec: Codec, name: str) -> int:
    """Compare the boxes with points or polygons that an answer states.

    Polygons may have been simplified to a length, so that they are held to covering the truth by four fifths.
    """
    form = truth[0].form if truth else None
    read = SetOfPoints(codec).decode(text, grid, form=form).objects
    frame = truth[0].sets.frame if truth else None
    seen = grid if frame is None else frame.resized(grid.width, grid.height)
    expected = [one.to(seen) for one in truth]
    labels = [sorted(_plain([one.label for one in each])) for each in (expected, read)]
    shapes = [shapely.union_all([one.shape for one in each]) for each in (expected, read)]
    tiny = len(truth) and shapes[0].area < _TINY * len(truth)
    if labels[0] != labels[1] or not (tiny or shape_iou(*shapes) >= LEAST_COVER):
        raise ValueError(
            f"{name}: the truth has areas of {labels[0]} but {labels[1]} read back with codec {codec.name!r} from the trained text "
            f"{text!r}, and they overlap by {shape_iou(*shapes):.3f}; the codec, the chat template or the tokenizer changes the "
            "answer, or raise render.longest"
        )
    return len(truth)


def _called(window: Any, whole: Frame, frame: Frame, text: str, codec: Codec, name: str) -> int:
    """Compare the window of a zoom call with that of the crop shown."""
    if window is None:
        return 0
    said = read_calls(text)
    if said.call is None:
        raise ValueError(
            f"{name}: the zoom call reads back from {text!r} as {said.refusal or 'none'}; make the region larger where the "
            "codec rounds it to nothing, or correct the chat template or the tokenizer where they change the text"
        )
    found = codec.decode_box(said.call.bbox, frame)
    expected = Boxes([window], "hbb", whole).to(frame)
    _hold(Objects(expected, ("the window shown",)), Objects(found, ("the window shown",)), codec, name)
    return 1


def _mentioned(
    record: Record, frames: Sequence[Frame], shown: Sequence[tuple[int, int]], text: str, codec: Codec, name: str
) -> int:
    """Find the boxes that a conversation mentions among those its text holds."""
    marks = [int(mark) for turn in record.turns for mark in BOX_MARK.findall(turn.text)]
    items: list[Annotation] = [record.objects[mark] for mark in marks]
    turned = any(item.kind != "hbb" for item in items)
    for image in sorted({item.image for item in items}):
        frame = frames[image].resized(*shown[image])
        kind: Kind = "quad" if turned and {"quad", "obb"} & set(codec.kinds) else "hbb"
        ours = [Boxes([item.box], item.kind, frames[image]).as_kind(kind) for item in items if item.image == image]
        expected = Boxes.concatenate(ours).to(frame)
        found = _boxes_in(text, frame, codec, kind)
        nameless = ("",) * len(expected), ("",) * len(found)
        _hold(Objects(expected, nameless[0]), Objects(found, nameless[1]), codec, name)
    return len(items)


def _boxes_in(text: str, frame: Frame, codec: Codec, kind: Kind) -> Boxes:
    """Return the boxes that a text holds, in pixels as the model sees them."""
    found = [Boxes.empty(kind, frame)]
    for box in find_boxes(text):
        if box.kind == "hbb" and (box.numbers[0] > box.numbers[2] or box.numbers[1] > box.numbers[3]):
            continue
        if box.kind == "hbb":
            found.append(codec.decode_box(box.numbers, frame).as_kind(kind))
        elif kind == "quad":
            units = SPACES[codec.space_of(box.kind)].units
            placed = to_annotation(box, cast(Scale, units or 0), frame.width, frame.height)
            found.append(Boxes([placed.box], placed.kind, frame).as_kind(kind))
    return Boxes.concatenate(found)


def _hold(expected: Objects, found: Objects, codec: Codec, name: str) -> None:
    """Match every expected box with a found one of its own.

    Raises:
        ValueError: One is left; the message names it with the nearest found.
    """
    frame = found.boxes.frame
    if not len(expected) or frame is None:
        return
    x1, y1, x2, y2 = expected.boxes.as_kind("hbb").coords.T
    half_x, half_y = codec.rounding("hbb", frame)[:2]
    beyond = (x2 < -half_x) | (y2 < -half_y) | (x1 > frame.width + half_x) | (y1 > frame.height + half_y)
    if beyond.any():
        row = int(np.argmax(beyond))
        raise ValueError(
            f"{name}: box {row} of {len(expected)}, {expected.labels[row]!r}, {_numbers(expected.boxes, row)}, lies "
            f"outside the image of {frame.width}x{frame.height} pixels as the model sees it; its record holds the boxes "
            "of another image or window: correct it, or leave the box out"
        )
    overlap = iou(expected.boxes, found.boxes)
    moved = off(expected.boxes, found.boxes, codec)
    named = np.array(_plain(expected.labels))[:, None] == np.array(_plain(found.labels), dtype=np.str_)
    agree = ((overlap >= LEAST_IOU) | (moved <= 1 + 1e-6)) & named
    left = unmatched(agree)
    if left is None:
        return
    text = f"{name}: box {left} of {len(expected)}, {expected.labels[left]!r}, is {_numbers(expected.boxes, left)} in truth"
    if len(found):
        near = int(np.lexsort((~named[left], moved[left], -overlap[left]))[0])
        other = "" if named[left, near] else f" and is called {found.labels[near]!r}"
        text += (
            f", but the nearest that reads back from the trained tokens is {_numbers(found.boxes, near)}{other} "
            f"(IoU {overlap[left, near]:.3f}, {moved[left, near]:.3g} times what rounding moves)"
        )
    raise ValueError(
        f"{text}, in pixels of {frame.width}x{frame.height} as the model sees them, read with codec {codec.name!r} "
        f"({codec.space}); give model and recipe the same codec and pixel budget (mixture.codec, mixture.budget), and "
        "render the records with them"
    )


def unmatched(agree: NDArray[np.bool_]) -> int | None:
    """Return a row that cannot have a column of its own where rows and columns agree, or None where all can.

    Args:
        agree: (n, m).

    >>> unmatched(np.array([[True, True], [True, False]])), unmatched(np.array([[True, False], [True, False]]))
    (None, 1)
    """
    owner: dict[int, int] = {}
    choices = [np.flatnonzero(row).tolist() for row in agree]
    for start in range(len(choices)):
        came: dict[int, int] = {}
        rows, free = [start], None
        while rows and free is None:
            row = rows.pop()
            for column in choices[row]:
                if column not in came:
                    came[column] = row
                    if column not in owner:
                        free = column
                        break
                    rows.append(owner[column])
        if free is None:
            return start
        # Each row on the way hands its column to the one that asked for it.
        held = {row: column for column, row in owner.items()}
        column = free
        while True:
            row = came[column]
            owner[column] = row
            if row == start:
                break
            column = held[row]
    return None


def _text(ids: Sequence[int], processor: Any) -> str:
    # Where a dialect's tags are special tokens, they are part of the answer.
    skips = not processor.codec.written_in(special_texts(processor.tokenizer))
    text = str(processor.tokenizer.decode(ids, skip_special_tokens=skips))
    return text if skips else text.removesuffix("\n").removesuffix(processor.tokenizer.eos_token or "")


def _plain(labels: Sequence[str]) -> list[str]:
    """Return labels as every tokenizer hands them back: some compose characters."""
    return [unicodedata.normalize("NFC", label) for label in labels]


def _numbers(boxes: Boxes, row: int) -> str:
    return f"{boxes.kind} [" + ", ".join(f"{number:.1f}" for number in boxes.coords[row]) + "]"
