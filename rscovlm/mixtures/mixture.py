"""A weighted mixture of subsets as a pure function of (seed, position)."""

from __future__ import annotations

import copy
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, cast

import numpy as np

from rscovlm.mixtures.permutation import mixed, permuted, permuted_each
from rscovlm.mixtures.quotas import BLOCK, BlockOrder, order_block, share_out
from rscovlm.mixtures.read_ahead import ReadAhead, check_by_number
from rscovlm.records.tally import Strict, Tally

Draw = Callable[[np.random.Generator], Any]

_ATTEMPTS = 8

_BLOCKS_KEPT = 32
"""Orders of blocks that a mixture keeps: as many lanes or workers may be at different places of it."""


@dataclass(frozen=True)
class Subset:
    """One source of the mixture.

    Attributes:
        name: Unique in its mixture; part of the random state, so renaming a subset reshuffles it alone.
        source: A sequence, walked in a new order each epoch, or a function of a random generator that makes an item.
        weight: Relative share of the mixture; 0 leaves the subset out.
        render: Turns an item into a training sample, given the item and a generator; None hands the item on.
        cap: Only the first rows of a sequence, this many; None takes all.
    """

    name: str
    source: Sequence[Any] | Draw
    weight: float = 1.0
    render: Callable[[Any, np.random.Generator], Any] | None = field(default=None, compare=False)
    cap: int | None = None

    def __post_init__(self) -> None:
        """Refuse weights and sources that no draw could use."""
        if not np.isfinite(self.weight) or self.weight < 0:
            raise ValueError(f"weight of subset {self.name!r} is {self.weight}; give a finite number of 0 or more")
        if not callable(self.source):
            check_by_number(self.source, f"source of subset {self.name!r}")
        if not callable(self.source) and self.weight > 0 and len(self.source) == 0:
            raise ValueError(f"subset {self.name!r} has no rows; give it some, or weight 0")
        if self.cap is not None and self.cap < 1:
            raise ValueError(f"cap of subset {self.name!r} is {self.cap}; give 1 or more, or weight 0")


class SourceRow(NamedTuple):
    """A row as its source gives it, of which subset it is and which of the subset's own draws, from 0."""

    subset: Subset
    ordinal: int
    item: Any


