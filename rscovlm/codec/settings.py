"""The settings of a codec: what a dialect's file says, checked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any, Literal, Self, TypeVar, get_args

import numpy as np

from rscovlm.codec.layouts import BoxLayout, layout
from rscovlm.codec.spaces import SPACES, SpaceName, pixels_per_unit
from rscovlm.codec.tag_patterns import TagPattern
from rscovlm.codec.tags import BOX_KINDS, BoxKind, Tags, pieces
from rscovlm.codec.writing import Style
from rscovlm.geometry import Frame
from rscovlm.geometry.affine import Floats
from rscovlm.geometry.kinds import Kind

T = TypeVar("T")
_STYLES: tuple[Style, ...] = get_args(Style)


@dataclass(frozen=True)
class Settings:
    """What is chosen in a codec.

    Attributes:
        name: What the codec is called.
        space: ``"pixels"``, ``"0-1000"``, ``"0-999"``, ``"0-100"``, ``"0-1"``, ``"1000 bins"`` or ``"1024 bins"``.
        decimals: Digits after the point; ``"0-1"`` needs at least one. Angles are whole degrees always.
        kind: Box kind where a call names none; ``"point"`` where the dialect writes the middle of an object.
        style: ``"plain"``, ``"json"`` or ``"tagged"``, where a call names none.
        hbb_key: Name of horizontal boxes in JSON.
        obb_key: Name of oriented boxes in JSON.
        quad_key: Name of quadrilaterals in JSON.
        label_key: Name of labels in JSON.
        none: The answer where there is nothing.
        point_key: Name of points in JSON.
        order: ``"xy"`` or ``"yx"``, in plain and JSON answers; templates of tags have their own order.
        obb_form: ``"centre"`` (cx, cy, w, h, angle) or ``"corners"`` (x1, y1, x2, y2 of the upright box, and the angle it is
            turned by about its centre), in plain and JSON answers. Angles are degrees, clockwise on screen.
        angle_from: First angle that is written: -90 for [-90, 90) of the longer side, 0 for [0, 90) of either side.
        obb_space: Space of oriented boxes, where it is another than `space`.
        kinds: The kinds of boxes that the dialect knows.
        styles: The styles that the dialect knows.
        tags: Templates of tagged answers.

    Raises:
        ValueError: For an unknown space, kind, style or order, decimals that do not fit the space, an empty name or key, or
            a kind or style of its own that the codec does not know.
    """

    name: str
    space: SpaceName = "pixels"
    decimals: int = 0
    kind: BoxKind = "quad"
    style: Style = "plain"
    hbb_key: str = "bbox_2d"
    obb_key: str = "oriented bbox"
    quad_key: str = "quadrant bbox"
    label_key: str = "label"
    none: str = "There are none."
    point_key: str = "point_2d"
    order: Literal["xy", "yx"] = "xy"
    obb_form: Literal["centre", "corners"] = "centre"
    angle_from: Literal[-90, 0] = -90
    obb_space: SpaceName | None = None
    kinds: tuple[BoxKind, ...] = ("hbb", "obb", "quad")
    styles: tuple[Style, ...] = ("plain", "json")
    tags: Tags | None = None

    def __post_init__(self) -> None:
        for name in ("name", "hbb_key", "obb_key", "quad_key", "label_key", "none", "point_key"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value:
                raise ValueError(f"codec {name} is {value!r}; give a non-empty string")
        choose("space", self.space, tuple(SPACES))
        choose("obb_space", self.obb_space, (None, *SPACES))
        choose("order", self.order, ("xy", "yx"))
        choose("obb_form", self.obb_form, ("centre", "corners"))
        choose("angle_from", self.angle_from, (-90, 0))
        for name, known in (("kind", BOX_KINDS), ("style", _STYLES)):
            several = tuple(getattr(self, f"{name}s"))
            object.__setattr__(self, f"{name}s", several)
            for one in several:
                choose(name, one, known)
            choose(name, choose(name, getattr(self, name), known), several)
        if not isinstance(self.decimals, int) or isinstance(self.decimals, bool) or not 0 <= self.decimals <= 6:
            raise ValueError(f"codec decimals is {self.decimals!r}; give an integer from 0 to 6")
        for space in (self.space, self.obb_space):
            if space == "0-1" and self.decimals == 0:
                raise ValueError("codec space '0-1' needs decimals from 1 up; give 3 for thousandths")
        if ("tagged" in self.styles) != (self.tags is not None):
            raise ValueError("codec styles name 'tagged' exactly where the codec has tags; give both or none")
        missing = [] if self.tags is None else [kind for kind in self.kinds if not self.tags.template(kind)]
        if missing and self.styles == ("tagged",):
            raise ValueError(f"codec tags have no template for {missing}; give one, or take them from the kinds")

    def to_dict(self) -> dict[str, Any]:
        """Return the codec as plain JSON values."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the settings that `to_dict` gave.

        Raises:
            ValueError: For an unknown or missing field, or a value the codec does not allow.
        """
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown or "name" not in values:
            wrong = f"unknown {unknown}" if unknown else "no 'name'"
            raise ValueError(f"codec settings have {wrong}; the fields are {sorted(known)}")
        tags = values.get("tags")
        if tags is not None and not isinstance(tags, (Tags, Mapping)):
            raise ValueError(f"codec tags are {tags!r}; give templates by name")
        if isinstance(tags, Mapping):
            odd = sorted(set(tags) - {field.name for field in fields(Tags)})
            if odd:
                raise ValueError(f"codec tags have unknown {odd}; see rscovlm.codec.tags")
            for key, text in tags.items():
                if not isinstance(text, bool if key in ("label_last", "special") else str) and not (
                    key == "joined" and text is None
                ):
                    raise ValueError(f"codec tags have {key} {text!r}; give a text")
            tags = Tags(**tags)
        for name in ("kinds", "styles"):
            if not isinstance(values.get(name, ()), (list, tuple)):
                raise ValueError(f"codec {name} is {values[name]!r}; give a list")
        several = {name: tuple(values[name]) for name in ("kinds", "styles") if name in values}
        return cls(**{**values, **several, "tags": tags})

    def layout(self, kind: BoxKind, style: Style | None = None) -> BoxLayout:
        """Return what the numbers of a box are, in the order in which a style writes them (None for the codec's own)."""
        if (style or self.style) == "tagged" and self.tags is not None and self.tags.template(kind):
            return self.tags.layout(kind)
        return layout("corners" if kind == "obb" and self.obb_form == "corners" else kind, self.order)

    def space_of(self, kind: BoxKind) -> SpaceName:
        """Return the coordinate space in which boxes of a kind are counted."""
        return self.obb_space if kind == "obb" and self.obb_space is not None else self.space

    def key(self, kind: BoxKind) -> str:
        """Return the name of boxes of a kind in JSON."""
        return {"hbb": self.hbb_key, "obb": self.obb_key, "quad": self.quad_key, "point": self.point_key}[kind]

    def rounding(self, kind: Kind, frame: Frame) -> Floats:
        """Return how far writing moves each number of a box inside the grid at most, (k,), in pixels and degrees."""
        form = self.layout(kind).form
        unit: Floats = pixels_per_unit(self.space_of(kind), form, frame) * 0.5 / 10**self.decimals
        if form == "corners":
            # Both corners round; a box that is turned shows the step of either axis on each of its sides.
            unit = np.array([unit[0], unit[1], 2 * max(unit[:2]), 2 * max(unit[:2]), 0.5])
        elif form == "obb":
            unit[4] = 0.5
        return unit

    def written_in(self, tokens: Iterable[str]) -> bool:
        """Return whether tags hold any of some tokens, so that an answer without these has lost its tags."""
        if self.tags is None:
            return False
        templates = (self.tags.label, self.tags.boxes, *map(self.tags.template, self.tags.kinds))
        # Numbers may be tokens too: <loc0097> is one of <loc{y1:04d}>.
        forms = [_numbers_alike("".join(p if isinstance(p, str) else "0" for p in pieces(text))) for text in templates]
        return any(_numbers_alike(token) in form for token in tokens if token for form in forms)

    @property
    def marked_up(self) -> bool:
        """Whether answers are written between tags in angle brackets, which are special tokens of most such models."""
        if self.tags is None or self.style != "tagged":
            return False
        return any(
            "<" in text for text in (self.tags.label, self.tags.boxes, *map(self.tags.template, self.tags.kinds))
        )

    @cached_property
    def tag_pattern(self) -> TagPattern | None:
        """What finds this dialect's tagged objects; None where it has no tags."""
        if self.tags is None:
            return None
        return TagPattern(self.name, self.tags, tuple((kind, self.space_of(kind)) for kind in self.tags.kinds))

    @property
    def labelled(self) -> bool:
        """Whether answers in the dialect's own style name the class."""
        return self.style != "tagged" or self.tags is None or self.tags.labelled

    def chosen(self, kind: BoxKind | None, style: Style | None) -> tuple[BoxKind, Style]:
        """Return a kind and a style that the dialect knows, its own for None.

        Raises:
            ValueError: It does not know them, or does not write the one in the other.
        """
        what: BoxKind = choose("kind", self.kind if kind is None else kind, BOX_KINDS)
        lines: Style = choose("style", self.style if style is None else style, _STYLES)
        for name, one, known in (("kind", what, self.kinds), ("style", lines, self.styles)):
            if one not in known:
                raise ValueError(
                    f"{name} is {one!r}, which codec {self.name!r} does not write; choose one of {list(known)}"
                )
        if what == "point" and lines == "plain":
            raise ValueError("points cannot be separated from other numbers on plain lines; take style='json'")
        if lines == "tagged" and self.tags is not None and not self.tags.template(what):
            raise ValueError(f"codec {self.name!r} has no tags for {what!r}; choose one of {list(self.tags.kinds)}")
        return what, lines


def choose(name: str, value: T, choices: Sequence[T]) -> T:
    """Return a value that is one of some choices.

    Raises:
        ValueError: It is none; the message names the setting and the choices.
    """
    if value not in choices:
        raise ValueError(f"{name} is {value!r}; choose one of {', '.join(map(repr, choices))}")
    return value


def _numbers_alike(text: str) -> str:
    return re.sub(r"\d+", "0", text)
