from typing import Any

import numpy as np
import pytest
from PIL import Image

from rscovlm.codec import Codec
from rscovlm.processing import PixelBudget
from rscovlm.rasters import open_image
from rscovlm.zoom import ZoomChain
from rscovlm.zoom.environment import (
    ZoomEnvironment,
    answer_reward,
    environments,
    evidence_reward,
    format_reward,
    length_reward,
)
from rscovlm.zoom.windows import Limits
from tests.zoom.scripted import Scripted, call

CODEC = Codec.preset("rscovlm-v1")


@pytest.fixture(scope="module")
def scene() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (2016, 2016, 3), dtype=np.uint8))


def test_it_shows_what_the_chain_shows(scene: Image.Image) -> None:
    calls: list[list[float]] = [[100, 100, 300, 300], [10, 10, 9, 9], [50, 60, 200, 210]]
    chain = ZoomChain(Scripted([*(call(*bbox) for bbox in calls), "x"]), layout="native").ask(scene, "What?")
    world = ZoomEnvironment(CODEC, PixelBudget())
    first = world.reset(scene=scene, question="What?", answer="x", prompt=[])
    assert first == chain.messages[0]["content"]
    told = [turn["content"] for turn in chain.messages if turn["role"] in ("tool", "user")][1:]
    assert [world.image_zoom_in(bbox) for bbox in calls] == told
    assert world.zoomed and world.refused_share == pytest.approx(1 / 3)


@pytest.mark.parametrize("tokens", [150, 600, 3000])
def test_its_overview_leaves_as_much_room_as_the_chains(scene: Image.Image, tokens: int) -> None:
    limits = Limits(max_visual_tokens=tokens)
    picture = ZoomEnvironment(CODEC, PixelBudget(), limits).reset(scene, "?")[0]["image"]
    (view,) = ZoomChain(Scripted(["x"]), max_visual_tokens=tokens).overviews([open_image(scene)])
    assert np.array_equal(np.asarray(picture), np.asarray(view.image))
    assert view.tokens <= tokens // 2 and picture.size[0] * picture.size[1] <= tokens // 2 * 28**2


def test_limits_hold_and_reset_forgets(scene: Image.Image) -> None:
    world = environments(CODEC, PixelBudget(), Limits(max_steps=1))()
    for _ in range(2):
        world.reset(scene, "?", evidence=[200, 200, 400, 400])
        assert world.evidence_share == 0 and not world.zoomed
        assert world.image_zoom_in([95, 95, 205, 205])[0]["type"] == "image"
        assert world.evidence_share == 1
        assert world.image_zoom_in([1, 1, 50, 50])[0]["text"].startswith("No more regions")
    hostile: list[Any] = ["all", None, [1, 2], [float("nan")] * 4, [5, 5, 1, 1], {"x": 1}]
    world.reset(scene, "?")
    assert all(world.image_zoom_in(bbox)[0]["type"] == "text" for bbox in hostile)
    assert world.evidence_share is None and world.refused_share == 1
    with pytest.raises(ValueError, match="call reset first"):
        ZoomEnvironment(CODEC, PixelBudget()).image_zoom_in([1, 2, 3, 4])


def test_rewards(scene: Image.Image) -> None:
    worlds = [ZoomEnvironment(CODEC, PixelBudget()) for _ in range(2)]
    worlds[0].reset(scene, "?", evidence=[0, 0, 500, 500])
    worlds[1].reset(scene, "?")
    worlds[0].image_zoom_in([0, 0, 260, 260])
    worlds[1].image_zoom_in([9, 9, 1, 1])
    assert evidence_reward(worlds) == [1.0, None] and format_reward(environments=worlds) == [1.0, 0.0]
    said = [{"role": "assistant", "content": "", "tool_calls": []}, {"role": "tool", "content": "red"}]
    last = {"role": "assistant", "content": [{"type": "text", "text": " RED. "}]}
    assert answer_reward([[*said, last], said, "blue"], answer=["red", "red", "blue"]) == [1.0, 0.0, 1.0]
    lengths = [0, 128, 129, 1023, 1024, 1025]
    given = length_reward(completion_ids=[[1] * length for length in lengths])
    assert given == [1.0, 1.0, 895 / 896, 1 / 896, 0.0, 0.0]


def test_an_image_that_does_not_fit_says_what_to_raise(scene: Image.Image) -> None:
    """The smallest picture that the budget knows costs 36 tokens."""
    budget = PixelBudget(168 * 168, 336 * 336)
    (overview, _) = ZoomEnvironment(CODEC, budget, Limits(max_visual_tokens=36)).reset(scene, "What?")
    assert overview["image"].size == (168, 168)
    with pytest.raises(ValueError, match="does not fit into 35 visual tokens; raise max_visual_tokens"):
        ZoomEnvironment(CODEC, budget, Limits(max_visual_tokens=35)).reset(scene, "What?")
