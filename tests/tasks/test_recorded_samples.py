"""The same record and seed give the same sample, and the same answer the same row and figure, from version to version."""

import json

import pytest

from tests.tasks.samples import SAMPLES, recorded, samples


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_are_what_they_were(name: str) -> None:
    now, before = samples(name), recorded()[name]
    differing = {key: (before.get(key), now.get(key)) for key in {*now, *before} if now.get(key) != before.get(key)}
    assert not differing, f"{len(differing)} of {len(now)}; where that is meant, see tests/tasks/samples.py"
    assert json.dumps(now) == json.dumps(before)  # in the same order too
