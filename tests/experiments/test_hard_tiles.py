"""Tiles on which an engine draws boxes where there is nothing are found, kept and shown again, and no others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rscovlm.codec import Codec
from rscovlm.codec.dialect import Dialect
from rscovlm.engines.engine import Reply
from rscovlm.experiments.embedded import budget
from rscovlm.experiments.embedded_tiles import hard_scenes
from rscovlm.experiments.hard_tiles import HardTile, HardTiles, find_hard_tiles, read_hard_tiles, write_hard_tiles
from rscovlm.geometry.window import Window
from rscovlm.mixtures.scene_tiles import SceneTiles

CORNER = "1,1,9,1,9,5,1,5 "


class Same:
    """Answers every tile alike."""

    def __init__(self, answer: str) -> None:
        self.codec, self.dialect, self.budget = Codec.preset("rscovlm-v1"), Dialect.preset("rscovlm-v1"), budget()
        self.answer, self.asked = answer, 0

    def generate(self, conversations: Any, **_: Any) -> list[Reply]:
        self.asked += len(conversations)
        return [Reply(self.answer) for _ in conversations]


@pytest.fixture(scope="module")
def scenes() -> SceneTiles:
    return replace(hard_scenes(), parts=2, sides=(84,), subsets=0.0)


def test_who_draws_nothing_is_never_wrong(scenes: SceneTiles) -> None:
    engine = Same("There are none.")
    assert find_hard_tiles(engine, scenes) == []
    assert engine.asked > 2 * (512 // 84) ** 2


def test_a_box_in_every_corner_is_wrong_nearly_everywhere(scenes: SceneTiles) -> None:
    engine = Same(CORNER + "plane")
    found = find_hard_tiles(engine, scenes)
    assert engine.asked - 3 <= len(found) <= engine.asked
    assert {tile.classes for tile in found} == {scenes.classes}
    assert len({(tile.number, tile.window) for tile in found}) == len(found)


def test_found_tiles_are_kept_and_shown_again_with_what_they_hold(scenes: SceneTiles, tmp_path: Path) -> None:
    part = scenes.part(0)
    x, y = (int(value) for value in np.array(part.objects[0].box).reshape(4, 2).mean(axis=0))
    left, top = min(max(x - 42, 0), 428), min(max(y - 42, 0), 428)
    around = Window(left, top, left + 84, top + 84)
    tiles = (HardTile(0, around, (part.objects[0].label,)), HardTile(1, Window(0, 0, 84, 84), ("tank", "plane")))
    write_hard_tiles(tmp_path / "hard.json", tiles)
    assert read_hard_tiles(tmp_path / "hard.json") == tiles
    drawn = HardTiles(scenes, tiles[:1], jitter=4)
    answers = [drawn(np.random.default_rng(seed))["messages"][-1]["content"][0]["text"] for seed in range(6)]
    assert all(part.objects[0].label in answer for answer in answers)
    assert len(set(answers)) > 1  # moved
