"""Noticing that a model says the same thing over and over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class RepeatGuard:
    """The rule by which an endless reply is ended.

    A reply is endless when its last tokens are one block said ``times`` times or more, over at least ``least`` tokens.
    In dense detection that is the same few objects listed for ever; no true list does it.

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
        count = len(tail)
        if count < self.least:
            return False
        # A period is a distance at which the last eight tokens stand once more.
        recent = tail[max(0, count - self.longest - 8) :]
        same = recent[7:-1] == recent[-1]
        for back in range(1, 8):
            same &= recent[7 - back : -1 - back] == recent[-1 - back]
        for period in (len(recent) - 8 - np.flatnonzero(same)[::-1]).tolist():
            span = max(self.times, -(-self.least // period)) * period
            if span <= count and np.array_equal(tail[count - span + period :], tail[count - span : count - period]):
                return True
        return False
