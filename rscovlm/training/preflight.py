"""The check before the first step: what would be trained is what was meant, and what it will cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rscovlm.mixtures.weight_stages import Stages
from rscovlm.records.tally import Rejected
from rscovlm.training.activations import LargestBatch
from rscovlm.training.adapters import reached_text
from rscovlm.training.encoding import Encoded, Encoder, pixels_of
from rscovlm.training.memory import MemoryEstimate
from rscovlm.training.packing import PackedMixture, drops_of
from rscovlm.training.readback import LEAST_IOU, check_boxes
from rscovlm.training.shown_scale import scale_lines
from rscovlm.training.step_estimate import StepEstimate, estimate_step


@dataclass(frozen=True)
class Preflight:
    """What was found.

    Attributes:
        samples: Samples looked at.
        boxes: Boxes that were decoded back from the trained tokens and compared with the truth.
        tasks: Samples by task.
        tokens: Tokens of a sample: mean and largest.
        trained: Tokens the loss falls on, mean.
        shares: Share of each subset, stage by stage.
        budget: Tokens of a row; None without packing.
        fill: Share of the token budget that the first rows use; None without packing.
        left_out: Samples that the first rows passed over or shrank, by reason.
        steps: Optimiser steps.
        step: What a step trains, and how many make a pass.
        row: The most that goes through the model at once.
        memory: What a process takes of a device's memory, None where no model was looked at.
        reached: Modules that the adapter reaches.
        scale: At which scale detections are shown, in words.
    """

    samples: int
    boxes: int
    tasks: dict[str, int]
    tokens: tuple[float, int]
    trained: float
    shares: list[dict[str, float]]
    budget: int | None
    fill: float | None
    left_out: dict[str, int]
    steps: int
    step: StepEstimate
    row: LargestBatch
    memory: MemoryEstimate | None = None
    reached: tuple[str, ...] = ()
    scale: tuple[str, ...] = ()

    def text(self) -> str:
        """Return the findings as lines of text."""
        lines = [
            f"checked {self.samples} samples: {self.boxes} boxes read back as in truth (IoU {LEAST_IOU}, or rounding alone)",
            "tasks: " + ", ".join(f"{task} {count}" for task, count in self.tasks.items()),
            f"tokens a sample: {self.tokens[0]:.0f} on average, {self.tokens[1]} at most; {self.trained:.0f} trained",
        ]
        for stage, shares in enumerate(self.shares):
            lines.append(f"stage {stage}: " + ", ".join(f"{name} {share:.1%}" for name, share in shares.items()))
        if self.fill is not None:
            lines.append(f"rows of {self.budget} tokens are {self.fill:.1%} full")
        lines += [f"{count} samples: {reason}" for reason, count in self.left_out.items()]
        lines += self.scale
        lines += self.step.lines()
        lines.append(f"{self.steps} steps, at most {self.row.tokens} tokens and {self.row.patches} patches at once")
        if self.reached:
            lines.append(reached_text(self.reached))
        if self.memory is not None:
            lines.append(self.memory.text())
        return "\n".join(lines)


def preflight(
    mixture: Stages,
    processor: Any,
    *,
    packed: PackedMixture | None = None,
    batch: int = 1,
    steps: int,
    rows_per_step: int = 1,
    samples: int = 64,
    tolerate: float = 1.0,
) -> Preflight:
    """Check the first samples of a mixture as they would be trained.

    Args:
        mixture: The samples.
        processor: Encodes them.
        packed: The packed rows, where there are.
        batch: Rows that go through the model at once.
        steps: Optimiser steps.
        rows_per_step: Rows that all processes together train in a step.
        samples: Number of samples to look at.
        tolerate: Largest share of samples whose images may turn out unreadable.

    Raises:
        ValueError: Boxes that do not read back as the truth (see `check_boxes`), an image of another grid than planned,
            a sample that cannot be encoded (the message names it), or a subset none of whose first images can be read.
    """
    encoder = Encoder(processor)
    count = min(samples, len(mixture))
    seen = [mixture[position] for position in range(count)]
    encoded = [encoder(sample, f"sample {position}") for position, sample in enumerate(seen)]
    shown, faults = _shown(mixture, count), dict[int, Rejected]()
    places = [position for positions in shown.values() for position in positions if seen[position].get("images")]
    pixels_of(processor, [seen[place] for place in places], [encoded[place] for place in places], faults)
    bad = {places[index]: fault for index, fault in faults.items()}
    for name, positions in shown.items():
        if bad.keys() >= (looked := set(positions) & set(places)) and looked and tolerate < 1:
            raise ValueError(
                f"none of the first {len(looked)} images of subset {name!r} can be read ({bad[min(looked)]}); look at the "
                "root, at the records and images of the subset, and at its files"
            )
    boxes = 0
    for position, (sample, one) in enumerate(zip(seen, encoded, strict=True)):
        name = _name(sample, position)
        boxes += check_boxes(sample, one, processor, name=name)
        if packed is not None and packed.fit is not None and len(one) > packed.budget:
            parts, _ = packed.fit(sample, packed.budget)
            for part in parts:
                boxes += check_boxes(
                    part, encoder(part, name), processor, name=f"{name}, what takes its place for its length"
                )
    lengths = [len(one) for one in encoded]
    try:
        fill = None if packed is None else packed.fill(min(8, -(-len(packed) // packed.lanes)))
        step = estimate_step(mixture, encoded, packed=packed, rows_per_step=rows_per_step)
    except IndexError as error:
        # The mixture ended before so many rows were full.
        said = ", ".join(f"{count} {reason}" for reason, count in drops_of(packed).items())
        raise ValueError(
            f"{error} ({said or 'none was left out'}); raise packing.tokens or steps, or set packing.too_long to shrink or split"
        ) from error
    left_out = drops_of(mixture if packed is None else packed) + Counter(fault.reason for fault in faults.values())
    return Preflight(
        samples=count,
        boxes=boxes,
        tasks=dict(Counter(str(sample.get("task", "unknown")) for sample in seen)),
        tokens=(float(np.mean(lengths)), max(lengths)),
        trained=float(np.mean([one.trained for one in encoded])),
        shares=[dict(stage.shares()) for _, stage in mixture.stages],
        budget=None if packed is None else packed.budget,
        fill=fill,
        left_out=dict(left_out),
        steps=steps,
        step=step,
        row=_largest(encoded, packed, batch),
        scale=tuple(scale_lines(seen, processor.image_processor.budget.max_pixels)),
    )


def _shown(mixture: Stages, count: int, each: int = 3) -> dict[str, list[int]]:
    """Return the first positions of each subset, whose images are looked at."""
    length, first = mixture.stages[0]
    found: dict[str, list[int]] = {}
    for position in range(min(count, length)):
        positions = found.setdefault(first.subset_at(position)[0].name, [])
        if len(positions) < each:
            positions.append(position)
    return found


def _largest(encoded: Sequence[Encoded], packed: PackedMixture | None, batch: int) -> LargestBatch:
    """Return the most that goes through the model at once: rows full of the sample with most patches, or the longest."""
    patches = [sum(height * width for _, height, width in one.grids) for one in encoded]
    trained = [one.trained for one in encoded]
    if packed is None:
        longest = max(map(len, encoded))
        return LargestBatch(batch * longest, batch * max(patches), batch * max(trained), longest)
    tokens = batch * packed.budget
    most, more = (
        max(count / len(one) for count, one in zip(counts, encoded, strict=True)) for counts in (patches, trained)
    )
    return LargestBatch(tokens, int(tokens * most), int(tokens * more))


def _name(sample: Any, position: int) -> str:
    """Return what a message calls a sample."""
    redraw = sample.get("redraw")
    record = "" if redraw is None else f", record {redraw.record.id!r}"
    return f"{sample.get('task', 'sample')} at position {position} of the mixture{record}"
