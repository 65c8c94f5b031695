"""Instructions with several conditions as ordered sub-instructions: a plan, checked before anything is asked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rscovlm.settings.nearest import nearest

SUPERLATIVES = (
    *("largest", "smallest", "leftmost", "rightmost", "topmost", "bottommost"),
    *("northernmost", "southernmost", "easternmost", "westernmost"),
)
"""Keep the `count` objects that lead in size or place."""

SIDES = ("left_of", "right_of", "above", "below", "north_of", "south_of", "east_of", "west_of")
"""Keep objects by the direction from the nearest point of what `to` names."""

DISTANCES = ("within", "beyond", "along", "nearest", "farthest")
"""Keep objects by their distance to what `to` names; `along` is `within` of a line, by default of an object's own length."""

PARTS = ("left", "right", "top", "bottom", "centre", "north", "south", "east", "west")
"""Halves of the image, and the middle ninth, for `part`."""

ACTIONS = ("find", *SUPERLATIVES, *SIDES, *DISTANCES, "inside", "outside", "between", "part", "matching", "count")
"""What a step may do. `find` and `matching` ask the model; all others are decided by geometry."""

UNITS = ("m", "px")
MOST = 64
"""Steps of a plan; an instruction has a few."""

_RELATED = {*SIDES, *DISTANCES, "inside", "outside", "between"}


@dataclass(frozen=True)
class SubInstruction:
    """One step of a plan.

    Attributes:
        name: What later steps call its result.
        do: One of `ACTIONS`.
        what: For ``find`` and ``matching`` the words to look for; for ``part`` one of `PARTS`.
        of: Name of the step whose objects it chooses from; empty for ``find``.
        to: Names of the steps, or given areas, that it compares with; two for ``between`` two things.
        many: For ``find``: several objects of a class, not the one that an expression means.
        count: For superlatives, ``nearest`` and ``farthest``: how many to keep.
        distance: For ``within``, ``beyond`` and ``along``.
        unit: Of the distance: metres or pixels of the original image.

    Raises:
        ValueError: The step lacks what its action needs, or has what it cannot use.
    """

    name: str
    do: str
    what: str = ""
    of: str = ""
    to: tuple[str, ...] = ()
    many: bool = True
    count: int = 1
    distance: float | None = None
    unit: str = "m"

    def __post_init__(self) -> None:
        where = f"step {self.name!r}"
        if not self.name:
            raise ValueError("a step has no name; give each one of its own")
        if self.do not in ACTIONS:
            raise ValueError(f"{where} does {self.do!r}{nearest(str(self.do), ACTIONS)}")
        if bool(self.of) == (self.do == "find"):
            raise ValueError(
                f"{where} ({self.do}) has of={self.of!r}; every step but 'find' chooses from another's objects"
            )
        if bool(self.what) != (self.do in ("find", "matching", "part")):
            raise ValueError(
                f"{where} ({self.do}) has what={self.what!r}; 'find', 'matching' and 'part' need one, no other"
            )
        if self.do == "part" and self.what not in PARTS:
            raise ValueError(f"{where} keeps the part {self.what!r}{nearest(self.what, PARTS)}")
        if bool(self.to) != (self.do in _RELATED):
            raise ValueError(
                f"{where} ({self.do}) has to={list(self.to)}; name what a relation compares with, and nothing else"
            )
        if self.do == "between" and len(self.to) > 2:
            raise ValueError(f"{where} lies between {list(self.to)}; give one or two names")
        if self.count < 1:
            raise ValueError(f"{where} keeps {self.count} objects; give a number from 1")
        self._check_distance(where)

    def _check_distance(self, where: str) -> None:
        if self.do in ("within", "beyond") and self.distance is None:
            raise ValueError(f"{where} ({self.do}) has no distance; give metres")
        if self.distance is not None:
            if self.do not in ("within", "beyond", "along"):
                raise ValueError(f"{where} ({self.do}) has a distance; 'within', 'beyond' and 'along' take one")
            if not (math.isfinite(self.distance) and self.distance >= 0):
                raise ValueError(f"{where} has the distance {self.distance}; give a number from 0")
        if self.unit not in UNITS:
            raise ValueError(f"{where} has the unit {self.unit!r}{nearest(self.unit, UNITS)}")

    def words(self) -> str:
        """Return the step in words, for a trace.

        >>> SubInstruction("b", "within", of="a", to=("pier",), distance=200).words()
        'a within 200 m of pier'
        """
        if self.do == "find":
            return f"find {self.what}"
        if self.do == "part":
            return f"{self.of} in the {self.what} of the image"
        if self.do == "matching":
            return f"{self.of} that are {self.what}"
        many = f"{self.count} " if self.count > 1 else ""
        if self.do in SUPERLATIVES or self.do == "count":
            return f"{many}{self.do} {'of ' if self.do != 'count' else ''}{self.of}"
        others = " and ".join(self.to)
        away = "" if self.distance is None else f" {self.distance:g} {self.unit}"
        between = " of " if self.do in ("within", "beyond") else " to " if self.do in ("nearest", "farthest") else " "
        return f"{many}{self.of} {self.do.replace('_', ' ')}{away}{between}{others}"


