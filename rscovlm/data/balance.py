"""Balancing a mixture from results: start uniform, raise what lags behind its target, fine-tune when all are satisfied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Proposal:
    """The next round's weights.

    Attributes:
        weights: By subset, with a mean of 1.
        lags: How far each task is behind its target, as a share of the target; 0 where it is reached.
        satisfied: Every target is reached: what is left is fine-tuning with these weights.
    """

    weights: dict[str, float]
    lags: dict[str, float]
    satisfied: bool


def uniform(names: Mapping[str, str] | list[str]) -> dict[str, float]:
    """Return the first round's weights: the same for every subset.

    >>> uniform(["caption", "detection"])
    {'caption': 1.0, 'detection': 1.0}
    """
    return dict.fromkeys(names, 1.0)


def propose(
    weights: Mapping[str, float],
    results: Mapping[str, float],
    targets: Mapping[str, float],
    *,
    rate: float = 1.0,
    most: float = 2.0,
) -> Proposal:
    """Propose the next weights from a round's results (paper, section III-B).

    A subset that is behind its target gains by how far: its weight grows by the factor ``1 + rate * lag``, at most
    `most`. Subsets that reached theirs keep their weight before all are brought back to a mean of 1, so they give way
    only as much as the others need.

    Args:
        weights: This round's, by subset.
        results: What each reached; larger is better.
        targets: What each should reach; subsets without a target keep their weight.
        rate: Growth for a lag of the whole target.
        most: Largest growth of one round.

    Raises:
        ValueError: A weight, result or target is missing or cannot be used.

    >>> propose({"caption": 1, "detection": 1}, {"caption": 0.8, "detection": 0.3}, {"caption": 0.8, "detection": 0.6}).weights
    {'caption': 0.8, 'detection': 1.2}
    """
    if not weights or any(weight < 0 for weight in weights.values()) or not sum(weights.values()) > 0:
        raise ValueError(f"weights are {dict(weights)}; give each subset 0 or more, and one of them more than 0")
    lags: dict[str, float] = {}
    for name, target in targets.items():
        if name not in weights or name not in results:
            raise ValueError(
                f"target {name!r} has no {'weight' if name not in weights else 'result'}; give one for each"
            )
        if not target > 0:
            raise ValueError(f"target of {name!r} is {target}; give a number above 0")
        lags[name] = max(0.0, (target - results[name]) / target)
    grown = {name: weight * min(most, 1.0 + rate * lags.get(name, 0.0)) for name, weight in weights.items()}
    mean = sum(grown.values()) / len(grown)
    balanced = {name: round(weight / mean, 6) for name, weight in grown.items()}
    return Proposal(balanced, lags, not any(lags.values()))
