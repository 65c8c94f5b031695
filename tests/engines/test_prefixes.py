"""Turns that begin where the last one ended answer what turns read from the beginning answer."""

import gc
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from rscovlm.embedded import embedded_model
from rscovlm.engines import Conversation, Memory, Reply, Transformers
from rscovlm.engines.engine import Engine
from rscovlm.processing import PixelBudget, RSCoVLMImageProcessor, RSCoVLMProcessor
from rscovlm.processing.tokenizer import build_tokenizer
from rscovlm.training.tiny import build_model
from rscovlm.zoom import ZoomChain
from rscovlm.zoom.layouts import (
    CALL_END,
    CALL_START,
    CROP_TEXT,
    ZOOM_SYSTEM,
    answer_turn,
    crop_turn,
    overview_turn,
    refusal_turn,
    tools_part,
)
from tests.zoom.scripted import call

Parts = tuple[Any, Any]


@pytest.fixture(scope="module", params=["qwen2_5_vl", "qwen3_vl"])
def parts(request: pytest.FixtureRequest) -> Parts:
    tokenizer = build_tokenizer(
        ["What colour is the roof of the hangar? 0 1 2 3 4 5 6 7 8 9, plane ship"],
        phrases=[ZOOM_SYSTEM, CROP_TEXT, CALL_START, CALL_END],
    )
    factor = 28 if request.param == "qwen2_5_vl" else 32
    budget = PixelBudget(56 * 56, 168 * 168, factor)
    processor = RSCoVLMProcessor(RSCoVLMImageProcessor.for_family(request.param, budget), tokenizer)
    return build_model(tokenizer, family=request.param, depth=2).eval(), processor


def picture(width: int, height: int, seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8))


Turns = list[dict[str, Any]]
Play = list[tuple[Turns, Callable[[str], Turns]]]


def play() -> Play:
    """Conversations of many shapes: how each opens, and how it goes on after a reply."""
    wide, small, tall = picture(300, 260, 1), picture(150, 90, 2), picture(90, 200, 3)
    system = tools_part("reference")[0]

    def crops(image: Image.Image) -> Callable[[str], Turns]:
        return lambda said: [answer_turn(said), crop_turn(image, "reference")]

    return [
        ([*system, overview_turn(wide, "What colour?", "reference")], crops(small)),
        ([overview_turn([small, tall], "What changed between the two images?", "native")], crops(wide)),
        (
            [overview_turn(tall, "A ship?", "native")],
            lambda said: [answer_turn(said), refusal_turn("No.", "reference")],
        ),
        ([{"role": "user", "content": "Is it a plane?"}], crops(tall)),
        # What the engine wrote is put otherwise, so that less of it is known.
        (
            [overview_turn(small, "How many ships?", "native")],
            lambda said: [answer_turn("7" + said), *crops(wide)("")[1:]],
        ),
    ]


def run(engine: Engine, scenes: Play, turns: int = 3) -> list[list[Reply]]:
    told = [list(opening) for opening, _ in scenes]
    memories = [Memory() for _ in scenes]
    replies = []
    for _ in range(turns):
        asked = [Conversation(list(turn), memory=memory) for turn, memory in zip(told, memories, strict=True)]
        replies.append(engine.generate(asked, max_new_tokens=7, logprobs=True))
        for turn, (_, more), reply in zip(told, scenes, replies[-1], strict=True):
            turn += more(reply.text)
    return replies


def flat(replies: list[list[Reply]]) -> list[Reply]:
    return [reply for turn in replies for reply in turn]


def same(ours: list[list[Reply]], theirs: list[list[Reply]]) -> None:
    for one, other in zip(flat(ours), flat(theirs), strict=True):
        assert (one.text, one.tokens, one.finish, one.token_texts) == (
            other.text,
            other.tokens,
            other.finish,
            other.token_texts,
        )
        assert one.token_logprobs == pytest.approx(other.token_logprobs, abs=2e-4)


def test_answers_and_their_probabilities_are_equal_with_and_without_reuse(parts: Parts) -> None:
    scenes = play()
    anew, reusing = (Transformers(*parts, 3, reuse_bytes=size) for size in (0, 2 << 30))
    replies = run(reusing, scenes)
    same(replies, run(anew, scenes))
    assert len({reply.text for reply in flat(replies)}) > 5  # random weights, but not one answer for all
    counts = reusing.prefixes.counts
    # Every image shown before the last turn, of both turns after the first.
    assert counts["images_reused"] == (1 + 2 + 1 + 0 + 1) + (2 + 3 + 1 + 1 + 2)
    assert counts["images"] == counts["images_reused"] + (1 + 2 + 1 + 0 + 1) + 2 * 4
    assert counts["tokens_reused"] > counts["tokens"] / 3 and not anew.prefixes.counts["tokens_reused"]


