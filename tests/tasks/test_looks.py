"""Regions of which each lies in the one before are trained as successive looks, as the chain carries them out."""

from __future__ import annotations

import numpy as np
import pytest

from rscovlm.codec import Codec
from rscovlm.experiments.embedded import budget
from rscovlm.mixtures.renderer import RecordRenderer
from rscovlm.mixtures.scene_records import zoom_record
from rscovlm.scenes import make_zoom_scene
from rscovlm.tasks.options import RenderOptions
from rscovlm.zoom import ZoomChain
from rscovlm.zoom.layouts import LAYOUTS, Layout
from tests.zoom.scripted import Scripted, as_engine


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_trained_is_what_the_chain_shows(layout: Layout) -> None:
    options = RenderOptions(rephrase_rate=0.0, direct_rate=0.0, crop_jitter=0.0, layout=layout)
    render = RecordRenderer(Codec.preset("rscovlm-v1"), budget(), ".", options)
    for seed in range(8):
        scene = make_zoom_scene(seed, 672, marking=5, worn=40)
        sample = render(zoom_record(scene, twice=True), np.random.default_rng(0))
        said = [turn for turn in sample["messages"] if turn["role"] == "assistant"]
        assert len(said) == 3
        calls = [
            turn["content"][0]["text"] if "tool_calls" not in turn else _written(turn["tool_calls"][0]["function"])
            for turn in said
        ]
        result = ZoomChain(as_engine(Scripted(calls, budget=budget())), max_steps=2, layout=layout).ask(
            scene.image, scene.question
        )
        assert result.answer == scene.answer and not result.problems
        assert _texts(result.messages) == _texts(sample["messages"])
        for picture, view in zip(sample["images"][1:], result.crops, strict=True):
            # The model's call has whole numbers of its own grid, a pixel of which is several of the original.
            grid = max(result.views[0].window[2], 1) / 84
            np.testing.assert_allclose(picture.window, view.window, atol=grid + 1)
        outer, inner = result.windows
        assert outer[0] <= inner[0] and inner[2] <= outer[2] and inner[2] - inner[0] < 0.3 * (outer[2] - outer[0])


def test_regions_apart_are_answered_without_the_tool() -> None:
    from dataclasses import replace

    options = RenderOptions(rephrase_rate=0.0, direct_rate=0.0, crop_jitter=0.0)
    render = RecordRenderer(Codec.preset("rscovlm-v1"), budget(), ".", options)
    record = zoom_record(make_zoom_scene(0, 672))
    apart = replace(record, regions=((0, 0, 100, 100), (50, 50, 150, 150)))
    assert [turn["role"] for turn in render(apart, np.random.default_rng(0))["messages"]] == ["user", "assistant"]
    twice = replace(record, regions=((0, 0, 300, 300), (0, 0, 300, 300)))
    shown = render(twice, np.random.default_rng(0))["messages"]
    assert sum(turn["role"] == "assistant" for turn in shown) == 2, "the same window is not shown again"


def _texts(messages: list[dict[str, object]]) -> list[tuple[object, str]]:
    return [
        (turn["role"], "".join(block.get("text", "<image>") for block in turn["content"]))  # type: ignore[attr-defined]
        for turn in messages
    ]


def _written(function: dict[str, object]) -> str:
    import json

    return f"<tool_call>\n{json.dumps(function)}\n</tool_call>"
