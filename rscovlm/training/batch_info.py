"""What a batch knows of its samples besides tokens: tasks, positions in the mixture, and who was left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from rscovlm.records.tally import Rejected
from rscovlm.training.plan import LaneState


@dataclass(frozen=True)
class Notes:
    """Notes on the samples of a batch, one entry a sample in order.

    Attributes:
        tasks: Task of each sample.
        positions: Position of each in the mixture, -1 where it is not known.
        lengths: Tokens of each.
        packed: The samples share one row end to end; otherwise each has its own.
        dropped: Samples left out before these and among them, by reason.
        faults: Samples that train nothing because their image cannot be read: by place, reason and what exactly is wrong.
        subsets: Subset of the mixture that each is drawn from; empty where it tells none.
        plans: Where the lanes of packed rows stand after them, one entry a row.
    """

    tasks: tuple[str, ...]
    positions: tuple[int, ...]
    lengths: tuple[int, ...]
    packed: bool
    dropped: Mapping[str, int] = field(default_factory=dict)
    faults: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    subsets: tuple[str, ...] = ()
    plans: tuple[LaneState, ...] = ()

    def samples_of(self, labels: torch.Tensor) -> torch.Tensor:
        """Return which sample each predicted token belongs to.

        Args:
            labels: (rows, tokens) labels of the batch.

        Returns:
            (rows, tokens - 1), for the tokens from the second on, as a shifted loss counts them.
        """
        rows, tokens = labels.shape
        places = torch.arange(len(self.tasks), device=labels.device)
        if not self.packed:
            return places[:, None].expand(rows, tokens - 1)
        return places.repeat_interleave(torch.tensor(self.lengths, device=labels.device))[None, 1:]


def notes_on(
    samples: Sequence[Any],
    lengths: Sequence[int],
    rows: Sequence[Any],
    *,
    packed: bool,
    faults: Mapping[int, Rejected] | None = None,
) -> Notes:
    """Gather the notes of a batch.

    Args:
        samples: The samples.
        lengths: Tokens of each.
        rows: What the data set gave: packs with ``positions``, ``subsets``, ``dropped`` and ``plan``, or the samples with
            ``position`` and ``subset``.
        packed: As in `Notes`.
        faults: Samples whose image cannot be read, by place.
    """
    dropped: Counter[str] = Counter()
    for row in rows:
        dropped.update(row.get("dropped") or {})
    faulty = {place: (fault.reason, str(fault)) for place, fault in (faults or {}).items()}
    dropped.update(reason for reason, _ in faulty.values())
    if packed:
        positions = [place for row in rows for place in row.get("positions") or (-1,) * len(row["samples"])]
        subsets = [name for row in rows for name in row.get("subsets") or ()]
    else:
        subsets = [row["subset"] for row in rows if row.get("subset") is not None]
        positions = [-1 if row.get("position") is None else row["position"] for row in rows]
    tasks = tuple(str(sample.get("task") or "unknown") for sample in samples)
    plans = tuple(row["plan"] for row in rows if row.get("plan") is not None)
    # Subsets are known for all samples or for none.
    known = tuple(subsets) if len(subsets) == len(tasks) else ()
    return Notes(tasks, tuple(positions), tuple(lengths), packed, dict(dropped), faulty, known, plans)