class Mixture(Sequence[Any]):
    """Draws from subsets in proportion to their weights (design page, idea 5).

    Position i always gives the same sample, on any rank and after any restart: ranks take different positions, and
    resuming is starting at another one. Within every block of 1,000 positions each subset appears exactly in its share
    (largest remainder; a positive weight gets at least one position, and blocks are longer where these would move a share
    by more than 0.2 %). Its appearances are spread evenly over the block, each at a place drawn from an equal part of it, so
    shares are kept in any stretch of positions; and its k-th appearance is its k-th row of a permutation drawn for each
    epoch, so no row repeats before all were seen.

    Args:
        subsets: What to draw from; at least one with a positive weight.
        seed: Any integer.
        length: Number of positions.
        tolerate: Largest share of draws whose item may turn out unusable. Such a position takes another row of the same
            subset, drawn from its own generator, and the loss is counted in `tally` by reason; 0 refuses the first.

    Raises:
        ValueError: No subset, doubled names, or no positive weight.

    Examples:
        >>> mixture = Mixture([Subset("land", ["field"], 3), Subset("sea", ["port", "reef"], 1)], seed=0, length=4000)
        >>> sum(mixture.subset_at(i)[0].name == "sea" for i in range(1000))
        250
    """

    def __init__(
        self, subsets: Sequence[Subset], *, seed: int = 0, length: int = 1_000_000, tolerate: float = 0.0
    ) -> None:
        names = [subset.name for subset in subsets]
        if len(set(names)) != len(names):
            raise ValueError(f"subset names must differ, got {names}")
        self.subsets = tuple(subset for subset in subsets if subset.weight > 0)
        if not self.subsets:
            raise ValueError(f"no subset has a positive weight among {names}; give one a weight above 0")
        if len(self.subsets) > BLOCK:
            raise ValueError(f"{len(self.subsets)} subsets; a block holds {BLOCK} positions, merge some subsets")
        self.seed = seed
        self.length = length
        self.tally = Tally(tolerate) if tolerate else Strict()
        self._quotas = share_out([subset.weight for subset in self.subsets])
        self._block = int(self._quotas.sum())
        self._begun: dict[str, int] = {}
        self._orders: dict[int, BlockOrder] = {}

    def __len__(self) -> int:
        """Return the number of positions a sampler should walk."""
        return self.length

    def __getitem__(self, position: Any) -> Any:
        """Return the sample at a position.

        Args:
            position: 0 or more.

        Raises:
            ValueError: The item is unusable and none may be, or more than tolerated were; the message names subset and
                position, or holds the table of reasons.
        """
        index = self._checked(int(position))
        subset, ordinal = self.subset_at(index)
        # A generator takes longer to make than a row takes to choose, and a row that is handed on as it is needs none.
        random = callable(subset.source) or subset.render is not None
        return self._usable(subset, ordinal, self.generator_at(index) if random else None, index)

    def redraw(self, position: int, attempt: int) -> Any:
        """Return another sample of the subset that a position draws from, where its own is of no use to the caller.

        Args:
            position: As for `__getitem__`, whose errors it raises.
            attempt: From 1; each gives another row, drawn at random.
        """
        key = mixed(self.seed ^ mixed(attempt))
        rng = np.random.Generator(np.random.Philox(key=(key, position)))
        return self._usable(self.subset_at(position)[0], int(rng.integers(1 << 40)), rng, position)

    def _usable(
        self, subset: Subset, ordinal: int, rng: np.random.Generator | None, position: int, **given: Any
    ) -> Any:
        """Return a subset's row by ordinal, or where it is unusable another one, as far as that is tolerated.

        Without a generator, the position's own is made when another row is needed.
        """
        for _ in range(_ATTEMPTS):
            with self.tally.row(f"subset {subset.name!r} at position {position}"):
                sample = self._draw(subset, ordinal, rng, **given)
                self.tally.keep()
                return sample
            self.tally.check(BLOCK)
            rng = self.generator_at(position) if rng is None else rng
            ordinal, given = int(rng.integers(1 << 40)), {}
        raise ValueError(
            f"subset {subset.name!r}: {_ATTEMPTS} rows one after another cannot be used\n{self.tally.table()}"
        ) from self.tally.cause

    def __getitems__(self, positions: Sequence[int]) -> list[Any]:
        """Return the samples at several positions, as data loaders ask for a batch: each source is read once for all.

        They are those that one by one gives.
        """
        rows = self.read_rows(positions)
        return [
            self.draw_from(position, rows[position]) if position in rows else self[position] for position in positions
        ]

    def read_rows(self, positions: Sequence[int]) -> dict[int, SourceRow]:
        """Return the rows of the sources behind several positions, not rendered: each source is read once for all.

        Args:
            positions: Each 0 or more and within the length.

        Returns:
            Rows by position, for `draw_from`; without those of functions, and of sources that give one row at a time.
        """
        drawn = [(position, *self.subset_at(self._checked(position))) for position in positions]
        drawn = [draw for draw in drawn if not callable(draw[1].source) and hasattr(draw[1].source, "__getitems__")]
        asked: dict[str, tuple[Any, list[int], list[tuple[int, Subset, int]]]] = {}
        for draw, number in zip(drawn, self._row_numbers([draw[1:] for draw in drawn]), strict=True):
            entry = asked.setdefault(draw[1].name, (draw[1].source, [], []))
            entry[1].append(number)
            entry[2].append(draw)
        return {
            position: SourceRow(subset, ordinal, item)
            for source, numbers, draws in asked.values()
            for (position, subset, ordinal), item in zip(draws, source.__getitems__(numbers), strict=True)
        }

    def _row_numbers(self, drawn: Sequence[tuple[Subset, int]]) -> list[int]:
        """Return which row of its subset's sequence each draw takes, all at once: numpy costs more to call than to use."""
        rows = {subset.name: _rows_of(subset) for subset in {subset.name: subset for subset, _ in drawn}.values()}
        sizes = [rows[subset.name] for subset, _ in drawn]
        passes = [(subset.name, ordinal // size) for (subset, ordinal), size in zip(drawn, sizes, strict=True)]
        keys = {one: self._key(*one) for one in set(passes)}
        places = [ordinal % size for (_, ordinal), size in zip(drawn, sizes, strict=True)]
        numbers = permuted_each(np.array(places, np.int64), np.array(sizes, np.int64), [keys[one] for one in passes])
        found: list[int] = numbers.tolist()
        return found

    def draw_from(self, position: int, row: SourceRow) -> Any:
        """Return the sample at a position as `__getitem__` does, given the row of its source that `read_rows` read."""
        subset, ordinal, item = row
        if subset.render is None:
            self.tally.keep()
            return item
        return self._usable(subset, ordinal, self.generator_at(position), position, item=item)

    def _draw(self, subset: Subset, ordinal: int, rng: Any, **given: Any) -> Any:
        """Return a subset's row by ordinal, rendered; the row itself may be given."""
        if given:
            item = given["item"]
        elif callable(subset.source):
            item = subset.source(rng)
        else:
            epoch, place = divmod(ordinal, _rows_of(subset))
            item = subset.source[permuted(place, _rows_of(subset), self._key(subset.name, epoch))]
        return item if subset.render is None else subset.render(item, rng)

    def _key(self, name: str, epoch: int) -> int:
        """Return what chooses the order of a subset's rows in a pass over them."""
        return mixed(self.seed ^ mixed(zlib.crc32(name.encode()) ^ mixed(epoch)))

    def _checked(self, position: int) -> int:
        if position < 0:
            raise IndexError(f"position {position} is negative; a mixture has no end to count from")
        if position >= self.length:
            raise IndexError(f"position {position} is past the stated length {self.length}")
        return position

    @property
    def dropped(self) -> Counter[str]:
        """Rows that turned out unusable so far, by reason."""
        return self.tally.dropped

    def __iter__(self) -> Iterator[Any]:
        """Walk the positions in order; rows of sources are read many at a time."""
        ahead = ReadAhead(self, lambda position, count: range(position, min(position + count, self.length)))
        return (ahead.draw(position) for position in range(self.length))

    def generator_at(self, position: int) -> np.random.Generator:
        """Return the random generator of a position; it depends on the seed and the position alone."""
        return np.random.Generator(np.random.Philox(key=(mixed(self.seed), position)))

    def subset_at(self, position: int) -> tuple[Subset, int]:
        """Return the subset that a position draws from, and which of the subset's own draws it is, counted from 0."""
        block, place = divmod(position, self._block)
        order = self._order(block)
        subset = self.subsets[chosen := order.chosen[place]]
        return subset, self._begun.get(subset.name, 0) + block * int(self._quotas[chosen]) + order.before[place]

    def draw_at(self, position: int) -> tuple[str, int]:
        """Return the name of the subset that a position draws from, and which of the subset's own draws it is, from 0."""
        subset, ordinal = self.subset_at(position)
        return subset.name, ordinal

    def due_at(self, position: int) -> int:
        """Return the position that a position's draw would have if the draws of each subset were equally far apart.

        Examples:
            >>> mixture = Mixture([Subset("land", ["field"], 3), Subset("sea", ["port"], 1)])
            >>> [mixture.due_at(i) for i in range(1000) if mixture.draw_at(i)[0] == "sea"][:4]
            [2, 6, 10, 14]
        """
        block, place = divmod(position, self._block)
        order = self._order(block)
        quota = int(self._quotas[order.chosen[place]])
        return block * self._block + (2 * order.before[place] + 1) * self._block // (2 * quota)

    def shares_at(self, position: int) -> Mapping[str, float]:
        """Return the share that each subset is to take, which is the same at every position."""
        return self.shares()

    def drawn_before(self, position: int, name: str) -> int:
        """Return how many positions before this one draw from a subset; in a later stage, those of the earlier ones too."""
        begun = self._begun.get(name, 0)
        names = [subset.name for subset in self.subsets]
        if name not in names:
            return begun
        chosen = names.index(name)
        block, place = divmod(position, self._block)
        return begun + block * int(self._quotas[chosen]) + self._order(block).chosen[:place].count(chosen)

    def _order(self, block: int) -> BlockOrder:
        """Return which subset each place of a block draws from; the last few blocks are kept."""
        if block not in self._orders:
            if len(self._orders) >= _BLOCKS_KEPT:
                del self._orders[next(iter(self._orders))]
            self._orders[block] = order_block(self._quotas, mixed(self.seed ^ 1), block)
        return self._orders[block]

    def following(self, earlier: Mixture, position: int) -> Mixture:
        """Return the mixture with every subset going on, at a position, from the row where an earlier mixture left it.

        Examples:
            >>> before, after = (Mixture([Subset("a", range(8000)), Subset("b", ["-"], w)], length=9000) for w in (1, 3))
            >>> after.following(before, 4000).drawn_before(8000, "a")
            3000
        """
        names = {*earlier._begun, *(subset.name for subset in (*earlier.subsets, *self.subsets))}
        own = copy.copy(self)
        own._begun, own._orders = {}, {}
        own._begun = {name: earlier.drawn_before(position, name) - own.drawn_before(position, name) for name in names}
        return own

    def shares(self) -> Mapping[str, float]:
        """Return the share of positions each subset takes, exact over every block."""
        return {
            subset.name: float(quota) / self._block for subset, quota in zip(self.subsets, self._quotas, strict=True)
        }

    def reweighted(self, weights: Mapping[str, float]) -> Mixture:
        """Return the mixture with other weights; subsets not named keep theirs.

        Raises:
            ValueError: A name that no subset with a positive weight has.
        """
        for name in weights:
            if name not in (known := [subset.name for subset in self.subsets]):
                raise ValueError(f"no subset {name!r} has a positive weight; those that have are {', '.join(known)}")
        subsets = [replace(subset, weight=weights.get(subset.name, subset.weight)) for subset in self.subsets]
        return Mixture(subsets, seed=self.seed, length=self.length, tolerate=self.tally.limit)


def _rows_of(subset: Subset) -> int:
    """Return how many rows of a subset are drawn from."""
    rows = len(cast(Sequence[Any], subset.source))
    return rows if subset.cap is None else min(subset.cap, rows)
