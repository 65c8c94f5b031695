"""Lessons in set shares: what a policy seldom asks is taught as often as what it asks all the time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from rscovlm.codec import Codec
from rscovlm.experiments.embedded import STAGES, budget, scene_config
from rscovlm.experiments.policies.lessons import kind_of, lessons_of
from rscovlm.experiments.policies.pads import MARKING, SIDE, WORN, PadTask, draw_question
from rscovlm.mixtures.renderer import Sample
from rscovlm.mixtures.scene_records import ZoomTurns
from rscovlm.training.encoding import IGNORED, Encoded, Encoder

BATCH = 16
"""Samples of a step."""

TIMES = 3
"""How often a sample is trained: drawing one takes as long as training on it."""

SHARES = {
    "plan": 0.14,
    "ground": 0.05,
    "part": 0.16,
    "nothing": 0.03,
    "gather": 0.22,
    "seen yes": 0.03,
    "seen no": 0.03,
    "closer yes": 0.03,
    "closer no": 0.03,
    "enough yes": 0.04,
    "enough no": 0.04,
    "guess": 0.04,
    "offered": 0.02,
    "call": 0.05,
    "look": 0.03,
    "looks": 0.05,
    "canvas": 0.01,
}
"""Shares of what is taught. Left to themselves, policies ask yes or no in six of ten lessons, and to read a crop, to plan or to draw a
conclusion in one of ten: after 200 steps a model then read every second marking."""

_FROM = {
    "plan": "branch",
    "part": "branch",
    "nothing": "branch",
    "gather": "branch",
    "ground": "assess",
    "look": "assess",
    "looks": "assess",
    "canvas": "grid",
    "guess": "none",
    "offered": "offered",
    "call": "call",
}
"""Policy whose run has a kind of lesson; the tree asks yes or no."""

_TASKS: dict[PadTask, float] = {"one": 0.25, "compare": 0.35, "count": 0.4}
_SCENES = 40
"""Runs at most for one kind that is still short in a block; what is short after them is repeated."""


class Lessons(Sequence[Sample]):
    """Samples of all policies and kinds of questions, drawn when they are asked for; `lessons[i]` depends on seed and `i` alone.

    Args:
        length: Number of samples.
        seed: Of scenes, policies and noise.
        texture_seed: Of the ground.
        block: Samples that are drawn together, each of them `TIMES` times, and shuffled.
    """

    def __init__(self, length: int, *, seed: int = 0, texture_seed: int = 0, block: int = 1024) -> None:
        self.length, self.seed, self.texture_seed = length, seed, texture_seed
        self.block = min(block, length)
        known = scene_config(STAGES[-1], texture_seed)
        codec = Codec.preset("rscovlm-v1")
        self._zoom = ZoomTurns(known, codec, budget(), side=SIDE, marking=MARKING, worn=WORN, direct=0.0)
        self._drawn: tuple[int, list[Sample]] | None = None

    def __len__(self) -> int:
        """Return the number of samples."""
        return self.length

    def __getitem__(self, position: Any) -> Any:
        """Return the sample at a position."""
        number, place = divmod(int(position), self.block)
        if self._drawn is None or self._drawn[0] != number:
            rng = np.random.default_rng([self.seed, number])
            samples = self._block(rng)
            order = [int(one) for _ in range(TIMES) for one in rng.permutation(len(samples))][: self.block]
            self._drawn = number, [samples[one] for one in _of_like_length(order, samples, rng)]
        return self._drawn[1][place]

    def _block(self, rng: np.random.Generator) -> list[Sample]:
        """Draw the samples of a block: of each kind its share, at least one."""
        wanted = {kind: max(1, round(share * self.block / TIMES)) for kind, share in SHARES.items()}
        held: dict[str, list[Sample]] = {kind: [] for kind in wanted}
        runs: Counter[str] = Counter()
        while True:
            short = {kind: len(held[kind]) / count for kind, count in wanted.items() if len(held[kind]) < count}
            short = {kind: filled for kind, filled in short.items() if runs[kind] < max(_SCENES, 2 * wanted[kind])}
            if not short:
                break
            kind = min(short, key=lambda one: short[one])
            runs[kind] += 1
            for sample in self._run(_FROM.get(kind, "tree"), rng):
                mine = "call" if kind == "call" else kind_of(sample)
                if len(held[mine]) < wanted[mine]:
                    held[mine].append(sample)
        made = [sample for some in held.values() for sample in some]
        return [*made, *(made[int(place)] for place in rng.integers(len(made), size=max(0, self._fresh() - len(made))))]

    def _fresh(self) -> int:
        return -(-self.block // TIMES)

    def _run(self, policy: str, rng: np.random.Generator) -> list[Sample]:
        """Return the samples of one scene."""
        if policy == "call":
            return [self._zoom(rng)]
        task = list(_TASKS)[int(rng.choice(len(_TASKS), p=list(_TASKS.values())))]
        return lessons_of(draw_question(rng, task, self.texture_seed), policy, rng)


def _of_like_length(order: Sequence[int], samples: Sequence[Sample], rng: np.random.Generator) -> list[int]:
    """Return an order in which long samples and short ones are trained apart, so that little is padded.

    Kinds stay mixed within a batch: one of nothing but "yes or no" pulls all weights one way.
    """
    long = [place for place in order if _long(samples[place])]
    short = [place for place in order if not _long(samples[place])]
    batches = [some[start : start + BATCH] for some in (long, short) for start in range(0, len(some), BATCH)]
    whole = [batch for batch in batches if len(batch) == BATCH]
    rest = [place for batch in batches if len(batch) < BATCH for place in batch]
    mixed = [whole[int(number)] for number in rng.permutation(len(whole))]
    return [place for batch in (*mixed, rest) for place in batch]


def _long(sample: Sample) -> bool:
    return len(sample["images"]) > 1 or kind_of(sample) in ("plan", "ground")


class LastReply(Encoder):
    """Encodes samples so that the loss falls on the last reply alone where a sample has ``last``."""

    def __call__(self, sample: Any, name: str = "the sample") -> Encoded:
        """Encode a sample."""
        encoded = super().__call__(sample, name)
        if not sample.get("last"):
            return encoded
        labels = list(encoded.labels)
        start = len(labels)
        while start and labels[start - 1] == IGNORED:
            start -= 1
        while start and labels[start - 1] != IGNORED:
            start -= 1
        return replace(encoded, labels=[IGNORED] * start + labels[start:])
