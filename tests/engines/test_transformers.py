import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from rscovlm.codec import Codec
from rscovlm.engines import Conversation, Engine, Transformers
from rscovlm.geometry import Boxes, Frame
from rscovlm.processing import PixelBudget, RSCoVLMImageProcessor, RSCoVLMProcessor
from rscovlm.processing.tokenizer import build_tokenizer
from rscovlm.tasks import detect
from rscovlm.testing import tiny_checkpoint
from rscovlm.training.collator import Collator
from rscovlm.training.tiny import build_model
from rscovlm.zoom import ZoomChain
from rscovlm.zoom.layouts import CALL_END, CALL_START, CROP_TEXT, ZOOM_SYSTEM, Layout, overview_turn, zoom_conversation
from tests.zoom.scripted import call

BUDGET = PixelBudget(56 * 56, 168 * 168)


@pytest.fixture(scope="module", params=["qwen2_5_vl", "qwen3_vl"])
def parts(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    tokenizer = build_tokenizer(
        ["What colour is the roof of the hangar? 0 1 2 3 4 5 6 7 8 9, plane ship"],
        phrases=[ZOOM_SYSTEM, CROP_TEXT, CALL_START, CALL_END],
    )
    factor = 28 if request.param == "qwen2_5_vl" else 32
    budget = PixelBudget(BUDGET.min_pixels, BUDGET.max_pixels, factor)
    processor = RSCoVLMProcessor(RSCoVLMImageProcessor.for_family(request.param, budget), tokenizer)
    return build_model(tokenizer, family=request.param, depth=2).eval(), processor


def picture(width: int, height: int, seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8))


def conversations() -> list[Conversation]:
    first, second = picture(300, 260, 1), picture(150, 90, 2)
    zoomed, tools = zoom_conversation(first, "What colour?", [10, 20, 50, 60], second, "red", "native")
    reference, _ = zoom_conversation(second, "What colour?", [1, 2, 50, 60], first, "red", "reference")
    return [
        Conversation([overview_turn(first, "What colour?", "native", zoom=False)]),
        Conversation([{"role": "user", "content": "Is it a plane or a ship?"}]),
        Conversation([overview_turn([first, second], "What changed?", "native", zoom=False)]),
        Conversation(zoomed[:-1], tools),
        Conversation(reference[:-1]),
        Conversation([overview_turn(second, "How many ships lie at the pier?", "native", zoom=False)]),
    ]


def test_a_batch_answers_what_each_would_get_alone(parts: tuple[Any, Any]) -> None:
    asked = conversations()
    engine: Engine = Transformers(*parts, batch_size=4)
    together = engine.generate(asked, max_new_tokens=14)
    alone = [engine.generate([one], max_new_tokens=14)[0] for one in asked]
    assert [reply.text for reply in together] == [reply.text for reply in alone]
    assert [reply.tokens for reply in together] == [reply.tokens for reply in alone]
    assert len({reply.text for reply in together}) > 3  # random weights, but not one answer for all
    backwards = Transformers(*parts, batch_size=2).generate(asked[::-1], max_new_tokens=14)
    assert [reply.text for reply in backwards[::-1]] == [reply.text for reply in together]
    assert engine.generate([]) == []


def test_log_probabilities_are_those_of_a_forward_pass(parts: tuple[Any, Any]) -> None:
    model, processor = parts
    engine = Transformers(model, processor, repeat_guard=None)
    asked = conversations()
    for one, reply in zip(asked, engine.generate(asked, max_new_tokens=10, logprobs=True), strict=True):
        assert reply.token_logprobs is not None and reply.token_texts is not None
        assert len(reply.token_logprobs) == len(reply.token_texts) == reply.tokens
        assert "".join(reply.token_texts) == reply.text
        inputs = _encoded(processor, one)
        sequence = model.generate(**inputs, do_sample=False, max_new_tokens=10, repetition_penalty=1.0)
        prompt, total = inputs["input_ids"].shape[1], sequence.shape[1]
        types = torch.nn.functional.pad(inputs.pop("mm_token_type_ids"), (0, total - prompt))
        inputs |= {"input_ids": sequence, "attention_mask": torch.ones_like(sequence), "mm_token_type_ids": types}
        with torch.inference_mode():
            logs = torch.log_softmax(model(**inputs).logits[0, prompt - 1 : -1], dim=-1)
        expected = logs.gather(1, sequence[0, prompt:, None])[:, 0]
        assert reply.token_logprobs == pytest.approx(expected[: reply.tokens].tolist(), abs=2e-4)


def test_a_reply_ends_at_the_limit_or_at_the_end_mark(parts: tuple[Any, Any]) -> None:
    model, processor = parts
    engine = Transformers(model, processor)
    five, four = (engine.generate(conversations()[:1], max_new_tokens=limit)[0] for limit in (5, 4))
    assert (five.finish, five.tokens, four.tokens) == ("length", 5, 4)
    end = processor.tokenizer.convert_tokens_to_ids("<|im_end|>")
    forced = Transformers(model, processor, generation={"forced_eos_token_id": end})
    (ended,) = forced.generate(conversations()[:1], max_new_tokens=5)
    assert (ended.finish, ended.tokens, ended.text) == ("stop", 5, four.text)


