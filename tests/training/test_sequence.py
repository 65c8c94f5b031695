"""Any number of ranks and workers, and any restart, sees the same samples at the same places."""

import hashlib
from typing import Any

import numpy as np
import pytest
from accelerate.data_loader import BatchSamplerShard
from torch.utils.data import BatchSampler, DataLoader, SequentialSampler

from rscovlm.experiments.embedded import STAGES, build_mixture
from rscovlm.records.pictures import loaded
from rscovlm.training.sft import as_dataset

COUNT = 32
BATCH = 2


def _hash(sample: dict[str, Any]) -> str:
    digest = hashlib.sha256(repr(sample["messages"]).encode())
    for image in sample["images"]:
        digest.update(np.asarray(loaded(image)).tobytes())
    return digest.hexdigest()


def _hashes(batch: list[dict[str, Any]]) -> list[str]:
    return [_hash(sample) for sample in batch]


@pytest.fixture(scope="module")
def expected() -> list[str]:
    mixture = build_mixture(STAGES, seed=8)
    return [_hash(mixture[position]) for position in range(COUNT)]


def _walk(ranks: int, workers: int, first: int = 0) -> list[str]:
    """Draw as a trainer on so many ranks does, from a batch on, and put the ranks' batches back in their order."""
    dataset = as_dataset(build_mixture(STAGES, seed=8)).select(range(COUNT))
    parts = []
    for rank in range(ranks):
        batches = BatchSampler(SequentialSampler(dataset), BATCH, drop_last=False)
        share = list(BatchSamplerShard(batches, ranks, rank))[first:]
        loader = DataLoader(dataset, batch_sampler=share, num_workers=workers, collate_fn=_hashes)
        parts.append(list(loader))
    return [value for together in zip(*parts, strict=True) for batch in together for value in batch]


@pytest.mark.parametrize(("ranks", "workers"), [(1, 0), (1, 4), (2, 0), (2, 4), (4, 0), (4, 2)])
def test_ranks_and_workers_do_not_change_the_sequence(expected: list[str], ranks: int, workers: int) -> None:
    assert _walk(ranks, workers) == expected


@pytest.mark.parametrize(("ranks", "first"), [(1, 5), (2, 3), (4, 1)])
def test_a_restart_goes_on_where_it_was(expected: list[str], ranks: int, first: int) -> None:
    assert _walk(ranks, 2, first) == expected[first * ranks * BATCH :]


def test_another_seed_is_another_sequence(expected: list[str]) -> None:
    mixture = build_mixture(STAGES, seed=9)
    assert not set(expected) & {_hash(mixture[position]) for position in range(COUNT)}
