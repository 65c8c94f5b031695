"""What the engines are asked when their answers are compared; run as a module, the answers of vLLM in its own environment.

python -m tests.engines.asked FOLDER ADAPTER OUT: loads the checkpoint of a folder with vLLM and writes its answers as JSON,
without and with an adapter.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rscovlm.codec import Codec
from rscovlm.codec.writing import Style
from rscovlm.engines import Conversation, Engine
from rscovlm.geometry.kinds import Kind
from rscovlm.processing.resolution import PixelBudget
from rscovlm.tasks import detect
from rscovlm.testing import tiny_checkpoint
from rscovlm.zoom import ZoomChain
from rscovlm.zoom.layouts import LAYOUTS, overview_turn, zoom_conversation

BUDGET = PixelBudget(56 * 56, 168 * 168)
CLASSES = ["ship", "storage tank"]
FORMS: list[tuple[Kind, Style]] = [("hbb", "plain"), ("quad", "json")]
MOST = 3
REGION = [40, 20, 110, 90]
QUESTION, ANSWER = "What colour is the roof?", "a red plane"


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    """Return a picture in which no two engines may disagree about a pixel."""
    values = np.random.default_rng([seed, width]).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


def conversations() -> list[Conversation]:
    """Return text alone, one image, several images, and a chain with a crop in both layouts."""
    image, crop = noise(300, 260), noise(90, 400)
    asked = [
        Conversation([{"role": "user", "content": "How many ships?"}]),
        Conversation([overview_turn(image, "How many ships?", "reference", zoom=False)]),
        Conversation([overview_turn(noise(140, 112), "How many ships?", "reference", zoom=False)]),
        Conversation([overview_turn([image, crop, image], "Which differs?", "reference", zoom=False)]),
    ]
    for layout in LAYOUTS:
        messages, tools = zoom_conversation(image, "What colour?", [1, 2, 50, 60], crop, "red", layout)
        asked.append(Conversation(messages[:-1], tools))
    return asked


def chains(engine: Engine) -> list[list[dict[str, Any]]]:
    """Return each step's text and tokens, and the windows, of whole chains in both layouts."""
    asked = [(noise(900, 700, seed), QUESTION) for seed in range(3)]
    told = []
    for layout in LAYOUTS:
        for result in ZoomChain(engine, layout=layout, max_new_tokens=64).ask_many(asked):
            steps: list[dict[str, Any]] = [{"text": step.text, "tokens": step.tokens} for step in result.steps]
            told.append([*steps, {"windows": [list(window) for window in result.windows]}])
    return told


def bound_conversations() -> list[Conversation]:
    """Return questions whose answers are held to the codec's grammar, in each of the forms."""
    codec = Codec.preset("rscovlm-v1")
    return [
        replace(one, grammar=codec.grammar(kind=kind, style=style, categories=CLASSES))
        for kind, style in FORMS
        for one in conversations()[:4]
    ]


def taught(folder: Path, steps: int = 80) -> Path:
    """Save a tiny checkpoint that has learnt one zoom by heart: look at a region, then answer."""
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    tiny_checkpoint(folder, budget=BUDGET)
    processor, model = AutoProcessor.from_pretrained(folder), AutoModelForImageTextToText.from_pretrained(folder)
    batches = []
    for layout in LAYOUTS:
        for seed in range(10, 13):
            turns, tools = zoom_conversation(
                noise(900, 700, seed), QUESTION, REGION, noise(400, 300, seed), ANSWER, layout
            )
            inputs = processor.apply_chat_template(
                turns,
                tools=tools,
                tokenize=True,
                return_dict=True,
                return_tensors="pt",
                return_assistant_tokens_mask=True,
            )
            marks = torch.as_tensor(inputs.pop("assistant_masks"))
            batches.append({**inputs, "labels": inputs["input_ids"].masked_fill(marks == 0, -100)})
    optimizer = torch.optim.AdamW(model.train().parameters(), lr=2e-3)
    for step in range(steps):
        loss = model(**batches[step % len(batches)]).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    return folder


def adapted(folder: Path, target: Path) -> Path:
    """Save an adapter of random weights on the language model of a checkpoint."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForImageTextToText

    torch.manual_seed(5)
    wanted = r".*language_model.*\.(q_proj|k_proj|v_proj|o_proj)"
    config = LoraConfig(r=8, lora_alpha=16, target_modules=wanted, init_lora_weights=False)
    get_peft_model(AutoModelForImageTextToText.from_pretrained(folder), config).save_pretrained(target)
    return target


def main(folder: str, adapter: str, out: str) -> None:
    from vllm import SamplingParams  # type: ignore[import-not-found,unused-ignore]
    from vllm.lora.request import LoRARequest  # type: ignore[import-not-found,unused-ignore]

    from rscovlm.engines import VLLM
    from rscovlm.engines.chat_form import to_openai

    options = {"max_model_len": 4096, "enforce_eager": True, "enable_lora": True, "max_lora_rank": 8}
    engine = VLLM.load(folder, budget=BUDGET, dtype="float32", **options)
    asked = conversations()
    told: dict[str, Any] = {"greedy": [asdict(one) for one in engine.generate(asked, max_new_tokens=32)]}
    told["logprobs"] = [asdict(one) for one in engine.generate(asked, max_new_tokens=32, logprobs=True)]
    told["chains"] = chains(engine)
    with_adapter = VLLM(engine.llm, dialect=engine.dialect, budget=BUDGET, lora=LoRARequest("adapter", 1, adapter))
    told["adapter"] = [asdict(one) for one in with_adapter.generate(asked, max_new_tokens=32)]
    told["prompts"] = []
    for _ in range(2):  # the second time from the cache
        for one in asked:
            (output,) = engine.llm.chat(
                [to_openai(one.messages, BUDGET)], SamplingParams(max_tokens=1), use_tqdm=False, tools=one.tools
            )
            told["prompts"].append({"ids": list(output.prompt_token_ids), "cached": output.num_cached_tokens})
    bound = VLLM(
        engine.llm, dialect=engine.dialect, budget=BUDGET, sampling={"temperature": 1.0, "seed": 1}, max_objects=MOST
    )
    told["tiles"] = []
    for kind, style in FORMS:
        found = detect(
            bound,
            noise(560, 280),
            CLASSES,
            tile=56,
            overlap=0,
            kind=kind,
            style=style,
            constrained=True,
            max_new_tokens=400,
        )
        finishes = sorted({str(tile.finish) for tile in found.tiles})
        told["tiles"].append({"tiles": len(found.tiles), "finishes": finishes, "problems": dict(found.problems)})
    Path(out).write_text(json.dumps(told), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
