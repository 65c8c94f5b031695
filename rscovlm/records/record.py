"""One schema for every annotation: structured content, in original pixels, before any prompt is chosen.

A `Record` says what is known about one image (or a few): its class, a caption, a question with its answer, objects, a region to look
at. It never says how to ask. Which prompt, box kind and size a model sees is decided when the record is drawn.

What each task fills in, beside `images`:

| task | fields |
|---|---|
| `classification` | `classes` (usually one); `categories`: the names to choose from |
| `caption` | `captions`: one or several references for the same image |
| `vqa` | `question`, `answer`; `choices` for multiple choice (`answer` is then the letter) |
| `conversation` | `turns`; a place mentioned in a text is written `<box:i>` and stands for `objects[i]`; `extra["tools"]`: what may be called |
| `grounding` | `expression`, and in `objects` the places it refers to |
| `counting` | `categories`: the one class; `answer`: how many |
| `detection` | `objects`; `categories`: every name that was looked for, so that absent ones are known to be absent |
| `zoom` | `question`, `answer`, and `regions` of the image to look at; `objects` where the source kept them |
| `segmentation` | `expression` or `categories`; polygons in `objects` and/or `masks` |
| `change` | two or more `images` with times; polygons in `objects` (`image` says of which one), `masks`, `captions` |
| `region_caption` | one of `objects`, and the `expression` that means it |
| `conditions` | `expression`: an instruction with conditions; in `objects` all that meet it |
| `geolocation` | `extra["latitude"]` and `extra["longitude"]` in degrees; `answer`: the city, where known |
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, cast, get_args

from rscovlm.geometry.kinds import Kind
from rscovlm.geometry.window import Window
from rscovlm.records.jsonfiles import parsed
from rscovlm.records.names import TASKS
from rscovlm.records.paths import check_relative
from rscovlm.records.rows import Row, as_text

Role = Literal["system", "user", "assistant", "tool"]
BOX_MARK = re.compile(r"<box:(\d+)>")

_NUMBERS = {"hbb": 4, "obb": 5, "quad": 8}
_ROLES = get_args(Role)


@dataclass(frozen=True, slots=True)
class ImageRef:
    """Where the pixels of one image are, and their size.

    Attributes:
        path: File relative to the data folder; empty if the pixels are in `data` or in a window of `parent`.
        data: The encoded file itself (PNG, JPEG, TIFF bytes).
        width: Pixels across, of the image as the annotation saw it; 0 where the source does not say and nothing was opened.
        height: Pixels down.
        time: ISO 8601 date or time of acquisition, or what the source gives; empty if unknown.
        parent: For a tile, the file it was cut from, relative to the data folder.
        window: For a tile, (x1, y1, x2, y2) in the parent's pixels. It may reach past the parent's edge: that part is padding.
            Pixels come from `path` or `data` if either is set, else from this window of `parent`.
        bands: Numbers from 1 of the one or three bands to show, where they are not the file's own red, green and blue. A source that
            states them knows the bands: one that the file calls alpha is then not taken for opacity.
        gsd: Ground sample distance, metres per pixel of the image as the annotation saw it; 0 where the source does not say.
    """

    path: str = ""
    data: bytes | None = None
    width: int = 0
    height: int = 0
    time: str = ""
    parent: str = ""
    window: tuple[int, int, int, int] | None = None
    bands: tuple[int, ...] = ()
    gsd: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.gsd) and self.gsd >= 0):
            raise ValueError(f"gsd is {self.gsd!r}; give metres per pixel above 0, or 0 where it is not known")
        if self.path:
            check_relative(self.path)
        if self.parent:
            check_relative(self.parent)
        if not self.path and self.data is None and not (self.parent and self.window):
            raise ValueError("image has no pixels: set path, data, or parent together with window")
        if not isinstance(self.time, str):
            raise ValueError(f"time {self.time!r} is no text; write it as the source does, or leave it out")
        if self.width < 0 or self.height < 0:
            raise ValueError(f"image size {self.width}x{self.height} is negative; give pixels")
        if self.window is not None and Window(*self.window).empty:
            raise ValueError(f"window {self.window} is empty; give (x1, y1, x2, y2) with x1 < x2 and y1 < y2")
        if self.bands and (len(self.bands) not in (1, 3) or min(self.bands) < 1):
            raise ValueError(f"bands {self.bands} cannot be shown; give one or three numbers from 1")


@dataclass(frozen=True, slots=True)
class Annotation:
    """One object: a box in original pixels, its name, and where known its outline.

    Attributes:
        box: 4 numbers for `hbb` (x1 y1 x2 y2), 5 for `obb` (cx cy w h degrees), 8 for `quad` (corners, in the source's order).
        label: Class name or expression as the source writes it.
        kind: How to read `box`.
        difficult: The source marks it as not to be counted.
        image: Index into the record's images.
        polygons: Rings, each a flat x1 y1 x2 y2 ...; what an odd number of them encloses is the object: parts lie beside each other,
            holes inside.
    """

    box: tuple[float, ...]
    label: str = ""
    kind: Kind = "quad"
    difficult: bool = False
    image: int = 0
    polygons: tuple[tuple[float, ...], ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in _NUMBERS:
            raise ValueError(f"box kind {self.kind!r} is unknown; use 'hbb', 'obb' or 'quad'")
        if len(self.box) != _NUMBERS[self.kind]:
            raise ValueError(f"a {self.kind} box has {_NUMBERS[self.kind]} numbers, not {len(self.box)}: {self.box}")
        if not math.isfinite(math.fsum(map(abs, self.box))):
            raise ValueError(f"box {self.box} is not finite; drop the object or correct it")
        if not isinstance(self.label, str):
            raise ValueError(f"label {self.label!r} is no text; write class names as text")
        for ring in self.polygons:
            if len(ring) < 6 or len(ring) % 2:
                raise ValueError(f"a ring has three or more corners x y, not {len(ring)} numbers: {ring}")
            if not math.isfinite(math.fsum(map(abs, ring))):
                raise ValueError(f"ring {ring} is not finite; drop the outline or correct it")


def is_degenerate(item: Annotation) -> bool:
    """Tell whether a box has no width or no height: it is a line or a point.

    >>> is_degenerate(Annotation((4, 4, 4, 9), kind="hbb")), is_degenerate(Annotation((9, 9, 4, 4), kind="hbb"))
    (True, False)
    """
    box = item.box
    if item.kind == "hbb":
        return box[0] == box[2] or box[1] == box[3]
    if item.kind == "obb":
        return box[2] == 0 or box[3] == 0
    # The shoelace sum is nothing where four corners enclose nothing.
    return abs(sum(box[k - 2] * box[k + 1] - box[k] * box[k - 1] for k in range(0, 8, 2))) < 1e-9


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation; `<image>` marks where an image goes, `<box:i>` stands for `objects[i]`.

    A call of a tool is written in the assistant's text as `<tool_call>{"name": ..., "arguments": ...}</tool_call>`; a turn of the role
    `tool` holds what it returned.
    """

    role: Role
    text: str

    def __post_init__(self) -> None:
        if self.role not in _ROLES:
            raise ValueError(f"role {self.role!r} is unknown; use one of {', '.join(_ROLES)}")
        if not isinstance(self.text, str):
            raise ValueError(f"a turn says {self.text!r}, which is no text; write an empty text where nothing is said")


@dataclass(frozen=True, slots=True)
class Record:
    """Everything one annotation says, in original pixels; see the table at the top of this module for what a task fills in.

    Attributes:
        id: Unique within (source, split).
        source: Registry name of the converter that made it.
        split: As the source names it, or `train` / `val` / `test`.
        task: One of `rscovlm.records.names.TASKS`.
        images: In the order the source shows them.
        classes: Scene class or classes of the image.
        captions: Descriptions, each complete on its own.
        question: In the user's words, without formatting instructions where the source keeps these apart.
        answer: For multiple choice the letter of the right choice.
        choices: Texts of the options, without their letters.
        turns: A conversation.
        expression: What a referring expression says.
        objects: Boxes with labels.
        regions: Windows worth zooming into, each (x1, y1, x2, y2) in the first image's pixels.
        categories: Names that were looked for.
        masks: Label images on the grid of the first image.
        extra: Whatever else the source says, as text.

    Raises:
        ValueError: A task, role or box kind is unknown, a field that is text holds something else, a box has the wrong count of numbers
            or is not finite, a path is unsafe, or an object or `<box:i>` points at something that is not there.

    >>> record = Record("1", "mine", "train", "vqa", (ImageRef("a.png", width=8, height=8),), question="How many?", answer="2")
    >>> Record.from_dict(record.to_dict()) == record == Record.from_json(record.to_json())
    True
    """

    id: str
    source: str
    split: str
    task: str
    images: tuple[ImageRef, ...] = ()
    classes: tuple[str, ...] = ()
    captions: tuple[str, ...] = ()
    question: str = ""
    answer: str = ""
    choices: tuple[str, ...] = ()
    turns: tuple[Turn, ...] = ()
    expression: str = ""
    objects: tuple[Annotation, ...] = ()
    regions: tuple[tuple[float, float, float, float], ...] = ()
    categories: tuple[str, ...] = ()
    masks: tuple[ImageRef, ...] = ()
    extra: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.task not in tuple(TASKS):  # unhashable values are refused too
            raise ValueError(f"task {self.task!r} is unknown; use one of {', '.join(TASKS)}")
        wrong = [name for name in TEXTS if not isinstance(getattr(self, name), str)]
        wrong += [name for name in LISTS if not all(isinstance(text, str) for text in getattr(self, name))]
        wrong += ["extra"] * any(not isinstance(text, str) for pair in self.extra.items() for text in pair)
        if wrong:
            raise ValueError(f"record needs text in {', '.join(map(repr, wrong))}")
        for item in self.objects:
            if not 0 <= item.image < max(1, len(self.images)):
                raise ValueError(f"object {item.label!r} is on image {item.image}, but there are {len(self.images)}")
        for turn in self.turns:
            for index in BOX_MARK.findall(turn.text):
                if int(index) >= len(self.objects):
                    raise ValueError(f"text says <box:{index}>, but there are {len(self.objects)} objects")
        for region in self.regions:
            if len(region) != 4 or not math.isfinite(math.fsum(map(abs, region))):
                raise ValueError(f"region {region} is not four finite numbers x1 y1 x2 y2")

    def texts(self) -> list[str]:
        """Return every text that a model may be asked with or trained on."""
        texts = [self.question, self.answer, self.expression]
        texts += [*self.classes, *self.captions, *self.choices, *self.categories]
        return texts + [turn.text for turn in self.turns] + [item.label for item in self.objects]

    def to_dict(self) -> dict[str, Any]:
        """Give every field as plain lists, dicts, numbers and strings (and `bytes` for embedded images): a row for `features()`."""
        row: dict[str, Any] = {name: getattr(self, name) for name in TEXTS}
        row |= {name: list(getattr(self, name)) for name in LISTS}
        row["images"] = [_image_row(image) for image in self.images]
        row["masks"] = [_image_row(image) for image in self.masks]
        row["turns"] = [{"role": turn.role, "text": turn.text} for turn in self.turns]
        row["objects"] = [_object_row(item) for item in self.objects]
        row["regions"] = [list(region) for region in self.regions]
        row["extra"] = [{"key": key, "value": value} for key, value in self.extra.items()]
        return row

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> Record:
        """Read what `to_dict` wrote, or a row with some of its fields left out.

        Raises:
            ValueError: A field is unknown or has the wrong type, or the content is not a valid record.
        """
        check_fields(row, "record")
        try:
            values = _parsed(row)
        except (TypeError, KeyError, AttributeError, OverflowError) as error:
            # Millions of rows are read here, so `_parsed` takes the fields of a foreign row without checking each, and does nothing else.
            raise ValueError(f"record {row['id']!r} is malformed: {error!r}; compare with Record.to_dict()") from error
        return cls(**cast(Any, values))

    def to_json(self) -> str:
        """Write one JSON line without the empty fields; embedded images become base64."""
        row = {key: value for key, value in self.to_dict().items() if key in _NAMED or value not in ("", [])}
        for name in ("images", "masks"):
            for image in row.get(name, ()):
                if not image["gsd"]:
                    del image["gsd"]
                data = image["image"]["bytes"]
                image["image"]["bytes"] = None if data is None else base64.b64encode(data).decode("ascii")
        return json.dumps(row, ensure_ascii=False, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_json(cls, line: str) -> Record:
        """Read what `to_json` wrote.

        Raises:
            ValueError: The line is not JSON, or not a record.
        """
        row = parsed(line)
        kind = type(row).__name__
        if kind != "dict":
            raise ValueError(f"a record is a JSON object, not a {kind}")
        for name in ("images", "masks"):
            for image in Row(row).rows(name) if row.get(name) else ():
                cell = image.row("image")
                data = cell.get("bytes")
                if data is not None:
                    cell.value["bytes"] = base64.b64decode(as_text(data, "'bytes'"), validate=True)
        return cls.from_dict(row)


def check_fields(names: Collection[str], what: str) -> None:
    """Check that names of fields or columns are those of records.

    Args:
        names: The names.
        what: What has them, for the message.

    Raises:
        ValueError: One is unknown, or one that every record has is absent.
    """
    unknown = sorted(map(str, set(names) - _FIELDS))
    if unknown:
        raise ValueError(
            f"{what} has unknown fields {', '.join(map(repr, unknown))}; known: {', '.join(sorted(_FIELDS))}"
        )
    absent = [name for name in _NAMED if name not in names]
    if absent:
        raise ValueError(f"{what} needs text in {', '.join(map(repr, absent))}")


def _image_row(image: ImageRef) -> dict[str, Any]:
    return {
        "image": {"bytes": image.data, "path": image.path},
        "width": image.width,
        "height": image.height,
        "time": image.time,
        "parent": image.parent,
        "window": list(image.window or ()),
        "bands": list(image.bands),
        "gsd": image.gsd,
    }


def _object_row(item: Annotation) -> dict[str, Any]:
    return {
        "box": list(item.box),
        "label": item.label,
        "kind": item.kind,
        "difficult": item.difficult,
        "image": item.image,
        "polygons": [list(ring) for ring in item.polygons],
    }


def _parsed(row: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {name: row[name] for name in TEXTS if name in row}
    values |= {name: tuple(row.get(name) or ()) for name in LISTS}
    values["images"] = tuple(map(_image, row.get("images") or ()))
    values["masks"] = tuple(map(_image, row.get("masks") or ()))
    values["turns"] = tuple(Turn(turn["role"], turn["text"]) for turn in row.get("turns") or ())
    values["objects"] = tuple(map(_object, row.get("objects") or ()))
    values["regions"] = tuple(tuple(map(float, region)) for region in row.get("regions") or ())
    values["extra"] = {pair["key"]: pair["value"] for pair in row.get("extra") or ()}
    return values


def _image(row: Mapping[str, Any]) -> ImageRef:
    window = tuple(map(int, row.get("window") or ()))
    if len(window) not in (0, 4):
        raise ValueError(f"window {window} is not four whole numbers x1 y1 x2 y2")
    return ImageRef(
        path=row["image"].get("path") or "",
        data=row["image"].get("bytes"),
        width=int(row["width"]),
        height=int(row["height"]),
        time=row.get("time") or "",
        parent=row.get("parent") or "",
        window=cast(tuple[int, int, int, int], window) if window else None,
        bands=tuple(map(int, row.get("bands") or ())),
        gsd=float(row.get("gsd") or 0),
    )


def _object(row: Mapping[str, Any]) -> Annotation:
    return Annotation(
        box=tuple(map(float, row["box"])),
        label=row.get("label") or "",
        kind=row["kind"],
        difficult=bool(row.get("difficult")),
        image=int(row.get("image") or 0),
        polygons=tuple(tuple(map(float, ring)) for ring in row.get("polygons") or ()),
    )


LISTS = ("classes", "captions", "choices", "categories")
"""Fields of a record that are lists of texts."""
TEXTS = ("id", "source", "split", "task", "question", "answer", "expression")
"""Fields of a record that are one text."""
_NAMED = ("id", "source", "split", "task")
_FIELDS = frozenset(item.name for item in fields(Record))
