"""How records are put into words: rates of what is drawn when one is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

import yaml

from rscovlm.geometry.kinds import Kind
from rscovlm.zoom.layouts import Layout


@dataclass(frozen=True)
class RenderOptions:
    """How records of a subset are put into words. All rates are probabilities from 0 to 1.

    Attributes:
        kinds: Box kinds and their weights; none for the dialect's own kind of each task.
        json_rate: Answers with boxes written as JSON instead of plain lines; None for the dialect's own style.
        rephrase_rate: Another wording than the plainest.
        synonym_rate: A class named by a synonym, in question and answer alike.
        sublist_rate: Detection asks for some of the categories only, absent ones among them.
        offer_rate: Classification names the classes to choose from, where the record has them.
        resize_rate: The image resized to an area drawn log-uniformly within the pixel budget.
        direct_rate: Zoom records asked without the tool.
        crop_jitter: How far the part that a zoom shows may lie beside the region called for, as a share of its side.
        layout: Form of zoom conversations.
        cyclic_rate: Grounding or segmentation of the one object that an expression means turned round: its box is given and the
            expression is the answer; and region captions as grounding.
        points: Points inside of each object that segmentation is answered with.
        negatives: Points outside of each object, on others near it first; they are known to be unstable.
        outline_rate: Segmentation asked for polygons instead of boxes with points.
        refine_rate: Segmentation by boxes with points asked for again: the true masks are shown tinted, moved and resized at random
            and some left out, as a first answer might have them.
        sentence_rate: Change asked for in a sentence, where a record has masks too.
        longest: Characters of an answer with polygons at most; they are simplified to fit.

    Raises:
        ValueError: A number of points is negative or a length not positive, a rate outside 0 to 1, or no box kind with a positive weight.
    """

    kinds: Mapping[Kind, float] = field(default_factory=dict)
    json_rate: float | None = None
    rephrase_rate: float = 0.5
    synonym_rate: float = 0.0
    sublist_rate: float = 0.0
    offer_rate: float = 0.5
    resize_rate: float = 0.0
    direct_rate: float = 0.0
    crop_jitter: float = 0.0
    layout: Layout = "reference"
    cyclic_rate: float = 0.0
    points: int = 2
    negatives: int = 0
    outline_rate: float = 0.0
    refine_rate: float = 0.0
    sentence_rate: float = 0.5
    longest: int = 6000

    def __post_init__(self) -> None:
        """Refuse rates that are no probabilities."""
        for name, value in vars(self).items():
            if name.endswith(("_rate", "_jitter")) and value is not None and not 0 <= value <= 1:
                raise ValueError(f"{name} is {value}; give a number from 0 to 1")
        if min(self.points, self.negatives) < 0 or self.longest < 1:
            raise ValueError(
                f"points is {self.points}, negatives {self.negatives} and longest {self.longest}; give 0 or more points and a "
                "length from 1"
            )
        weights = self.kinds.values()
        if self.kinds and (any(weight < 0 for weight in weights) or not sum(weights) > 0):
            raise ValueError(f"kinds is {dict(self.kinds)}; give box kinds with positive weights")


@cache
def synonyms() -> Mapping[str, tuple[str, ...]]:
    """Return other names for the shown names of classes.

    >>> "aircraft" in synonyms()["plane"]
    True
    """
    loaded = yaml.safe_load((files("rscovlm.tasks") / "synonyms.yaml").read_text(encoding="utf-8"))
    return {str(name): tuple(map(str, others)) for name, others in loaded.items()}
