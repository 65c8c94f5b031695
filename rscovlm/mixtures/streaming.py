"""Mixtures of sources that can only be read from front to back: shards far away, streams, anything that iterates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rscovlm.mixtures.mixture import Mixture, Subset
from rscovlm.mixtures.permutation import mixed


@dataclass(frozen=True)
class Stream:
    """A source that is read in order, as often as it takes.

    Attributes:
        open: Begins a pass: given its number from 0, returns the rows in a fixed order. Shards may be taken in another
            order each pass.
        buffer: Rows held back to draw the next one from at random; 1 keeps the order.

    Raises:
        ValueError: A buffer below 1.
    """

    open: Callable[[int], Iterable[Any]]
    buffer: int = 1000

    def __post_init__(self) -> None:
        """Refuse a buffer that could hold no row."""
        if self.buffer < 1:
            raise ValueError(f"buffer is {self.buffer}; give 1 or more rows")

    def rows(self, key: int) -> Iterator[Any]:
        """Walk the rows of pass after pass, shuffled within the buffer, in an order that the key decides.

        Raises:
            ValueError: A pass has no row.
        """
        turn = 0
        while True:
            rng = np.random.Generator(np.random.Philox(key=(mixed(key), turn)))
            held: list[Any] = []
            seen = False
            for row in self.open(turn):
                seen = True
                held.append(row)
                if len(held) >= self.buffer:
                    yield _taken(held, rng)
            if not seen:
                raise ValueError(f"pass {turn} of a stream has no rows; check what it opens")
            while held:
                yield _taken(held, rng)
            turn += 1


def stream_mixture(
    subsets: Sequence[Subset], streams: dict[str, Stream], *, seed: int = 0, start: int = 0, length: int = 1_000_000
) -> Iterator[Any]:
    """Draw from subsets in proportion to their weights, some of them streams, from a position on.

    The order of subsets, and the generator each sample is rendered with, are those of `Mixture`; only the rows of a
    stream come from its own walk. Resuming at a position gives what an unbroken run would have given there: streams are
    walked up to it without rendering.

    Args:
        subsets: As for `Mixture`; the source of those named in `streams` is not read.
        streams: Streams by name of subset.
        seed: Any integer.
        start: First position.
        length: End of the positions.

    Yields:
        Samples.

    Raises:
        ValueError: A stream for which there is no subset, or a row that cannot be rendered.

    Examples:
        >>> subsets = [Subset("near", ["n"], 1), Subset("far", ["-"], 1)]
        >>> walk = stream_mixture(subsets, {"far": Stream(lambda turn: iter("abc"), buffer=1)}, length=6)
        >>> sorted(set(walk)) != []
        True
    """
    names = {subset.name for subset in subsets}
    for name in streams:
        if name not in names:
            raise ValueError(f"there is no subset {name!r} for the stream of that name; known are {sorted(names)}")
    mixture = Mixture(subsets, seed=seed, length=length)
    walks = {name: stream.rows(mixed(seed) ^ index) for index, (name, stream) in enumerate(sorted(streams.items()))}
    walked = dict.fromkeys(streams, 0)
    for position in range(start, length):
        subset, _ = mixture.subset_at(position)
        if subset.name not in streams:
            yield mixture[position]
            continue
        before = mixture.drawn_before(position, subset.name)
        while walked[subset.name] < before:
            next(walks[subset.name])
            walked[subset.name] += 1
        row = next(walks[subset.name])
        walked[subset.name] += 1
        yield row if subset.render is None else subset.render(row, mixture.generator_at(position))


def _taken(held: list[Any], rng: np.random.Generator) -> Any:
    """Take a random row out of those held, in constant time."""
    place = int(rng.integers(len(held)))
    held[place], held[-1] = held[-1], held[place]
    return held.pop()
