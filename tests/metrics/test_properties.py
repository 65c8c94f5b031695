"""What must hold of AP_nc whatever the boxes."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rscovlm.geometry import Boxes, Frame, Objects
from rscovlm.metrics import ap_nc, grounding_accuracy
from tests.metrics.scenes import Item, scenes

SEEDS = st.integers(0, 10_000)
FEW = settings(max_examples=15)


def _values(result: Item) -> list[float]:
    return [entry["mean"] for entry in result["ap_nc_thresholds"].values()]


def _scene(seed: int) -> tuple[list[Item], list[Item]]:
    found, true = scenes(3, seed=seed, boxes=8, span=120, doubles=0.3)
    return [{"boxes": item["boxes"], "labels": item["labels"]} for item in found], true


def _mapped(items: list[Item], scale: float, shift: float) -> list[Item]:
    return [{**item, "boxes": item["boxes"] * scale + shift} for item in items]


@FEW
@given(SEEDS)
def test_values_lie_between_0_and_1_and_fall_with_the_threshold(seed: int) -> None:
    values = _values(ap_nc(*_scene(seed), ties="stable"))
    assert all(0 <= value <= 1 for value in values)
    assert all(later <= earlier + 1e-12 for earlier, later in pairwise(values))


@FEW
@given(SEEDS)
def test_the_truth_itself_is_perfect(seed: int) -> None:
    rng = np.random.default_rng(seed)
    corners = np.stack(np.unravel_index(rng.choice(900, 20, replace=False), (30, 30)), axis=1) * 40.0
    boxes = np.concatenate([corners, corners + (20, 1), corners + (21, 15), corners + (1, 14)], axis=1)
    item = {"boxes": boxes, "labels": ["a"] * 20}
    result = ap_nc([item], [item])
    assert result["ap_nc50_95"] == {"mean": 1.0, "std": 0.0, "min": 1.0, "max": 1.0}


@FEW
@given(SEEDS, st.sampled_from([0.25, 2.0, 8.0]), st.sampled_from([-4096.0, 0.0, 512.0]))
def test_scale_and_place_do_not_matter(seed: int, scale: float, shift: float) -> None:
    found, true = _scene(seed)
    plain = ap_nc(found, true, ties="stable")
    moved = ap_nc(_mapped(found, scale, shift), _mapped(true, scale, shift), ties="stable")
    assert _values(moved) == pytest.approx(_values(plain), abs=1e-12)


@FEW
@given(SEEDS)
def test_a_false_box_in_front_never_helps(seed: int) -> None:
    found, true = _scene(seed)
    worse = [dict(item) for item in found]
    far = np.full((1, 8), 1e5) + [0, 0, 9, 0, 9, 9, 0, 9]
    worse[0] = {"boxes": np.concatenate([far, found[0]["boxes"]]), "labels": ["class-0", *found[0]["labels"]]}
    before, after = ap_nc(found, true, ties="stable"), ap_nc(worse, true, ties="stable")
    assert all(b <= a + 1e-12 for a, b in zip(_values(before), _values(after), strict=True))


@FEW
@given(SEEDS)
def test_a_class_alone_counts_as_it_does_among_others(seed: int) -> None:
    found, true = _scene(seed)
    names = sorted({label for item in true for label in item["labels"]})
    result = ap_nc(found, true, ties="stable")
    for name in names[:2]:
        alone = [[_only(item, name) for item in side] for side in (found, true)]
        one = ap_nc(*alone, ties="stable")
        assert one["per_class"][name] == result["per_class"][name]


def test_objects_are_taken_as_they_are() -> None:
    found, true = scenes(2, seed=0, boxes=10)
    quads = [Boxes(item["boxes"], "quad") for item in found]
    objects = [Objects(q, tuple(i["labels"]), i["scores"]) for q, i in zip(quads, found, strict=True)]
    lists = [{**item, "boxes": box.coords} for item, box in zip(found, quads, strict=True)]
    assert ap_nc(objects, true) == ap_nc(lists, true)


def test_sides_on_different_frames_are_refused() -> None:
    small, large = Frame(100, 100), Frame(100, 100).resized(200, 200)
    mine, theirs = (Boxes([[0, 0, 9, 9]], "hbb", frame) for frame in (small, large))
    with pytest.raises(ValueError, match=r"predictions\[0\] lies on"):
        ap_nc([{"boxes": mine, "labels": ["a"]}], [{"boxes": theirs, "labels": ["a"]}])
    with pytest.raises(ValueError, match="predictions lies on"):
        grounding_accuracy(mine, theirs)
    assert grounding_accuracy(mine.to(large), theirs)["acc50"] == 0.0


def _only(item: Item, label: str) -> Item:
    keep = [k for k, name in enumerate(item["labels"]) if name == label]
    result: dict[str, Any] = {key: [value[k] for k in keep] for key, value in item.items()}
    return result
