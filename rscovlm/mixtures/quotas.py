"""Which subset each position of a block draws from, so that every block has the shares that are asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BLOCK = 1000
"""Positions within which every subset appears exactly in its share, so a share is kept to 0.1 %."""
# Many subsets of tiny weight, each with its one position, would take the shares of the others: then blocks are longer.
_BLOCKS = (BLOCK, 10 * BLOCK, 100 * BLOCK)
_OFF = 0.002


class BlockOrder(NamedTuple):
    """Place by place of a block, which subset is drawn from, and how often it was before in the block."""

    chosen: list[int]
    before: list[int]


def order_block(quotas: NDArray[np.int64], key: int, block: int) -> BlockOrder:
    """Spread each subset's positions evenly over a block, each at a random place of its equal part."""
    before = np.concatenate([np.arange(quota) for quota in quotas])
    chosen = np.repeat(np.arange(len(quotas)), quotas)
    offsets = np.random.Generator(np.random.Philox(key=(key, block))).random(len(before))
    places = np.argsort((before + offsets) / quotas[chosen], kind="stable")
    return BlockOrder(chosen[places].tolist(), before[places].tolist())


def share_out(weights: Sequence[float]) -> NDArray[np.int64]:
    """Share out the positions of the shortest block that keeps the shares."""
    largest = max(weights)
    shares = np.asarray([weight / largest for weight in weights], dtype=np.float64)
    shares /= shares.sum()
    for block in _BLOCKS:
        quotas = _shared_out(shares * block, block)
        if float(np.abs(quotas / block - shares).max()) <= _OFF:
            break
    return quotas


def _shared_out(exact: NDArray[np.float64], block: int) -> NDArray[np.int64]:
    """Give each subset at least one position, the rest by largest remainder."""
    quotas: NDArray[np.int64] = np.maximum(np.floor(exact).astype(np.int64), 1)
    while quotas.sum() > block:
        quotas[np.argmax(np.where(quotas > 1, quotas - exact, -np.inf))] -= 1
    remainder = exact - quotas
    for chosen in np.argsort(-remainder, kind="stable")[: block - quotas.sum()]:
        quotas[chosen] += 1
    return quotas
