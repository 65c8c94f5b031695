"""What `VLLM` gives vLLM and checks of it, against a double whose prompts are those of the real processor; vLLM does not run here."""

import base64
import io
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

import rscovlm
from rscovlm.engines import VLLM
from rscovlm.loading import load_processor
from rscovlm.processing import PixelBudget
from rscovlm.testing import tiny_checkpoint

BUDGET = PixelBudget(56 * 56, 168 * 168)
PICTURE = Image.fromarray(np.random.default_rng(3).integers(0, 255, (200, 300, 3), dtype=np.uint8))


class Double:
    """Reads prompts with the checkpoint's processor, limited as vLLM limits it, and answers with one box."""

    def __init__(self, model: str, mm_processor_kwargs: dict[str, Any] | None = None, **options: Any) -> None:
        self.processor, self.options = load_processor(model), options
        size = (mm_processor_kwargs or {}).get("size")
        if size is not None:
            self.processor.budget = PixelBudget(size["shortest_edge"], size["longest_edge"])
        self.asked = 0

    def chat(self, conversations: Any, sampling_params: Any, **_: Any) -> list[Any]:
        outputs = []
        for turns in conversations:
            self.asked += 1
            images = []
            for turn in turns:
                for block in turn["content"] if isinstance(turn["content"], list) else ():
                    if block["type"] == "image_url":
                        data = base64.b64decode(block.pop("image_url")["url"].partition(",")[2])
                        images.append(Image.open(io.BytesIO(data)))
                        block["type"] = "image"
            text = self.processor.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
            ids = self.processor(text=[text], images=images or None, return_tensors="np")["input_ids"][0]
            answer = SimpleNamespace(text="10,20,30,60 ship\n", token_ids=[1], finish_reason="stop", logprobs=None)
            outputs.append(SimpleNamespace(outputs=[answer], prompt_token_ids=ids.tolist()))
        return outputs


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    module: Any = ModuleType("vllm")
    module.LLM, module.SamplingParams = Double, lambda **options: options
    monkeypatch.setitem(sys.modules, "vllm", module)
    return tiny_checkpoint(tmp_path, budget=BUDGET, codec="rscovlm-v1")


def test_a_checkpoint_brings_its_budget_and_dialect(folder: Path) -> None:
    engine = VLLM.load(str(folder))
    assert (engine.budget, engine.dialect.name) == (BUDGET, "rscovlm-v1")
    assert engine.llm.processor.budget == BUDGET
    for _ in range(2):
        (found,) = rscovlm.ground(engine, PICTURE, ["ship"], kind="hbb")
        assert len(found.objects) == 1
    assert engine.llm.asked == 2 + 3  # the check is made once
    wider = VLLM.load(str(folder), budget=PixelBudget(56 * 56, 280 * 280))
    assert wider.llm.processor.budget == wider.budget and rscovlm.ground(wider, PICTURE, ["ship"], kind="hbb")


def test_another_budget_is_found_and_none_refused(folder: Path) -> None:
    llm = Double(str(folder))
    with pytest.raises(ValueError, match="as they are planned: a picture of 1008x1008 pixels .* 1296 by"):
        rscovlm.ground(VLLM(llm, dialect="rscovlm-v1", budget=PixelBudget()), PICTURE, ["ship"])
    assert llm.asked == 3
    with pytest.raises(ValueError, match="it is not known how the model"):
        rscovlm.ground(VLLM(llm), PICTURE, ["ship"])
    assert rscovlm.caption(VLLM(llm), [PICTURE])[0].text and llm.asked == 4
    assert rscovlm.ground(VLLM(llm, processor=folder), PICTURE, ["ship"], kind="hbb")[0].objects
    assert rscovlm.ground(VLLM(llm, processor=llm.processor), PICTURE, ["ship"], kind="hbb")[0].objects
    with pytest.raises(ValueError, match="without dialect and budget"):
        VLLM(llm, processor=3)
