"""The check before the first step: what would be trained is what was meant, and what it will cost."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from rscovlm.data.mixture import Stages
from rscovlm.data.tally import Rejected
from rscovlm.geometry import Boxes, Objects
from rscovlm.geometry.affine import Floats
from rscovlm.training.encoding import IGNORED, Encoded, Encoder, pixels_of
from rscovlm.training.packing import PackedMixture, drops_of


@dataclass(frozen=True)
class Preflight:
    """What was found.

    Attributes:
        samples: Samples looked at.
        boxes: Boxes that were decoded back from the trained tokens and compared.
        tasks: Samples by task.
        tokens: Tokens of a sample: mean and largest.
        trained: Tokens the loss falls on, mean.
        shares: Share of each subset, stage by stage.
        budget: Tokens of a row; None without packing.
        fill: Share of the token budget that the first rows use; None without packing.
        left_out: Samples that the first rows passed over or shrank, by reason.
        steps: Optimiser steps.
        gigabytes: Weights, gradients and the states of AdamW; activations come on top.
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
    gigabytes: float

    def text(self) -> str:
        """Return the findings as lines of text."""
        lines = [
            f"checked {self.samples} samples, {self.boxes} boxes decode back to what was encoded",
            "tasks: " + ", ".join(f"{task} {count}" for task, count in self.tasks.items()),
            f"tokens a sample: {self.tokens[0]:.0f} on average, {self.tokens[1]} at most; {self.trained:.0f} trained",
        ]
        for stage, shares in enumerate(self.shares):
            lines.append(f"stage {stage}: " + ", ".join(f"{name} {share:.1%}" for name, share in shares.items()))
        if self.fill is not None:
            lines.append(f"rows of {self.budget} tokens are {self.fill:.1%} full")
        lines += [f"{count} samples: {reason}" for reason, count in self.left_out.items()]
        lines.append(
            f"{self.steps} steps; {self.gigabytes:.2f} GB for weights, gradients and optimiser, and activations"
        )
        return "\n".join(lines)


def preflight(
    mixture: Stages, processor: Any, model: Any, *, packed: PackedMixture | None = None, steps: int, samples: int = 64
) -> Preflight:
    """Check the first samples of a mixture as they would be trained.

    Args:
        mixture: The samples.
        processor: Encodes them.
        model: Its weights are counted.
        packed: The packed rows, where there are.
        steps: Optimiser steps.
        samples: Number of samples to look at.

    Raises:
        ValueError: Boxes that do not decode back to what the codec wrote of the truth, an image of another grid than
            planned, or a sample that cannot be encoded; the message names it.
    """
    encoder = Encoder(processor)
    count = min(samples, len(mixture))
    seen = [mixture[position] for position in range(count)]
    encoded = [encoder(sample, f"sample {position}") for position, sample in enumerate(seen)]
    faults: dict[int, Rejected] = {}
    pixels_of(processor, seen[:8], encoded[:8], faults)
    boxes = sum(
        _compare(sample, one, processor, position)
        for position, (sample, one) in enumerate(zip(seen, encoded, strict=True))
    )
    lengths = [len(one) for one in encoded]
    try:
        fill = None if packed is None else packed.fill(min(8, -(-len(packed) // packed.lanes)))
    except IndexError as error:
        said = ", ".join(f"{count} {reason}" for reason, count in drops_of(packed).items())
        raise ValueError(
            f"{error} ({said or 'none was left out'}); raise packing.tokens or steps, or set packing.too_long to shrink or split"
        ) from error
    left_out = drops_of(mixture if packed is None else packed) + Counter(fault.reason for fault in faults.values())
    weights = sum(weight.numel() * weight.element_size() for weight in model.parameters())
    # A gradient of the weight's own type, and the two states of AdamW in single precision.
    trained = sum(w.numel() * (w.element_size() + 8) for w in model.parameters() if w.requires_grad)
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
        gigabytes=(weights + trained) / 1e9,
    )


def _compare(sample: Any, encoded: Encoded, processor: Any, position: int) -> int:
    """Decode a sample's trained tokens and compare the boxes with those it was rendered from; return their number."""
    truth: Objects | None = sample.get("truth")
    if truth is None or truth.boxes.frame is None:
        return 0
    text = processor.tokenizer.decode([label for label in encoded.labels if label != IGNORED], skip_special_tokens=True)
    frame = truth.boxes.frame.resized(*sample["images"][0].size)
    kind = truth.boxes.kind
    found = processor.codec.decode(text, frame, kind=kind).objects
    expected = processor.codec.decode(processor.codec.encode(truth, frame, kind=kind), frame, kind=kind).objects
    if len(found) != len(expected):
        raise ValueError(
            f"sample {position}: {len(expected)} boxes were written but {len(found)} read back from {text!r}; "
            "the chat template or the tokenizer changes the answer"
        )
    # The recipe's category order is not known here, so boxes are compared as sets.
    if not np.allclose(_sorted(found.boxes), _sorted(expected.boxes), atol=1e-6):
        raise ValueError(
            f"sample {position}: boxes read back from the trained tokens differ from those written, in {text!r}; "
            "processor and recipe disagree on the codec or the image size"
        )
    return len(found)


def _sorted(boxes: Boxes) -> Floats:
    rows = np.round(boxes.coords, 6)
    ordered: Floats = rows[np.lexsort(rows.T)]
    return ordered