def test_conversations_that_part_from_what_is_known_reuse_what_they_share(parts: Parts) -> None:
    first, second, copy = picture(300, 260, 1), picture(300, 260, 2), picture(300, 260, 1)
    opening = overview_turn([first, second], "What changed?", "native")
    engine, anew = Transformers(*parts), Transformers(*parts, reuse_bytes=0)
    others = {
        "the same": (opening, 2),
        "another question": (overview_turn([first, second], "What is it?", "native"), 2),
        "another second image": (overview_turn([first, copy], "What changed?", "native"), 1),
        "an equal image that is another object": (overview_turn([copy, second], "What changed?", "native"), 0),
        "the other order": (overview_turn([second, first], "What changed?", "native"), 0),
        "fewer images": (overview_turn([first], "What changed?", "native"), 1),
        "no image": ({"role": "user", "content": "What changed?"}, 0),
        "words first": ({"role": "user", "content": [{"type": "text", "text": "So?"}, *opening["content"]]}, 0),
    }
    for name, (turn, images) in others.items():
        memory = Memory()
        engine.generate([Conversation([opening], memory=memory)], max_new_tokens=3)
        engine.prefixes.counts.clear()
        reply = engine.generate([Conversation([turn], memory=memory)], max_new_tokens=6, logprobs=True)
        same([reply], [anew.generate([Conversation([turn])], max_new_tokens=6, logprobs=True)])
        assert engine.prefixes.counts["images_reused"] == images, name


def test_what_is_known_goes_with_the_conversation_and_stays_under_the_limit(parts: Parts) -> None:
    engine = Transformers(*parts)
    asked = [Conversation(opening, memory=Memory()) for opening, _ in play()]
    engine.generate(asked, max_new_tokens=3)
    sizes = [one.memory.kept.size for one in asked if one.memory]
    tokens = [len(one.memory.kept.tokens) for one in asked if one.memory]
    assert len(set(sizes)) > 3 and len({size / count for size, count in zip(sizes, tokens, strict=True)}) == 1
    assert engine.prefixes.held == sum(sizes)
    last = asked.pop()
    assert last.memory is not None
    last.memory.more = False
    engine.generate([last], max_new_tokens=3)
    assert last.memory.kept is None and engine.prefixes.held == sum(sizes[:-1])
    engine.generate([Conversation(play()[0][0])], max_new_tokens=3)  # one turn, nothing to keep
    assert engine.prefixes.held == sum(sizes[:-1])
    asked.clear()
    gc.collect()
    assert engine.prefixes.held == 0

    limit = sum(sorted(sizes)[:2])
    tight, anew = (Transformers(*parts, reuse_bytes=size) for size in (limit, 0))
    held: list[int] = []

    class Watched:
        codec, budget = tight.codec, tight.budget

        def generate(
            self, conversations: Sequence[Conversation], *, max_new_tokens: int = 1024, logprobs: bool = False
        ) -> list[Reply]:
            replies = tight.generate(conversations, max_new_tokens=max_new_tokens, logprobs=logprobs)
            held.append(tight.prefixes.held)
            return replies

    same(run(Watched(), play()), run(anew, play()))
    assert 0 < max(held) <= limit and tight.prefixes.counts["not_kept"] > 0


def test_the_memory_of_another_engine_is_not_taken(parts: Parts) -> None:
    memory = Memory()
    opening, _ = play()[0]
    Transformers(*parts).generate([Conversation(opening, memory=memory)], max_new_tokens=3)
    other = Transformers(*parts)
    other.generate([Conversation(opening, memory=memory)], max_new_tokens=3)
    assert other.prefixes.counts["tokens_reused"] == 0


