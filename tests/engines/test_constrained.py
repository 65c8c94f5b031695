"""With a grammar every answer can be read, even an untrained model's."""

import os
import random
import re
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rscovlm.codec import Codec
from rscovlm.codec.grammar import Grammar, choice_grammar
from rscovlm.codec.writing import Style
from rscovlm.engines import Conversation, Transformers
from rscovlm.engines.automaton import Automaton
from rscovlm.engines.constrained import as_bytes
from rscovlm.geometry import Frame
from rscovlm.geometry.kinds import Kind
from rscovlm.processing.resolution import PixelBudget
from rscovlm.tasks import classify, detect, ground
from rscovlm.testing import tiny_checkpoint

SAMPLING = {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0}
CLASSES = ["ship", "storage tank", "A/C (old)"]
# The figure of the promise is 1000; it takes a minute.
TILES = int(os.environ.get("RSCOVLM_TEST_TILES", "40"))


@pytest.mark.parametrize(
    "pattern", ["a(?:b|c)*d", "[0-9]{2,3}x?", "(?:0|[1-9][0-9]{0,3}),-?1+", r"\[a\]\.(?:x{2}){1,2}"]
)
def test_the_automaton_agrees_with_python(pattern: str) -> None:
    rng, automaton = random.Random(1), Automaton(pattern)
    for _ in range(4000):
        text = "".join(rng.choices("abcd019x,-[].", k=rng.randint(0, 6)))
        assert automaton.accepts(automaton.walk(automaton.start, text)) == bool(re.fullmatch(pattern, text)), text


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    """An untrained model that sees 56 x 56 pixels, and its processor."""
    from transformers import AutoModelForImageTextToText, AutoProcessor

    import rscovlm  # noqa: F401  registers the processor

    folder = tiny_checkpoint(tmp_path_factory.mktemp("tiny"), budget=PixelBudget(56 * 56, 56 * 56))
    model: Any = AutoModelForImageTextToText.from_pretrained(folder)
    return model.eval(), AutoProcessor.from_pretrained(folder)


def pictures(count: int) -> list[Image.Image]:
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 255, (56, 56, 3), dtype=np.uint8)) for _ in range(count)]


def shown(picture: Image.Image, grammar: Grammar | None = None) -> Conversation:
    return Conversation([{"role": "user", "content": [{"type": "image", "image": picture}]}], grammar=grammar)