@dataclass(frozen=True)
class ConditionPlan:
    """Sub-instructions in the order in which they can be solved; the last one's result is the answer.

    Args:
        steps: In any order; each may name the results of others, and the `given` areas.
        notes: What a parser had to settle.
        given: Names that are known before the first step: areas of the caller.

    Raises:
        ValueError: There is no step or more than `MOST`, a name is used twice or unknown, or steps wait for each other
            in a loop.

    >>> plan = ConditionPlan([SubInstruction("east", "east_of", of="all", to=("river",)),
    ...     SubInstruction("all", "find", "planes"), SubInstruction("river", "find", "river", many=False)])
    >>> [step.name for step in plan.steps]
    ['all', 'river', 'east']
    """

    steps: Sequence[SubInstruction]
    notes: tuple[str, ...] = ()
    given: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= len(self.steps) <= MOST:
            raise ValueError(f"the plan has {len(self.steps)} steps; give 1 to {MOST}")
        by_name: dict[str, SubInstruction] = {}
        for step in self.steps:
            if step.name in by_name or step.name in self.given:
                raise ValueError(f"two steps or areas are called {step.name!r}; give each its own name")
            by_name[step.name] = step
        object.__setattr__(self, "steps", tuple(_ordered(by_name, self.given)))

    @property
    def answer(self) -> SubInstruction:
        """The step whose result is the answer."""
        return self.steps[-1]

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain JSON values, as `from_dict` reads them."""
        return {"steps": [_step_row(step) for step in self.steps]}

    @classmethod
    def from_dict(cls, values: Any, *, given: Sequence[str] = ()) -> ConditionPlan:
        """Return the plan that JSON values state, as `SCHEMA` describes them.

        Raises:
            ValueError: They are not of that form, or no valid plan; the message says what is wrong.
        """
        if not isinstance(values, Mapping) or not isinstance(values.get("steps"), list):
            raise ValueError('the plan is no object with a list of steps; give {"steps": [...]}')
        return cls([_step(row, number) for number, row in enumerate(values["steps"], 1)], given=tuple(given))


_TYPES: dict[str, tuple[type, ...]] = {
    "name": (str,),
    "do": (str,),
    "what": (str,),
    "of": (str,),
    "to": (list,),
    "many": (bool,),
    "count": (int,),
    "distance": (int, float),
    "unit": (str,),
}

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["steps"],
    "additionalProperties": False,
    "properties": {
        "steps": {
            "type": "array",
            "minItems": 1,
            "maxItems": MOST,
            "items": {
                "type": "object",
                "required": ["name", "do"],
                "additionalProperties": False,
                "properties": {
                    "name": {"type": "string", "minLength": 1},
                    "do": {"enum": list(ACTIONS)},
                    "what": {"type": "string"},
                    "of": {"type": "string"},
                    "to": {"type": "array", "items": {"type": "string"}},
                    "many": {"type": "boolean"},
                    "count": {"type": "integer", "minimum": 1},
                    "distance": {"type": "number", "minimum": 0},
                    "unit": {"enum": list(UNITS)},
                },
            },
        }
    },
}
"""JSON Schema of a plan, for engines that hold a model to one and for prompts."""


def _step(row: Any, number: int) -> SubInstruction:
    if not isinstance(row, Mapping):
        raise ValueError(f"step {number} is {row!r:.80}; give an object with name and do")
    for key, value in row.items():
        if key not in _TYPES:
            raise ValueError(f"step {number} has the unknown key {key!r}{nearest(str(key), _TYPES)}")
        if not isinstance(value, _TYPES[key]) or (isinstance(value, bool) and bool not in _TYPES[key]):
            raise ValueError(
                f"step {number} has {key} {value!r:.80}; give {' or '.join(t.__name__ for t in _TYPES[key])}"
            )
    if not all(isinstance(name, str) for name in row.get("to", ())):
        raise ValueError(f"step {number} has to {row['to']!r:.80}; give a list of names")
    absent = [key for key in ("name", "do") if key not in row]
    if absent:
        raise ValueError(f"step {number} has no {' and no '.join(absent)}")
    values: dict[str, Any] = {key: tuple(value) if key == "to" else value for key, value in row.items()}
    return SubInstruction(**values)


def _step_row(step: SubInstruction) -> dict[str, Any]:
    plain = SubInstruction("x", "find", "x")
    row = {key: getattr(step, key) for key in _TYPES}
    kept = {key: value for key, value in row.items() if key in ("name", "do") or value != getattr(plain, key)}
    if step.what:
        kept["what"] = step.what
    return kept | ({"to": list(step.to)} if step.to else {})


def _ordered(steps: Mapping[str, SubInstruction], given: Sequence[str]) -> list[SubInstruction]:
    """Return the steps so that each stands behind those it names, otherwise in their order; the answer stays last."""
    done: dict[str, SubInstruction] = {}
    left = dict(steps)
    for step in steps.values():
        for name in (*((step.of,) if step.of else ()), *step.to):
            if name not in steps and name not in given:
                known = [*steps, *given]
                raise ValueError(f"step {step.name!r} names {name!r}, which is no step{nearest(name, known)}")
            if name in given and name == step.of:
                raise ValueError(f"step {step.name!r} chooses from the area {name!r}; choose from what a step found")
    while left:
        ready = [
            step
            for step in left.values()
            if all(name in done or name in given for name in (*((step.of,) if step.of else ()), *step.to))
        ]
        if not ready:
            raise ValueError(f"the steps {', '.join(map(repr, left))} wait for each other in a loop; order them")
        done[ready[0].name] = ready[0]
        del left[ready[0].name]
    used = {name for step in steps.values() for name in (step.of, *step.to)}
    ends = [step for step in done.values() if step.name not in used]
    if len(ends) > 1:
        names = ", ".join(repr(step.name) for step in ends)
        raise ValueError(f"the results of {names} are used by no other step; let one step be the answer")
    return [*(step for step in done.values() if step is not ends[0]), ends[0]]
