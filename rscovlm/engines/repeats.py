"""Noticing that a model says the same thing over and over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class RepeatGuard:
    """The rule by which an endless reply is ended.

    A reply is endless when its last tokens are one block said ``times`` times or more, over at least ``least`` tokens. In dense detection that is
    the same few objects listed for ever; no true list does it.

    Attributes:
        times: Repetitions of the block.
        least: Tokens that all repetitions together have at least.
        longest: Longest block in tokens.
        every: Tokens between two looks.

    >>> guard = RepeatGuard()
    >>> guard.endless([7, 8, 9] * 60), guard.endless(list(range(180)))
    (True, False)
    """

    times: int = 4
    least: int = 128
    longest: int = 192
    every: int = 8

    def endless(self, tokens: Sequence[int] | NDArray[np.int64]) -> bool:
        """Return whether these generated tokens end in an endless repetition."""
        tail = np.asarray(tokens[-self.times * max(self.longest, self.least) :])
        for period in range(1, self.longest + 1):
            span = max(self.times * period, -(-self.least // period) * period)
            if span > len(tail):
                if self.times * period > len(tail):
                    return False
                continue
            if np.array_equal(tail[len(tail) - span + period :], tail[len(tail) - span : len(tail) - period]):
                return True
        return False
