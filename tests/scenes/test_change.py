"""Before/after pairs: the mask says which object came or went, and only that."""

from __future__ import annotations

import numpy as np
import pytest

from rscovlm.scenes import SceneConfig, ScenePair, make_change

CONFIG = SceneConfig(min_objects=1, max_objects=4, max_length=32)


@pytest.fixture(scope="module")
def pairs() -> list[ScenePair]:
    rng = np.random.default_rng(8)
    return [make_change(rng, CONFIG) for _ in range(50)]


def test_objects_that_stayed_are_the_same(pairs: list[ScenePair]) -> None:
    for pair in pairs:
        before = [o for i, o in enumerate(pair.before.objects) if i not in pair.removed]
        after = [o for i, o in enumerate(pair.after.objects) if i not in pair.added]
        assert before == after
        assert pair.after.count() <= CONFIG.max_objects
    assert {len(p.removed) for p in pairs} == {len(p.added) for p in pairs} == {0, 1, 2}


def test_the_mask_covers_what_came_and_went(pairs: list[ScenePair]) -> None:
    for pair in pairs:
        mask = pair.mask()
        gone, new = mask == 1, mask == 2
        assert gone.sum() == sum(pair.before.mask(i).sum() for i in pair.removed)
        assert new.sum() == sum(pair.after.mask(i).sum() for i in pair.added)
        for i, thing in enumerate(pair.before.objects):
            share = gone[pair.before.mask(i)].mean()
            assert share == (i in pair.removed), thing


def test_the_pictures_differ_most_where_something_changed(pairs: list[ScenePair]) -> None:
    for pair in (p for p in pairs if p.removed or p.added):
        difference = np.abs(np.asarray(pair.before.image).astype(int) - np.asarray(pair.after.image)).mean(axis=2)
        mask = pair.mask() > 0
        assert difference[mask].mean() > 2 * np.median(difference[~mask])


def test_sentence_names_every_change(pairs: list[ScenePair]) -> None:
    for pair in pairs:
        text = pair.sentence()
        assert text.count("is gone") == len(pair.removed)
        assert text.count("is new") == len(pair.added)
        assert (text == "Nothing changed.") == (not pair.removed and not pair.added)


def test_same_seed_same_bytes() -> None:
    one, two, other = make_change(1, CONFIG), make_change(1, CONFIG), make_change(2, CONFIG)
    assert one.after.image.tobytes() == two.after.image.tobytes() != other.after.image.tobytes()


def test_negative_number_of_changes_is_an_error() -> None:
    with pytest.raises(ValueError, match="-1"):
        make_change(0, max_changes=-1)
