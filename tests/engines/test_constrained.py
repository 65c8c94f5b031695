"""With a grammar every answer can be read, even an untrained model's."""

import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rscovlm.codec import Codec
from rscovlm.engines import Conversation, Transformers
from rscovlm.engines.automaton import Automaton
from rscovlm.geometry import Boxes, Frame, Objects
from rscovlm.processing.resolution import PixelBudget
from rscovlm.testing import tiny_checkpoint

FRAME = Frame(504, 504)
CLASSES = ["ship", "storage tank", "A/C (old)"]


@pytest.mark.parametrize("preset", ["rscovlm-v1", "qwen3-vl"])
@pytest.mark.parametrize("style", ["plain", "json"])
@pytest.mark.parametrize("kind", ["hbb", "obb", "quad"])
def test_what_a_codec_writes_is_in_its_grammar(preset: str, style: Any, kind: Any) -> None:
    rng = np.random.default_rng(3)
    codec = Codec.preset(preset)
    for categories in (CLASSES, None):
        pattern = codec.regex(kind=kind, style=style, categories=categories)
        automaton = Automaton(pattern)
        for count in range(5):
            low = rng.uniform(0, 400, (count, 2))
            boxes = Boxes(np.hstack([low, low + rng.uniform(5, 90, (count, 2))]), "hbb", FRAME)
            labels = tuple(rng.choice(CLASSES[: 3 if categories else 2], count).tolist())
            text = codec.encode(Objects(boxes, labels), FRAME, kind=kind, style=style)
            assert re.fullmatch(pattern, text)
            assert automaton.accepts(automaton.walk(automaton.start, text))
            assert not automaton.accepts(automaton.walk(automaton.start, text[:-1]))


@pytest.mark.parametrize(
    "pattern", ["a(?:b|c)*d", "[0-9]{2,3}x?", "(?:0|[1-9][0-9]{0,3}),-?1+", r"\[a\]\.(?:x{2}){1,2}"]
)
def test_the_automaton_agrees_with_python(pattern: str) -> None:
    rng, automaton = random.Random(1), Automaton(pattern)
    for _ in range(4000):
        text = "".join(rng.choices("abcd019x,-[].", k=rng.randint(0, 6)))
        assert automaton.accepts(automaton.walk(automaton.start, text)) == bool(re.fullmatch(pattern, text)), text


@pytest.mark.parametrize(
    ("style", "kind", "tiles"),
    [pytest.param("plain", "hbb", 1000, marks=pytest.mark.slow), ("json", "quad", 40), ("plain", "obb", 40)],
)
def test_no_tile_of_an_untrained_model_fails_to_parse(tmp_path: Path, style: Any, kind: Any, tiles: int) -> None:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    import rscovlm  # noqa: F401  registers the processor

    folder = tiny_checkpoint(tmp_path, budget=PixelBudget(56 * 56, 56 * 56))
    model: Any = AutoModelForImageTextToText.from_pretrained(folder)
    processor = AutoProcessor.from_pretrained(folder)
    codec = processor.codec
    grammar = codec.grammar(kind=kind, style=style, categories=CLASSES[:2])
    sampling = {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0}
    engine = Transformers(model.eval(), processor, batch_size=250, grammar=grammar, max_objects=3, generation=sampling)
    rng = np.random.default_rng(0)
    asked = []
    for _ in range(tiles):
        picture = Image.fromarray(rng.integers(0, 255, (56, 56, 3), dtype=np.uint8))
        asked.append(Conversation([{"role": "user", "content": [{"type": "image", "image": picture}]}]))
    replies = engine.generate(asked, max_new_tokens=500)
    decoded = [codec.decode(reply.text, Frame(10_000, 10_000), kind=kind, categories=CLASSES) for reply in replies]
    assert {reply.finish for reply in replies} == {"stop"}
    assert all(re.fullmatch(grammar.pattern, reply.text) for reply in replies)
    assert sum(one.dropped for one in decoded) == 0
    assert all(one.none or 1 <= len(one.objects) <= 3 for one in decoded)
    # Short of tokens, the object begun is the last.
    few = engine.generate(asked[:10], max_new_tokens=2 * grammar.longest)
    assert all(re.fullmatch(grammar.pattern, reply.text) for reply in few)
