"""How questions are worded: data files of several wordings per task, and other names for classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import yaml

from rscovlm.codec.prompts import detection_prompt, grounding_prompt, system_prompt, template
from rscovlm.codec.writing import Style
from rscovlm.geometry.kinds import Kind

__all__ = [
    "Kind",
    "Style",
    "detection_prompt",
    "grounding_prompt",
    "synonyms",
    "system_prompt",
    "wording",
]


def wording(
    task: str,
    rng: np.random.Generator,
    *,
    style: Style | None = None,
    kind: Kind | None = None,
    rephrase: float = 0.5,
) -> str:
    """Return a wording of a task's question, with its fields still to be filled in.

    Args:
        task: One of the keys of ``tasks.yaml``.
        rng: Draws the wording.
        style: For tasks answered with boxes, ``"plain"`` or ``"json"``.
        kind: For tasks answered with boxes, the box kind, so that wordings that name it are drawn too.
        rephrase: Probability of another wording than the plainest.

    Raises:
        ValueError: There are no wordings for the task.

    >>> wording("caption", np.random.default_rng(0), rephrase=0)
    'Describe this image.'
    """
    found: Any = _wordings().get(task)
    if isinstance(found, Mapping):
        found = found.get(style) or {}
        found = [*found.get("any", ()), *found.get(kind, ())]
    if not found:
        raise ValueError(f"no wording for task {task!r} in style {style!r}; tasks are {', '.join(sorted(_wordings()))}")
    choices: Sequence[str] = found
    if len(choices) > 1 and rng.random() < rephrase:
        return choices[1 + int(rng.integers(len(choices) - 1))]
    return choices[0]


@cache
def synonyms() -> Mapping[str, tuple[str, ...]]:
    """Return other names for the shown names of classes.

    >>> "aircraft" in synonyms()["plane"]
    True
    """
    loaded = yaml.safe_load((files(__name__) / "synonyms.yaml").read_text(encoding="utf-8"))
    return {str(name): tuple(map(str, others)) for name, others in loaded.items()}


@cache
def _wordings() -> Mapping[str, Any]:
    loaded: Mapping[str, Any] = yaml.safe_load((files(__name__) / "tasks.yaml").read_text(encoding="utf-8"))
    plainest = {name: [template(name)] for name in ("classification", "classification_choices", "caption")}
    return {**loaded, **{name: [*first, *loaded[name]] for name, first in plainest.items()}}
