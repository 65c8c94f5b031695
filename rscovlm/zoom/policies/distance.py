"""A router by ground sample distance: whether a look at the whole is enough, a closer one is needed, or none can help."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rscovlm.rasters.ground import ground_sample_distance
from rscovlm.zoom.policies.inquiry import Inquiry, Outcome, Plan, Policy, check_at_least

Need = Literal["detect", "orient", "recognise", "identify"]

CYCLES: dict[Need, float] = {"detect": 1.0, "orient": 1.4, "recognise": 4.0, "identify": 6.4}
"""Line pairs across the shorter side of a target that each needs (Johnson 1958); a line pair is two pixels."""


@dataclass(frozen=True)
class Route:
    """What to do with a question.

    Attributes:
        way: ``overview`` (a look at the whole is enough), ``zoom``, or ``decline`` (not even the original shows enough).
        reason: Why, in words with the figures.
        native: Pixels across the target in the original.
        shown: Pixels across it in the overview.
        needed: Pixels that the question needs.
    """

    way: Literal["overview", "zoom", "decline"]
    reason: str
    native: float
    shown: float
    needed: float


def route(metres: float, need: Need, *, gsd: float, scale: float) -> Route:
    """Decide by the pixels on a target.

    Args:
        metres: Size of the target's shorter side.
        need: What the question asks of it.
        gsd: Ground sample distance of the original in metres per pixel.
        scale: Pixels of the overview for one of the original.

    Raises:
        ValueError: A number is not positive, or the need is unknown.

    >>> route(15, "recognise", gsd=0.5, scale=0.1).way, route(3, "identify", gsd=0.5, scale=1).way
    ('zoom', 'decline')
    """
    if need not in CYCLES:
        raise ValueError(f"need is {need!r}; give one of {', '.join(CYCLES)}")
    for name, value in {"metres": metres, "gsd": gsd, "scale": scale}.items():
        if not value > 0:
            raise ValueError(f"{name} is {value!r}; give a number above 0")
    needed, native = 2 * CYCLES[need], metres / gsd
    shown = native * min(scale, 1.0)
    figures = (
        f"{metres:g} m are {native:.1f} pixels at {gsd:g} m, {shown:.1f} in the overview; to {need} takes {needed:.1f}"
    )
    way: Literal["overview", "zoom", "decline"] = (
        "overview" if shown >= needed else "zoom" if native >= needed else "decline"
    )
    return Route(way, figures, native, shown, needed)


@dataclass(frozen=True)
class DistanceRouter:
    """Declines to answer, answers from the overview, or leaves the question to another policy.

    Args:
        metres: Size of what is asked about, in metres.
        need: What the question asks of it.
        gsd: Ground sample distance in metres; None takes that of the image, and zooms where it has none.
        then: The policy that looks closer: an object, or the name of one with its own settings.

    Raises:
        ValueError: A setting has no meaning.
    """

    metres: float = 10.0
    need: Need = "recognise"
    gsd: float | None = None
    then: Policy | str = "tree"
    name = "distance"

    def __post_init__(self) -> None:
        check_at_least(metres=(self.metres, 1e-9), gsd=(1.0 if self.gsd is None else self.gsd, 1e-9))
        if self.need not in CYCLES:
            raise ValueError(f"need is {self.need!r}; give one of {', '.join(CYCLES)}")
        if isinstance(self.then, str):
            from rscovlm.zoom.policies import policy_named

            object.__setattr__(self, "then", policy_named(self.then))

    @property
    def max_calls(self) -> int:
        """Those of the policy behind it."""
        return self._inner.max_calls

    @property
    def max_visual_tokens(self) -> int:
        """Those of the policy behind it."""
        return self._inner.max_visual_tokens

    @property
    def _inner(self) -> Policy:
        if isinstance(self.then, str):
            raise TypeError(f"then is the name {self.then!r}; give a policy, such as policy_named({self.then!r})")
        return self.then

    def search(self, inquiry: Inquiry) -> Plan:
        """Route the question."""
        raster, overview = inquiry.rasters[0], inquiry.overviews[0]
        gsd = self.gsd if self.gsd is not None else ground_sample_distance(raster.frame)
        if gsd is None:
            inquiry.problems["unknown_gsd"] += 1
            return (yield from self._inner.search(inquiry))
        scale = min(overview.frame.width / raster.width, overview.frame.height / raster.height)
        decided = route(self.metres, self.need, gsd=gsd, scale=scale)
        inquiry.problems[f"routed_{decided.way}"] += 1
        if decided.way == "decline":
            return Outcome(answer="", declined=decided.reason)
        if decided.way == "overview":
            return Outcome()
        return (yield from self._inner.search(inquiry))
