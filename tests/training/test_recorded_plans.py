"""Which samples share a row, and in which order rows come, is recorded: another plan is another run for everybody who resumes.

A plan may be changed on purpose: it is recorded anew by ``python -m tests.training.test_recorded_plans``, with a line in the changelog.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rscovlm.training.packing import PackedMixture
from tests.training.test_shares import _mixture

FILE = Path(__file__).with_name("recorded_plans.json")
BUDGET = 3000
CASES = [
    ("thirds", 1, 16, 24),
    ("thirds", 8, 64, 24),
    ("seven", 3, 64, 24),
    ("rare and tiny", 2, 16, 16),
    ("heavy tail", 4, 32, 24),
    ("halves", 1, 64, 16),
    ("one length each", 6, 16, 18),
    ("far apart", 32, 16, 24),
    ("plain", 1, 16, 24),
    ("plain", 3, 8, 24),
]
"""Mixture, lanes, look-ahead, rows."""


def halved(sample: int, budget: int) -> tuple[list[int], Counter[str]]:
    """Split a sample that is too long into parts that fit, unless it is twice too long."""
    if sample > 2 * budget:
        return [], Counter(["far too long"])
    return [sample // 2, sample - sample // 2], Counter(["split"])


def packed(name: str, lanes: int, lookahead: int, rows: int, *, split: bool) -> PackedMixture:
    mixture: Any = [7 + place * 2_654_435_761 % 3500 for place in range(4000)] if name == "plain" else _mixture(name)
    fit = halved if split else None
    return PackedMixture(mixture, length=int, budget=BUDGET, lookahead=lookahead, rows=rows, lanes=lanes, fit=fit)


def told(case: tuple[str, int, int, int], split: bool) -> dict[str, Any]:
    """Return what is recorded of a plan: its first rows, and a checksum of all rows and of where its lanes stand."""
    plan = packed(*case, split=split)
    rows = [plan.pack(row) for row in range(case[-1])]
    lines = [f"{row.positions} {row.parts} {row.tokens} {sorted(row.dropped.items())}" for row in rows]
    states = [json.dumps(plan[case[-1] - 1 - lane]["plan"].to_dict(), sort_keys=True) for lane in range(plan.lanes)]
    return {
        "lanes": plan.lanes,
        "first": lines[:2],
        "rows": f"{zlib.crc32(chr(10).join(lines).encode()):08x}",
        "states": f"{zlib.crc32(chr(10).join(states).encode()):08x}",
    }


def _names() -> Iterator[tuple[str, tuple[str, int, int, int], bool]]:
    for case in CASES:
        for split in (False, True):
            yield f"{', '.join(map(str, case))}{', split' if split else ''}", case, split


NAMES = list(_names())


@pytest.mark.parametrize(("name", "case", "split"), NAMES)
def test_a_plan_is_the_recorded_one(name: str, case: tuple[str, int, int, int], split: bool) -> None:
    assert told(case, split) == json.loads(FILE.read_text(encoding="utf-8"))[name]


@pytest.mark.parametrize(("name", "case", "split"), [one for one in NAMES if one[1][1] in (1, 3)])
def test_rows_hold_what_their_positions_hold(name: str, case: tuple[str, int, int, int], split: bool) -> None:
    """A plan that is recorded must be one: no sample twice, tokens added up, what is passed over counted."""
    plan = packed(*case, split=split)
    seen: list[tuple[int, int]] = []
    dropped: Counter[str] = Counter()
    for row in range(case[-1]):
        pack = plan.pack(row)
        samples = plan[row]["samples"]
        assert sum(samples) == pack.tokens <= BUDGET and len(samples) == len(pack.positions)
        seen += zip(pack.positions, pack.parts, strict=True)
        dropped.update(pack.dropped)
    assert len(set(seen)) == len(seen)
    assert dropped == plan.dropped and set(dropped) <= (
        {"split", "far too long"} if split else {"longer than the token budget"}
    )


if __name__ == "__main__":
    found = {name: told(case, split) for name, case, split in NAMES}
    FILE.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
