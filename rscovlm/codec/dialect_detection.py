"""Which dialect a sample of answers is written in, found from the answers alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rscovlm.codec import presets
from rscovlm.codec.found_objects import LAYOUTS, FoundObject
from rscovlm.codec.keys import KeyNames
from rscovlm.codec.reading import DialectReader
from rscovlm.codec.set_spaces import space_of_set
from rscovlm.codec.spaces import SPACES, SpaceName
from rscovlm.geometry import Frame

_AGREE = 0.9
"""Share of the objects that must be written alike, and share that must lie inside the space of their tags."""


@dataclass(frozen=True)
class DialectGuess:
    """What a sample of answers tells about its dialect.

    Attributes:
        dialect: Name of the preset; None where the sample does not tell.
        evidence: Why, in words.
        candidates: Presets that remain; several, or none, where the sample does not tell.
        syntaxes: How many objects were written in which way.
    """

    dialect: str | None
    evidence: str
    candidates: tuple[str, ...]
    syntaxes: dict[str, int]


def detect_dialect(texts: Iterable[str], frames: Frame | Sequence[Frame]) -> DialectGuess:
    """Return the dialect that a sample of answers is written in, or why the answers do not decide.

    Tags and keys tell most dialects. Those that share them differ in their coordinate space only, which is found from all
    boxes at once; where these fit several spaces, as small numbers do, none is named.

    Args:
        texts: Answers, as many as there are: a few dozen tell more than one.
        frames: Pixel grid that the model saw, or one for each answer.

    Raises:
        ValueError: There is one string instead of several, or another number of frames than of answers.
    """
    if isinstance(texts, str):
        raise ValueError("texts is one string; give a list of answers")
    answers = list(texts)
    grids = [frames] * len(answers) if isinstance(frames, Frame) else list(frames)
    if len(grids) != len(answers):
        raise ValueError(
            f"there are {len(grids)} frames for {len(answers)} answers; give one frame, or one for each answer"
        )
    reader = DialectReader(
        KeyNames("label", {}, presets.known_keys()), ("label",), LAYOUTS, foreign=presets.known_tags()
    )
    sample: list[tuple[str, FoundObject, Frame]] = []
    for text, grid in zip(answers, grids, strict=True):
        sample += [(_syntax(one, text), one, grid) for one in reader.read(text).found]
    counts = Counter(syntax for syntax, _, _ in sample)
    if not counts:
        return DialectGuess(None, f"no object can be read in {len(answers)} answers", (), {})
    families = Counter({name: 0 for name in map(_family, counts)})
    for syntax, count in counts.items():
        families[_family(syntax)] += count
    family, most = families.most_common(1)[0]
    syntaxes = dict(counts.most_common())
    if most < _AGREE * len(sample):
        told = ", ".join(f"{count} as {name}" for name, count in syntaxes.items())
        return DialectGuess(None, f"the answers are a mixture: {told}", (), syntaxes)
    members = [(one, grid) for syntax, one, grid in sample if _family(syntax) == family]
    guess = _told(family, members, syntaxes)
    others = {name: count for name, count in syntaxes.items() if _family(name) != family}
    if not others:
        return guess
    told = ", ".join(f"{count} as {name}" for name, count in others.items())
    return replace(guess, evidence=f"{guess.evidence}; written otherwise: {told}")


def _told(family: str, members: list[tuple[FoundObject, Frame]], syntaxes: dict[str, int]) -> DialectGuess:
    """Return what objects that are written alike tell."""
    count = len(members)
    if family in presets.preset_names():
        space: SpaceName = presets.preset(family).space
        inside = np.mean([_inside(one, grid, one.space or space) for one, grid in members])
        if inside < _AGREE:
            return DialectGuess(
                None,
                f"{count} objects have the tags of {family}, but {1 - inside:.0%} lie outside its space",
                (),
                syntaxes,
            )
        return DialectGuess(family, f"{count} objects have the tags of {family}", (family,), syntaxes)
    known: dict[str, dict[SpaceName, str]] = {
        "json": {"pixels": "rscovlm-v1" if _slanted(syntaxes) else "qwen2.5-vl", "0-1000": "qwen3-vl"},
        "json:box_2d": {"0-1000": "gemini"},
        "nested list": {"0-100": "earthdial"},
        "list": {"0-1": "vhm"},
        "line": {"pixels": "rscovlm-v1"},
    }
    if family not in known:
        return DialectGuess(None, f"{count} objects are written as {family}, which no preset does", (), syntaxes)
    dialects = known[family]
    if family == "json:box_2d":
        inside = np.mean([_inside(one, grid, "0-1000") for one, grid in members])
        if inside >= _AGREE:
            return DialectGuess("gemini", f"{count} objects stand under the key box_2d", ("gemini",), syntaxes)
    spaces: list[SpaceName] = ["0-1", "0-100", "0-1000", "pixels"]
    if family in ("json", "line"):
        spaces = ["0-1000", "pixels"]
    boxes = np.array([_extent(one) for one, _ in members])
    sizes = np.array([(grid.width, grid.height) for _, grid in members], dtype=np.float64)
    told = space_of_set(boxes[:, :2], sizes, spaces)
    fractions = any(number != round(number) for one, _ in members for number in one.numbers[:4])
    if boxes[:, :2].max() <= 1.005 and fractions:
        told = space_of_set(boxes[:, :2], sizes, ["0-1"])
    written = f"{count} objects are written as {family}"
    if told.space in dialects:
        name = dialects[told.space]
        return DialectGuess(name, f"{written}; {told.evidence}", (name,), syntaxes)
    # No other preset writes lines, so that only numbers beyond the grid, and fractions, speak against it.
    lines = family == "line" and told.space is None and not fractions
    if lines and np.mean([_inside(one, grid, "pixels") for one, grid in members]) >= _AGREE:
        return DialectGuess("rscovlm-v1", f"{written}, inside their grids", ("rscovlm-v1",), syntaxes)
    left = tuple(dialects.values()) if told.space is None else ()
    return DialectGuess(None, f"{written}; {told.evidence}", left, syntaxes)


def _syntax(one: FoundObject, text: str) -> str:
    if one.syntax == "list":
        before = text[max(0, one.start - 1) : one.start + 2]
        return "nested list" if before.count("[") > 1 else "list"
    return one.syntax


def _family(syntax: str) -> str:
    shared = {"json:bbox_2d", "json:oriented bbox", "json:quadrant bbox", "json:point_2d"}
    return "json" if syntax in shared else syntax


def _slanted(syntaxes: dict[str, int]) -> bool:
    """Whether there are boxes that only our own checkpoints write."""
    return bool(syntaxes.get("json:oriented bbox") or syntaxes.get("json:quadrant bbox"))


def _extent(one: FoundObject) -> tuple[float, float, float, float]:
    """Return the largest x and y of an object as written, and its middle."""
    numbers = one.numbers
    if one.form == "obb":
        return numbers[0], numbers[1], numbers[0], numbers[1]
    values = numbers[:4] if one.form == "corners" else numbers
    xs, ys = values[0::2], values[1::2]
    return max(xs), max(ys), (min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2


def _inside(one: FoundObject, grid: Frame, space: SpaceName) -> bool:
    x, y = _extent(one)[2:]
    units = SPACES[space].units
    width, height = (grid.width, grid.height) if units is None else (units, units)
    return 0 <= x <= 1.05 * width and 0 <= y <= 1.05 * height