def test_an_endless_reply_is_ended_in_its_row_only(parts: tuple[Any, Any]) -> None:
    model, processor = parts
    token = processor.tokenizer.convert_tokens_to_ids("5")
    stuck = {"sequence_bias": {(token,): 1000.0}}
    (reply,) = Transformers(model, processor, generation=stuck).generate(conversations()[:1], max_new_tokens=400)
    assert (reply.finish, reply.tokens, reply.text) == ("repeat", 128, "5" * 128)
    (free,) = Transformers(model, processor, repeat_guard=None, generation=stuck).generate(
        conversations()[:1], max_new_tokens=140
    )
    assert (free.finish, free.tokens) == ("length", 140)


@pytest.mark.parametrize("layout", ["reference", "native"])
def test_inference_reads_the_tokens_of_training(parts: tuple[Any, Any], layout: Layout) -> None:
    _, processor = parts
    overview, crop = picture(300, 260, 1), picture(150, 90, 2)
    messages, tools = zoom_conversation(overview, "What colour?", [10, 20, 50, 60], crop, "red", layout)
    blank, _ = zoom_conversation(None, "What colour?", [10, 20, 50, 60], None, "red", layout)
    sample = {"messages": blank, "images": [overview, crop], "tools": tools}
    trained = Collator(processor)([sample])["input_ids"][0].tolist()
    for turns in (messages[:-3], messages[:-1]):
        asked = _encoded(processor, Conversation(turns, tools))["input_ids"][0].tolist()
        assert trained[: len(asked)] == asked
    assert processor.tokenizer.decode(trained[len(asked) :]).startswith("red<|im_end|>")


def test_chain_and_detector_run_on_a_real_model(parts: tuple[Any, Any]) -> None:
    engine = Transformers(*parts, batch_size=4)
    scene = picture(400, 300, 3)
    result = ZoomChain(engine, max_new_tokens=8).ask(scene, "What colour?")
    assert result.steps[0].tokens <= 8 and result.visual_tokens <= 36
    found = detect(engine, scene, ["plane"], tile=200, overlap=20, max_new_tokens=8, confidence=True)
    assert len(found.tiles) == 6 and all(tile.finish is not None for tile in found.tiles)


def test_a_trained_call_reads_the_same_through_the_tokenizer(parts: tuple[Any, Any]) -> None:
    _, processor = parts
    ids = processor.tokenizer(call(10, 20, 300, 400))["input_ids"]
    assert processor.tokenizer.decode(ids, skip_special_tokens=True) == call(10, 20, 300, 400)


def test_precision_is_the_model_s(parts: tuple[Any, Any]) -> None:
    model, processor = parts
    (reply,) = Transformers(model.to(torch.bfloat16), processor).generate(conversations()[:1], max_new_tokens=3)
    model.to(torch.float32)
    assert reply.tokens == 3


def test_bad_settings_are_named(parts: tuple[Any, Any]) -> None:
    model, processor = parts
    with pytest.raises(ValueError, match="batch_size is 0"):
        Transformers(model, processor, 0)
    with pytest.raises(ValueError, match=r"has no codec.*codec=\.\.\."):
        Transformers(model, object())
    with pytest.raises(ValueError, match="turn 0 has an image block without an image"):
        Transformers(model, processor).generate([Conversation([overview_turn(None, "?", "native")])])


def _encoded(processor: Any, conversation: Conversation) -> dict[str, Any]:
    text = processor.apply_chat_template(
        conversation.messages, tools=conversation.tools, tokenize=False, add_generation_prompt=True
    )
    return dict(processor(text=[text], images=conversation.images() or None, return_tensors="pt"))


def test_a_saved_checkpoint_asks_zooms_and_detects_as_in_the_readme(tmp_path: Path) -> None:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    import rscovlm

    repo = tiny_checkpoint(tmp_path / "tiny", budget=BUDGET)
    model = AutoModelForImageTextToText.from_pretrained(repo)
    processor = AutoProcessor.from_pretrained(repo)
    picture(900, 700, 5).save(tmp_path / "scene.png")
    image = rscovlm.open_image(tmp_path / "scene.png")
    chain = rscovlm.ZoomChain(rscovlm.engines.Transformers(model, processor), max_new_tokens=6)
    assert isinstance(chain.ask(image, "What colour is the roof?").answer, str)
    region = Boxes([[100, 100, 300, 260]], "hbb", image.frame)
    shown = chain.ask(image, "What colour is the roof?", regions=[region])
    assert shown.windows == [(100, 100, 300, 260)] and shown.visual_tokens == sum(view.tokens for view in shown.views)
    found = rscovlm.detect(chain.engine, image, classes=["plane", "ship"], tile=450, max_new_tokens=6)
    found.to_geojson(tmp_path / "objects.geojson")
    assert (tmp_path / "objects.geojson").stat().st_size > 0


def test_tags_that_are_special_tokens_stay_in_the_answer(parts: tuple[Any, Any]) -> None:
    model, processor = parts
    tokenizer = copy.deepcopy(processor.tokenizer)
    tags = ["<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>", "<|box_end|>"]
    tokenizer.add_special_tokens({"additional_special_tokens": tags})
    speaking = copy.copy(processor)
    speaking.tokenizer = tokenizer
    answer = "<|object_ref_start|>ship<|object_ref_end|><|box_start|>(287,194),(333,296)<|box_end|>"
    tokens = [*tokenizer(answer, add_special_tokens=False).input_ids, tokenizer.eos_token_id]
    codec = Codec.preset("qwen2-vl")
    text = Transformers(model, speaking, dialect=codec)._text(tokens)
    assert text == answer and codec.decode(text, Frame(1000, 1000)).objects.labels == ("ship",)
    # Other dialects go without special tokens, as before.
    assert "<|" not in Transformers(model, speaking, dialect=Codec.preset("rscovlm-v1"))._text(tokens)
