"""Opt-in: runs where vLLM is installed (its own environment), and compares it with the transformers engine."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rscovlm.codec.prompts import Kind, Style
from rscovlm.engines import Conversation
from rscovlm.processing import PixelBudget
from rscovlm.testing import tiny_checkpoint
from rscovlm.zoom import detect
from rscovlm.zoom.layouts import overview_turn, zoom_conversation

CLASSES = ["ship", "storage tank"]


@pytest.mark.skipif(not os.environ.get("RSCOVLM_TEST_VLLM"), reason="vLLM runs where RSCOVLM_TEST_VLLM=1 asks for it")
def test_greedy_answers_equal_those_of_transformers(tmp_path: Path) -> None:
    pytest.importorskip("vllm", reason="vllm is not installed")
    from transformers import AutoModelForImageTextToText, AutoProcessor

    from rscovlm.engines import VLLM, Transformers

    budget = PixelBudget(56 * 56, 168 * 168)
    folder = tiny_checkpoint(tmp_path / "tiny", budget=budget)
    processor = AutoProcessor.from_pretrained(folder)
    local = Transformers(AutoModelForImageTextToText.from_pretrained(folder).eval(), processor)
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (260, 300, 3), dtype=np.uint8))
    asked = [Conversation([overview_turn(image, "How many ships?", "reference", zoom=False)])]
    for layout in ("reference", "native"):
        messages, tools = zoom_conversation(image, "What colour?", [1, 2, 50, 60], image, "red", layout)
        asked.append(Conversation(messages[:-1], tools))
    remote = VLLM.load(
        str(folder), budget=budget, chat_template=processor.chat_template, dtype="float32", max_model_len=4096
    )
    expected, found = local.generate(asked, max_new_tokens=8), remote.generate(asked, max_new_tokens=8)
    assert [reply.text for reply in found] == [reply.text for reply in expected]


@pytest.mark.skipif(not os.environ.get("RSCOVLM_TEST_VLLM"), reason="vLLM runs where RSCOVLM_TEST_VLLM=1 asks for it")
def test_no_tile_of_an_untrained_model_fails_to_parse(tmp_path: Path) -> None:
    pytest.importorskip("vllm", reason="vllm is not installed")
    from rscovlm.engines import VLLM

    budget = PixelBudget(56 * 56, 56 * 56)
    folder = tiny_checkpoint(tmp_path / "tiny", budget=budget)
    engine = VLLM.load(
        str(folder), budget=budget, dtype="float32", max_model_len=4096, sampling={"temperature": 1.0}, max_objects=3
    )
    noise = np.random.default_rng(0).integers(0, 255, (560, 560, 3), dtype=np.uint8)
    forms: list[tuple[Kind, Style]] = [("hbb", "plain"), ("quad", "json")]
    for kind, style in forms:
        found = detect(engine, noise, CLASSES, tile=56, overlap=0, kind=kind, style=style, constrained=True)
        assert len(found.tiles) == 100 and {tile.finish for tile in found.tiles} == {"stop"}
        assert not set(found.problems) - {"inverted", "outside", "no_area", "duplicate"}