def test_grammar_and_repeat_guard_hold_in_later_turns(parts: Parts) -> None:
    model, processor = parts
    grammar = processor.codec.grammar(kind="hbb", categories=["plane", "ship"])
    scenes = play()[:3]
    bound = [Transformers(model, processor, grammar=grammar, max_objects=2, reuse_bytes=size) for size in (2 << 30, 0)]

    def answers(engine: Transformers) -> list[Reply]:
        return flat(run(engine, scenes, 2))

    assert [reply.text for reply in answers(bound[0])] == [reply.text for reply in answers(bound[1])]
    token = processor.tokenizer.convert_tokens_to_ids("5")
    stuck = Transformers(model, processor, generation={"sequence_bias": {(token,): 1000.0}})
    memory, (opening, more) = Memory(), scenes[0]
    for turns in (opening, [*opening, *more("5" * 128)]):
        (reply,) = stuck.generate([Conversation(turns, memory=memory)], max_new_tokens=400)
        assert (reply.finish, reply.text) == ("repeat", "5" * 128)
    assert stuck.prefixes.counts["images_reused"] == 1 and stuck.prefixes.counts["tokens_reused"] > 128


def test_options_that_need_a_cache_of_their_own_read_every_turn_anew(parts: Parts) -> None:
    scenes = play()[:2]
    for options in ({"cache_implementation": "static"}, {"num_beams": 2}, {"use_cache": False}):
        engine = Transformers(*parts, generation=options, repeat_guard=None)
        asked = [Conversation(opening, memory=Memory()) for opening, _ in scenes]
        engine.generate(asked, max_new_tokens=2)
        assert engine.prefixes.held == 0
    with pytest.raises(ValueError, match="reuse_bytes is -1"):
        Transformers(*parts, reuse_bytes=-1)


def test_half_precision_is_reused_as_it_is(parts: Parts) -> None:
    model, processor = parts
    engine = Transformers(model.to(torch.bfloat16), processor)
    try:
        run(engine, play()[:2], 2)
    finally:
        model.to(torch.float32)
    assert engine.prefixes.counts["images_reused"] == 3


@pytest.mark.parametrize("layout", ["reference", "native"])
def test_a_chain_answers_the_same_with_and_without_reuse(parts: Parts, layout: Any) -> None:
    """The model is made to zoom: where it is asked with the tools, the first tokens are those of a call."""
    model, processor = parts
    tokenizer = processor.tokenizer
    wanted = [tokenizer(call(*box))["input_ids"] for box in ([10, 20, 90, 110], [30, 10, 120, 100], [5, 5, 60, 70])]
    images, begins = processor.image_token_id, tokenizer("<|im_start|>assistant\n")["input_ids"]
    first = picture(700, 500, 0)
    scenes = [(first, "What colour is the roof?"), ([picture(300, 900, 9), first], "ship?")]

    def engine(size: int) -> Transformers:
        def allowed(row: int, ids: torch.Tensor) -> list[int]:
            del row
            looks = int(((ids[1:] == images) & (ids[:-1] != images)).sum()) - 1
            done = ids[int((ids == begins[0]).nonzero()[-1]) + len(begins) :].tolist()
            script = [*wanted[looks % 3], tokenizer.convert_tokens_to_ids("<|im_end|>")]
            held = looks < 2 and len(done) < len(script) and done == script[: len(done)]
            return [script[len(done)]] if held else list(range(len(tokenizer)))

        return Transformers(model, processor, 3, reuse_bytes=size, generation={"prefix_allowed_tokens_fn": allowed})

    reusing, anew = engine(2 << 30), engine(0)
    ours, theirs = (
        ZoomChain(one, layout=layout, max_steps=2, max_new_tokens=24).ask_many(scenes) for one in (reusing, anew)
    )
    for one, other in zip(ours, theirs, strict=True):
        assert [step.text for step in one.steps] == [step.text for step in other.steps]
        assert (one.answer, one.windows, one.stopped) == (other.answer, other.windows, other.stopped)
    assert sum(len(one.crops) for one in ours) == 3
    assert reusing.prefixes.counts["images_reused"] == 5 and reusing.prefixes.held == 0


def test_the_embedded_model_answers_the_same_and_reads_each_image_once() -> None:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    from rscovlm.scenes import make_zoom_scene

    model = AutoModelForImageTextToText.from_pretrained(embedded_model()).eval()
    processor = AutoProcessor.from_pretrained(embedded_model())
    asked = [(scene.image, scene.question) for scene in (make_zoom_scene(seed) for seed in range(3))]
    reusing, anew = (Transformers(model, processor, 2, reuse_bytes=size) for size in (2 << 30, 0))
    ours, theirs = (ZoomChain(engine).ask_many(asked) for engine in (reusing, anew))
    assert [[step.text for step in one.steps] for one in ours] == [[step.text for step in one.steps] for one in theirs]
    assert all(one.zoomed for one in ours)
    assert reusing.prefixes.counts["images_reused"] == 3 and reusing.prefixes.held == 0