@pytest.mark.parametrize(
    ("style", "kind", "tiles"),
    [("plain", "hbb", TILES), ("json", "quad", TILES // 2), ("plain", "obb", TILES // 2)],
)
def test_no_tile_of_an_untrained_model_fails_to_parse(
    loaded: tuple[Any, Any], style: Style, kind: Kind, tiles: int
) -> None:
    model, processor = loaded
    codec = processor.codec
    grammar = codec.grammar(kind=kind, style=style, categories=CLASSES[:2])
    engine = Transformers(model, processor, batch_size=250, grammar=grammar, max_objects=3, generation=SAMPLING)
    asked = [shown(picture) for picture in pictures(tiles)]
    replies = engine.generate(asked, max_new_tokens=500)
    decoded = [codec.decode(reply.text, Frame(10_000, 10_000), kind=kind, categories=CLASSES) for reply in replies]
    assert {reply.finish for reply in replies} == {"stop"}
    assert all(re.fullmatch(grammar.regex(3), reply.text) for reply in replies)
    assert sum(one.dropped for one in decoded) == 0
    assert all(one.none or 1 <= len(one.objects) <= 3 for one in decoded)
    # Short of tokens, the object begun is the last.
    few = engine.generate(asked[:10], max_new_tokens=2 * grammar.longest)
    assert all(re.fullmatch(grammar.pattern, reply.text) for reply in few)


def test_each_conversation_of_a_batch_has_its_own_grammar(loaded: tuple[Any, Any]) -> None:
    model, processor = loaded
    engine = Transformers(model, processor, max_objects=2, generation=SAMPLING)
    names = [["ship"], ["\u6865 bridge"], None]  # a character of three tokens
    wanted = [None if one is None else processor.codec.grammar(kind="hbb", categories=one) for one in names]
    wanted.append(choice_grammar(["red", "rede", "\u6865"]))
    replies = engine.generate([shown(*one) for one in zip(pictures(4), wanted, strict=True)], max_new_tokens=90)
    for reply, grammar in zip(replies, wanted, strict=True):
        assert grammar is None or re.fullmatch(grammar.pattern, reply.text), reply.text
    plain = Transformers(model, processor, generation=SAMPLING | {"do_sample": False})
    free = plain.generate([shown(pictures(1)[0])], max_new_tokens=20)[0].text
    mixed = plain.generate([shown(pictures(1)[0]), shown(pictures(1)[0], wanted[0])], max_new_tokens=20)
    assert mixed[0].text == free  # a neighbour with a grammar changes nothing


def test_detect_ground_and_classify_are_held_to_what_was_asked(loaded: tuple[Any, Any]) -> None:
    engine = Transformers(*loaded, max_objects=2, generation=SAMPLING)
    image = Image.fromarray(np.random.default_rng(1).integers(0, 255, (100, 160, 3), dtype=np.uint8))
    forms: list[tuple[Kind, Style]] = [("quad", "plain"), ("hbb", "json")]
    for kind, style in forms:
        found = detect(engine, image, CLASSES, tile=80, kind=kind, style=style, constrained=True, max_new_tokens=400)
        read_badly = set(found.problems) - {"inverted", "outside", "no_area", "duplicate"}
        assert not read_badly and set(found.objects.labels) <= set(CLASSES) and len(found.tiles) == 6
    expressions = ["the red-roofed hangar", "a ship"]
    answers = ground(engine, image, expressions, constrained=True)
    assert all(answer.none or re.search("red-roofed hangar|a ship", answer.text) for answer in answers)
    assert not any(set(answer.problems) - {"inverted", "outside", "no_area"} for answer in answers)
    said = classify(engine, [image] * 3, ["Dry-Dock", "quay"], constrained=True)
    assert {one.label for one in said} <= {"Dry-Dock", "quay"} and all(one.text in ("dry dock", "quay") for one in said)
    with pytest.raises(ValueError, match="give classes too"):
        classify(engine, [image], constrained=True)
    with pytest.raises(ValueError, match="style='json'|another object"):
        detect(engine, image, ["1,2,3,4 x"], constrained=True)


def test_many_classes_compile_once_for_all_sizes() -> None:
    classes = [f"class {number} of {'many' * (1 + number % 7)}" for number in range(1000)]
    codec = Codec.preset("qwen2.5-vl")
    for style in ("plain", "json"):
        grammar = codec.grammar(style=style, categories=classes, largest=1008)
        automaton = Automaton(as_bytes(grammar.pattern))
        assert automaton.walk(automaton.start, "```json" if style == "json" else "1,2,30,40 class 7")
        assert codec.grammar(style=style, categories=classes, largest=900).pattern != grammar.pattern
        assert codec.grammar(style=style, categories=classes, largest=1700).pattern == grammar.pattern


@pytest.mark.parametrize("name", ["geochat", "internvl", "paligemma", "gemini"])
def test_answers_of_other_dialects_are_held_and_bounded(loaded: tuple[Any, Any], name: str) -> None:
    codec = Codec.preset(name)
    grammar = codec.grammar(kind="hbb", categories=["ship"])
    engine = Transformers(*loaded, max_objects=2, generation=SAMPLING)
    replies = engine.generate([shown(picture, grammar) for picture in pictures(2)], max_new_tokens=300)
    for reply in replies:
        assert re.fullmatch(grammar.regex(2), reply.text), reply.text
        assert len(codec.decode(reply.text, Frame(100, 100)).objects) <= 2
