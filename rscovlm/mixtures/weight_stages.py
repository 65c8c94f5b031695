"""Mixtures one after another: what is drawn changes at stated positions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rscovlm.mixtures.mixture import Mixture, SourceRow


class Stages(Sequence[Any]):
    """Mixtures one after another: weights, subsets or scenes that change at a stated position.

    A subset that several stages have continues with its rows where the stage before left it.

    Args:
        stages: (number of positions, mixture) in order.

    Raises:
        ValueError: No stage, or a stage without positions.

    Examples:
        >>> from rscovlm.mixtures import Subset
        >>> easy, hard = (Mixture([Subset(name, [name])]) for name in ("easy", "hard"))
        >>> list(Stages([(2, easy), (1, hard)]))
        ['easy', 'easy', 'hard']
    """

    def __init__(self, stages: Sequence[tuple[int, Mixture]]) -> None:
        if not stages or any(count < 1 for count, _ in stages):
            raise ValueError(f"stages of {[count for count, _ in stages]} positions; give each at least one")
        self.stages = _chained(stages)

    def __len__(self) -> int:
        """Return the number of positions of all stages."""
        return sum(count for count, _ in self.stages)

    def __getitem__(self, position: Any) -> Any:
        """Return the sample at a position, drawn at that same position of its stage's mixture."""
        return self._stage_at(position)[int(position)]

    def subset_at(self, position: int) -> str:
        """Return the name of the subset that a position draws from."""
        return self.draw_at(position)[0]

    def draw_at(self, position: int) -> tuple[str, int]:
        """Return the name of the subset that a position draws from, and which of the subset's own draws it is, from 0."""
        return self._stage_at(position).draw_at(position)

    def due_at(self, position: int) -> int:
        """Return the position that a position's draw would have if the draws of each subset were equally far apart."""
        return self._stage_at(position).due_at(position)

    def read_rows(self, positions: Sequence[int]) -> dict[int, SourceRow]:
        """Return the rows of the sources behind several positions, as `Mixture.read_rows` does."""
        stages: dict[int, tuple[Mixture, list[int]]] = {}
        for position in positions:
            mixture = self._stage_at(position)
            stages.setdefault(id(mixture), (mixture, []))[1].append(position)
        return {place: row for mixture, places in stages.values() for place, row in mixture.read_rows(places).items()}

    def draw_from(self, position: int, row: SourceRow) -> Any:
        """Return the sample at a position, given the row of its source, as `Mixture.draw_from` does."""
        return self._stage_at(position).draw_from(position, row)

    def redraw(self, position: int, attempt: int) -> Any:
        """Return another sample of the subset that a position draws from, as `Mixture.redraw` does."""
        return self._stage_at(position).redraw(position, attempt)

    def shares_at(self, position: int) -> Mapping[str, float]:
        """Return the share that each subset is to take around a position."""
        return self._stage_at(position).shares()

    def change(self, at: int, weights: Mapping[str, float]) -> None:
        """Change weights from a position on; positions before it stay as they are.

        Args:
            at: First position the weights hold for.
            weights: By name of subset; those not named keep theirs.

        Raises:
            ValueError: A position below 0, or the name of no subset.

        Examples:
            >>> from rscovlm.mixtures import Subset
            >>> stages = Stages([(4000, Mixture([Subset("land", ["field"]), Subset("sea", ["port"])], length=4000))])
            >>> stages.change(2000, {"sea": 3.0})
            >>> [sum(stages[i] == "port" for i in range(start, start + 1000)) for start in (1000, 2000)]
            [500, 750]
        """
        if at < 0:
            raise ValueError(f"weights change at position {at}; give 0 or more")
        stages: list[tuple[int, Mixture]] = []
        start = 0
        for count, mixture in self.stages:
            before = min(max(at - start, 0), count)
            if before:
                stages.append((before, mixture))
            if before < count:
                stages.append((count - before, mixture.reweighted(weights)))
            start += count
        self.stages = _chained(stages)

    def _stage_at(self, position: Any) -> Mixture:
        index = int(position)
        if not 0 <= index < len(self):
            raise IndexError(f"position {index} is not one of {len(self)}")
        end = 0
        for count, mixture in self.stages:
            end += count
            if index < end:
                break
        return mixture

    @property
    def dropped(self) -> Counter[str]:
        """Rows of all stages that turned out unusable so far, by reason."""
        return sum((mixture.dropped for _, mixture in self.stages), Counter())


def _chained(stages: Sequence[tuple[int, Mixture]]) -> tuple[tuple[int, Mixture], ...]:
    """Let every stage go on where the one before ends."""
    start, mixture = stages[0]
    chained = [(start, mixture)]
    for count, following in stages[1:]:
        mixture = following.following(mixture, start)
        chained.append((count, mixture))
        start += count
    return tuple(chained)
