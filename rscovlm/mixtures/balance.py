"""Balancing a mixture from results: start uniform, raise what lags behind its target, fine-tune when all are satisfied."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from rscovlm.exports.chart import draw
from rscovlm.files import mark, write_text
from rscovlm.mixtures.recipe import MixtureRecipe
from rscovlm.records.jsonfiles import parsed
from rscovlm.records.rows import Row
from rscovlm.settings.checked import checked_number, known_fields
from rscovlm.settings.yamlfiles import read_yaml

RECIPE = "recipe"
"""Kind of the recipe that is written."""


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


@dataclass(frozen=True)
class BalanceRule:
    """Targets of what is measured, and how fast weights follow them.

    Attributes:
        targets: By subset of the mixture, what is to be reached: names as evaluation gives them, such as
            ``detection/ap_nc50``, and a fraction.
        every: Steps of training between two changes of the weights.
        rate: Growth of a weight for a lag of the whole target; see `propose`.
        most: Largest growth of a weight in one round; see `propose`.

    Raises:
        ValueError: No targets, or a number that is of no use.

    Examples:
        >>> rule = BalanceRule({"dota": {"detection/ap_nc50": 0.6}, "vhm": {"vqa/accuracy": 0.8}}, every=500)
        >>> rule.propose({"dota": 1, "vhm": 1}, {"detection/ap_nc50": 0.3, "vqa/accuracy": 0.8}).weights
        {'dota': 1.2, 'vhm': 0.8}
    """

    targets: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    every: int = 1000
    rate: float = 1.0
    most: float = 2.0

    def __post_init__(self) -> None:
        """Refuse numbers that no round could use."""
        if self.every < 1 or self.rate <= 0 or self.most <= 1:
            raise ValueError(
                f"balance has every {self.every}, rate {self.rate}, most {self.most}; give 1 step or more, a rate above 0 "
                "and a largest growth above 1"
            )
        if not self.targets or not all(self.targets.values()):
            raise ValueError("balance has no targets; give a subset some, such as {dota: {detection/ap_nc50: 0.6}}")
        for subset, wanted in self.targets.items():
            for name, target in wanted.items():
                if not 0 < target < float("inf"):
                    raise ValueError(f"target {name!r} of {subset!r} is {target}; give a number above 0")

    def reached(self, results: Mapping[str, float]) -> dict[str, float]:
        """Return how much of its targets each subset reached, 1 for all: that of the task of its that lags most.

        Args:
            results: What was measured, by name.

        Raises:
            ValueError: A target of what was not measured.
        """
        reached = {}
        for subset, wanted in self.targets.items():
            for name in wanted:
                if not math.isfinite(results.get(name, math.nan)):
                    measured = sorted(name for name, value in results.items() if math.isfinite(value))
                    raise ValueError(
                        f"target {name!r} of {subset!r} was not measured; measured are {', '.join(measured) or 'none'}, "
                        "so give the evaluation samples of it"
                    )
            reached[subset] = min(min(1.0, results[name] / target) for name, target in wanted.items())
        return reached

    def propose(self, weights: Mapping[str, float], results: Mapping[str, float]) -> Proposal:
        """Propose the next weights.

        Args:
            weights: The present ones, by subset.
            results: What was measured, by name.

        Raises:
            ValueError: A target of what was not measured, or of no subset.
        """
        reached = self.reached(results)
        return propose(weights, reached, dict.fromkeys(reached, 1.0), rate=self.rate, most=self.most)


def read_figures(figures: Path, recipe: Path) -> tuple[dict[str, float], dict[str, float], dict[str, float]]:
    """Read what a round reached and what it should reach.

    Args:
        figures: YAML or JSON with ``results`` and ``targets``, each by subset; or the ``evaluation.jsonl`` of a run, whose
            last line counts.
        recipe: The run's YAML file, whose ``balance`` then holds the targets.

    Returns:
        Results and targets by subset, and arguments of `propose`.

    Raises:
        ValueError: Results or targets are missing.
    """
    if figures.suffix == ".jsonl":
        content = read_yaml(recipe)
        wanted = content.get("balance") if isinstance(content, dict) else None
        rule = BalanceRule(**known_fields(wanted, BalanceRule, f"balance of {recipe.name}"))
        lines = figures.read_text(encoding="utf-8").splitlines()
        results = rule.reached(Row(parsed(lines[-1]), figures.name).row("results") if lines else {})
        return results, dict.fromkeys(results, 1.0), {"rate": rule.rate, "most": rule.most}
    table = read_yaml(figures)
    if not isinstance(table, dict) or not {"results", "targets"} <= set(table):
        raise ValueError(f"{figures.name} needs results and targets, each by subset")
    for part in ("results", "targets"):
        if not isinstance(table[part], Mapping) or not table[part]:
            raise ValueError(f"{part} of {figures.name} are {table[part]!r}; give a number for each subset")
        for name, value in table[part].items():
            checked_number(value, f"{name!r} in the {part} of {figures.name}")
    return table["results"], table["targets"], {}


def next_recipe(
    recipe: Path,
    results: Mapping[str, float],
    targets: Mapping[str, float],
    out: Path,
    *,
    overwrite: bool = False,
    **rule: Any,
) -> Proposal:
    """Write the recipe of the next round.

    Args:
        recipe: This round's YAML file, of a mixture or of a training run.
        results: What each subset reached.
        targets: What each should reach.
        out: Where the next recipe goes; it keeps all else, and the weights of the rounds so far as ``history``.
        overwrite: Replace a file that something else wrote.
        rule: Arguments of `propose`.

    Raises:
        ValueError: The recipe is none, `propose` refuses the figures, or another file is at ``out``.
    """
    content = read_yaml(recipe)
    mixture = content["mixture"] if isinstance(content, dict) and "mixture" in content else content
    now = {subset.name: subset.weight for subset in MixtureRecipe.from_dict(mixture).subsets}
    proposal = propose(now, results, targets, **rule)
    mixture["history"] = [*(mixture.get("history") or []), now]
    for subset in mixture["subsets"]:
        subset["weight"] = proposal.weights[subset["name"]]
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    write_text(out, f"# {mark(RECIPE)}\n{text}", RECIPE, overwrite=overwrite)
    return proposal


def plot_weights(rounds: Sequence[Mapping[str, float]]) -> str:
    """Return the weights over the rounds as an SVG drawing, one line a subset.

    Args:
        rounds: Weights by subset, oldest first; at least two rounds.

    Raises:
        ValueError: Fewer than two rounds.

    >>> plot_weights([{"a": 1.0}, {"a": 2.0}]).startswith("<svg")
    True
    """
    if len(rounds) < 2:
        raise ValueError(f"{len(rounds)} round of weights; a line needs two")
    names = sorted({name for weights in rounds for name in weights})
    series = {
        name: {str(number): [weights[name]] for number, weights in enumerate(rounds) if name in weights}
        for name in names
    }
    return draw(series, title="Weights of the mixture", across="round", joined=True)
