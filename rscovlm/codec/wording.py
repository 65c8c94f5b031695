"""What a model is asked for each task: texts with places to fill in, as a dialect's file states them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, get_args

from rscovlm.codec.tags import BOX_KINDS, BoxKind
from rscovlm.codec.writing import Style
from rscovlm.settings.nearest import nearest

_PLACE = re.compile(r"\{([a-z_]+)\}")
_KINDS = BOX_KINDS
_STYLES: tuple[Style, ...] = get_args(Style)

PLACES: Mapping[str, tuple[str, ...]] = {
    "detect": ("classes",),
    "ground": ("expression",),
    "classify": ("classes",),
    "classify_open": (),
    "caption": (),
    "caption_change": (),
    "answer": ("question",),
    "answer_choices": ("question", "options"),
    "count": ("classes",),
    "segment": ("targets",),
    "segment_again": ("targets",),
    "segment_outline": ("targets",),
    "change": ("targets",),
    "change_any": (),
    "locate": (),
    "locate_coordinates": (),
    "describe": ("region",),
    "describe_change": ("region",),
}
"""For each task that a dialect words, what its user text must have a place for."""

PAPER_MARKS: Mapping[str, str] = {
    "segment": "[seg]",
    "segment_again": "[seg]",
    "segment_outline": "[seg]",
    "change": "[change]",
    "change_any": "[change]",
    "caption_change": "[change]",
    "describe_change": "[change]",
    "locate": "[geoloc]",
    "locate_coordinates": "[geoloc]",
}
"""The task notation of GeoRSMLLM (arXiv:2503.12490), which stands before the user text where `marks` is true."""

ZOOM = ("system", "request", "crop")
"""Texts around a closer look that a dialect may word."""

_KEYS = ("kind", "style", "system", "user", "between")


@dataclass(frozen=True)
class Prompt:
    """What a model is asked.

    Attributes:
        system: System text; None if there is none.
        user: Text of the user's turn, which stands after the images.
        gsd: Text with a place ``{gsd}`` that follows it where the ground sample distance of the image is known; empty where the
            dialect says nothing of it.
    """

    system: str | None
    user: str
    gsd: str = ""

    def stated(self, gsd: float | None) -> str:
        """Return the user text, with the ground sample distance where the dialect says it and it is known.

        Args:
            gsd: Metres per pixel shown.

        >>> Prompt(None, "Where?", "One pixel is {gsd} m.").stated(0.50004)
        'Where?\\nOne pixel is 0.5 m.'
        """
        return self.user if gsd is None or not self.gsd else f"{self.user}\n{self.gsd.replace('{gsd}', f'{gsd:.4g}')}"


def plainest(count: int) -> int:
    """Choose the first of some texts, the one that inference asks with."""
    return 0


@dataclass(frozen=True)
class Wording:
    """The texts of a dialect, by task.

    Args:
        tasks: Task -> ``user`` and, where there is one, ``system``: a text, a list of texts of which the first is the
            plainest, or these by style and by box kind (``any`` for all kinds); ``kind`` and ``style`` where a task's
            differ from the codec's; ``between`` where what stands between several names is no comma.
        zoom: Texts around a closer look, where they differ from this library's own: ``system`` (the whole system text that
            announces the tool), ``request`` (what follows the question) and ``crop`` (what stands beside the crop).
        gsd: Text about the ground sample distance with a place ``{gsd}`` (metres per pixel shown), added to the user text
            where the distance is known; empty where the dialect says nothing of it.
        marks: What stands before the user text of a task, such as ``{"locate": "[geoloc]"}``; in a file, ``true`` for those
            of `PAPER_MARKS`.

    Raises:
        ValueError: A task, key, style or kind is unknown, a text lacks a place or has one of another name.
    """

    tasks: Mapping[str, Any]
    zoom: Mapping[str, str] = field(default_factory=dict)
    gsd: str = ""
    marks: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for task, parts in self.tasks.items():
            _check_task(task, parts)
        for key, text in self.zoom.items():
            if key not in ZOOM:
                raise ValueError(f"the wording of 'zoom' has the unknown key {key!r}{nearest(str(key), ZOOM)}")
            if not isinstance(text, str) or not text:
                raise ValueError(f"the {key} text of 'zoom' is {text!r}; give a text that is not empty")
        if self.gsd and "{gsd}" not in self.gsd:
            raise ValueError(f"the wording of gsd is {self.gsd!r}; give it a place {{gsd}} for metres per pixel")
        for task, mark in self.marks.items():
            if task not in PLACES:
                raise ValueError(f"marks has the unknown task {task!r}{nearest(str(task), PLACES)}")
            if not isinstance(mark, str) or not mark:
                raise ValueError(f"the mark of {task!r} is {mark!r}; give a text such as '[geoloc]'")

    def form(self, task: str) -> tuple[BoxKind | None, Style | None]:
        """Return the box kind and the style that a task is asked in, None where the codec's are."""
        parts = self.tasks.get(task) or {}
        return parts.get("kind"), parts.get("style")

    def ask(
        self,
        task: str,
        *,
        kind: BoxKind | None = None,
        style: Style | None = None,
        pick: Callable[[int], int] = plainest,
        gsd: float | None = None,
        **values: str | Sequence[str],
    ) -> Prompt:
        """Return what is asked.

        Args:
            task: One of `PLACES`.
            kind: Box kind of the answer, for tasks answered with boxes.
            style: Its style.
            pick: Chooses one of so many user texts; by default the plainest.
            gsd: Metres per pixel shown, where known.
            values: What to fill in; of several names the dialect says what stands between them.

        Raises:
            ValueError: The dialect has no words for the task, kind or style.

        >>> Wording({"detect": {"user": "find the {classes}"}}).ask("detect", classes="plane, ship")
        Prompt(system=None, user='find the plane, ship', gsd='')
        """
        parts = self.tasks.get(task)
        if parts is None:
            raise ValueError(f"the dialect has no words for {task!r}{nearest(task, self.tasks)}")
        texts = _texts(parts["user"], kind, style)
        systems = _texts(parts.get("system"), kind, style)
        if not texts or (kind is not None and kind not in _KINDS):
            raise ValueError(f"the dialect has no words for {task!r} with kind {kind!r} and style {style!r}")
        between = parts.get("between", ", ")
        given = {name: value if isinstance(value, str) else between.join(value) for name, value in values.items()}
        chosen = _PLACE.sub(lambda place: given[place[1]], texts[pick(len(texts)) if len(texts) > 1 else 0])
        if task in self.marks:
            chosen = f"{self.marks[task]} {chosen}"
        prompt = Prompt(systems[0] if systems else None, chosen, self.gsd)
        return prompt if gsd is None else replace(prompt, user=prompt.stated(gsd), gsd="")

    def to_dict(self) -> dict[str, Any]:
        """Return the wording as plain JSON values."""
        zoom = {"zoom": dict(self.zoom)} if self.zoom else {}
        marks = {"marks": dict(self.marks)} if self.marks else {}
        return {**self.tasks, **zoom, **marks, **({"gsd": self.gsd} if self.gsd else {})}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Wording:
        """Return the wording that `to_dict` gave.

        Raises:
            ValueError: It is no mapping of tasks to texts, or one of them is not valid.
        """
        if not isinstance(values, Mapping):
            raise ValueError(f"the wording is {values!r}; give the texts of each task")
        zoom = values.get("zoom") or {}
        if not isinstance(zoom, Mapping):
            raise ValueError(f"the wording of 'zoom' is {zoom!r}; give its texts by name: {', '.join(ZOOM)}")
        marks = PAPER_MARKS if values.get("marks") is True else values.get("marks") or {}
        if not isinstance(marks, Mapping):
            raise ValueError(f"marks is {marks!r}; give true for the paper's, or a text a task")
        tasks = {task: parts for task, parts in values.items() if task not in ("gsd", "zoom", "marks")}
        return cls(tasks, zoom, values.get("gsd") or "", marks)

    def over(self, other: Wording) -> Wording:
        """Return the wording of another dialect with this one's tasks in place of its own."""
        return Wording(
            {**other.tasks, **self.tasks},
            {**other.zoom, **self.zoom},
            self.gsd or other.gsd,
            {**other.marks, **self.marks},
        )


