"""Weights of the mixture that follow what is measured while training: the paper's balance, at a step."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rscovlm.mixtures.balance import BalanceRule
from rscovlm.mixtures.weight_stages import Stages
from rscovlm.training.callbacks import TrainerBound

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rebalanced:
    """One change of weights, as a checkpoint remembers it.

    Attributes:
        step: Step after which it was decided.
        at: First position of the mixture that it holds for.
        weights: By subset.
        results: What it follows from.
    """

    step: int
    at: int
    weights: Mapping[str, float]
    results: Mapping[str, float]

    @classmethod
    def from_dict(cls, content: Any) -> Rebalanced:
        """Read a change's plain values.

        Raises:
            ValueError: They are not those of a change.
        """
        try:
            weights, results = (
                {str(name): float(value) for name, value in content[key].items()} for key in ("weights", "results")
            )
            return cls(int(content["step"]), int(content["at"]), weights, results)
        except (KeyError, TypeError, AttributeError) as error:
            # The file may hold anything.
            raise ValueError(f"this is no change of weights ({error!r}): {str(content)[:80]!r}") from error


class Rounds(TrainerBound):
    """Divides a run into rounds of equal numbers of steps, each with the weights that the one before calls for.

    A round is an epoch to the trainer, so its data loaders begin anew and no process holds samples drawn with weights of
    before. New weights hold from the first position that no row of the rounds so far has looked at: what a row holds is
    still a function of the recipe, its number and the changes before it, and these are kept in every checkpoint.

    Args:
        rule: Targets, and steps of a round.
        mixture: Whose weights change.
        rows_per_step: Rows that all processes together train in a step.
        changes: Those made so far, of the checkpoint to resume from.
    """

    def __init__(
        self, rule: BalanceRule, mixture: Stages, *, rows_per_step: int, changes: Sequence[Rebalanced] = ()
    ) -> None:
        self.rule, self.mixture, self.rows_per_step = rule, mixture, rows_per_step
        self.first_row = 0
        self.changes: list[Rebalanced] = []
        for change in changes:
            self._make(change)

    @property
    def rows(self) -> int:
        """Rows of a round."""
        return self.rule.every * self.rows_per_step

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Begin the round that the next step belongs to."""
        self.first_row = state.global_step // self.rule.every * self.rows
        self.trainer.begin_rows()

    def decide(self, step: int, results: Mapping[str, float]) -> dict[str, float]:
        """At the end of a round, set the weights of the next.

        Args:
            step: Steps done.
            results: What was measured after them.

        Returns:
            The share of each subset from now on, by ``share/NAME``; nothing within a round.
        """
        if step % self.rule.every:
            return {}
        weights = {subset.name: subset.weight for subset in self.mixture.stages[-1][1].subsets}
        proposal = self.rule.propose(weights, results)
        at = self.trainer.next_position(step * self.rows_per_step)
        self._make(Rebalanced(step, at, proposal.weights, dict(results)))
        shares = self.mixture.stages[-1][1].shares()
        said = ", ".join(
            f"{name} {share:.1%}" + (f" (lags by {proposal.lags[name]:.1%})" if proposal.lags.get(name) else "")
            for name, share in shares.items()
        )
        logger.info("from step %d, position %d of the mixture: %s", step, at, said)
        return {f"share/{name}": share for name, share in shares.items()}

    def to_dict(self) -> list[dict[str, Any]]:
        """Return the changes as plain values."""
        return [asdict(change) for change in self.changes]

    def _make(self, change: Rebalanced) -> None:
        self.mixture.change(change.at, change.weights)
        self.changes.append(change)