def _texts(tree: Any, kind: BoxKind | None, style: Style | None) -> Sequence[str]:
    """Return the texts for a box kind and a style."""
    if isinstance(tree, Mapping) and set(tree) <= set(_STYLES):
        tree = tree.get(style)
    if isinstance(tree, Mapping):
        tree = [text for key in ("any", kind) if key in tree for text in _listed(tree[key])]
    return _listed(tree)


def _listed(texts: Any) -> Sequence[str]:
    return () if texts is None else (texts,) if isinstance(texts, str) else tuple(texts)


def _check_task(task: str, parts: Any) -> None:
    if task not in PLACES:
        raise ValueError(f"the wording has the unknown task {task!r}{nearest(str(task), PLACES)}")
    if not isinstance(parts, Mapping) or "user" not in parts:
        raise ValueError(f"the wording of {task!r} has no user text; give 'user', and 'system' where there is one")
    for key in parts:
        if key not in _KEYS:
            raise ValueError(f"the wording of {task!r} has the unknown key {key!r}{nearest(str(key), _KEYS)}")
    if not isinstance(parts.get("between", ", "), str):
        raise ValueError(f"the wording of {task!r} has between {parts['between']!r}; give a text")
    for name, known in (("kind", _KINDS), ("style", _STYLES)):
        if parts.get(name) is not None and parts[name] not in known:
            raise ValueError(f"the wording of {task!r} has {name} {parts[name]!r}; choose one of {', '.join(known)}")
    for text in _all_texts(parts.get("system"), task):
        if not isinstance(text, str) or not text:
            raise ValueError(f"a system text of {task!r} is {text!r}; give a text that is not empty")
    users = list(_all_texts(parts["user"], task))
    if not users:
        raise ValueError(f"the wording of {task!r} has no user text; give at least one")
    for text in users:
        places = set(_PLACE.findall(text)) if isinstance(text, str) else set()
        if not isinstance(text, str) or not text or places != set(PLACES[task]):
            wanted = ", ".join(f"{{{name}}}" for name in PLACES[task]) or "no place"
            raise ValueError(f"a user text of {task!r} is {text!r}; it needs {wanted} and nothing else in braces")


def _all_texts(tree: Any, task: str) -> Sequence[Any]:
    """Return every text of a tree, having checked its keys."""
    if not isinstance(tree, Mapping):
        if tree is not None and not isinstance(tree, (str, list, tuple)):
            raise ValueError(f"the wording of {task!r} has {tree!r} for a text; give a text or a list of texts")
        return _listed(tree)
    by_style = set(tree) <= set(_STYLES)
    if not by_style and not set(tree) <= {"any", *_KINDS}:
        raise ValueError(
            f"the wording of {task!r} has texts by {', '.join(map(repr, tree))}; give them by style "
            f"({', '.join(_STYLES)}) or by box kind (any, {', '.join(_KINDS)})"
        )
    return [text for branch in tree.values() for text in _all_texts(branch, task)]
