"""Tags that are special tokens are written as these under every dialect, never spelt, and every answer can be read."""

import random
import re
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rscovlm.codec.dialect import Dialect, presets
from rscovlm.codec.tags import Field, pieces
from rscovlm.engines import Conversation, Transformers
from rscovlm.engines.automaton import Automaton
from rscovlm.engines.constrained import Masks, Vocabulary
from rscovlm.engines.spelling import Spelling
from rscovlm.geometry import Boxes, Frame, Objects
from rscovlm.processing.resolution import PixelBudget
from rscovlm.processing.tokenizer import build_tokenizer
from rscovlm.testing import tiny_checkpoint

FRAME = Frame(1008, 756)
NAMES = ("ship", "storage tank", "plane")
# What dialects write, whatever their checkpoints' tokenizers have.
TAGGED = [name for name in presets() if Dialect.preset(name).codec.style == "tagged"]
OTHERS = [name for name in presets() if name not in TAGGED]


def tags_of(name: str) -> list[str]:
    """Return every text in angle brackets that a dialect's templates write, one for each number where one stands there."""
    tags = Dialect.preset(name).codec.tags
    if tags is None:
        return []
    found: set[str] = set()
    for template in (tags.label, tags.boxes, *map(tags.template, tags.kinds)):
        places = {part.name: part.digits for part in pieces(template) if isinstance(part, Field)} if template else {}
        text = "".join(part if isinstance(part, str) else f"{{{part.name}}}" for part in pieces(template))
        for tag in re.findall(r"<[^<>\s]+>", text):
            inside = re.search(r"\{(\w+)\}", tag)
            if inside is None:
                found.add(tag)
            elif inside[1] not in ("label", "boxes"):
                digits = places[inside[1]]
                found |= {tag.replace(inside[0], str(number).zfill(digits)) for number in range(1024)}
    return sorted(found)


def answers(name: str, most: int = 4) -> list[tuple[str, Any]]:
    """Return answers that training writes in each kind of a dialect, with the grammar they are held to."""
    codec, rng = Dialect.preset(name).codec, np.random.default_rng(0)
    names = NAMES if codec.labelled else NAMES[:1]
    made = []
    for kind in (one for one in codec.kinds if one != "point"):
        grammar = codec.grammar(kind=kind, categories=list(names), largest=1008)
        for number in (0, 1, most):
            first = rng.uniform(5, 600, (number, 2))
            corners = np.hstack([first, first + rng.uniform(20, 120, (number, 2))])
            boxes = Boxes(corners.reshape(-1, 4), "hbb", FRAME).as_kind(kind)
            labels = tuple(names[place] for place in rng.integers(len(names), size=number))
            made.append((codec.encode(Objects(boxes, labels), FRAME, kind=kind), grammar))
    return made


def tokenizer_with(texts: list[str]) -> Any:
    from tokenizers import AddedToken

    found = build_tokenizer(["find the plane, ship, storage tank <|box_start|> <ref> 120"])
    found.add_tokens([AddedToken(text, normalized=False, special=True) for text in texts])
    return found


def first_refused(masks: Masks, tokens: list[int]) -> int | None:
    """Return where a row of tokens leaves the grammar, None where it is a whole answer."""
    place = masks.start
    for position, token in enumerate(tokens):
        if token not in masks.allowed(place, 99).tolist():
            return position
        place = masks.after(place, token)
    return None if masks.accepts(place) else len(tokens)


@pytest.mark.parametrize("name", [*TAGGED, *OTHERS])
def test_the_tokens_that_training_writes_are_accepted_and_no_others_for_them(name: str) -> None:
    special, spelt = tokenizer_with(tags_of(name)), tokenizer_with([])
    found = tags_of(name)
    for tokenizer in (special, spelt):
        vocabulary = Vocabulary(tokenizer, [tokenizer.eos_token_id])
        kept: dict[str, Masks] = {}
        for text, grammar in answers(name):
            masks = kept.setdefault(grammar.pattern, Masks(grammar, vocabulary, 5))
            tokens = tokenizer(text)["input_ids"]
            assert first_refused(masks, tokens) is None, text
            tagged = [tag for tag in found if tag in text]
            if tokenizer is special and tagged:
                assert set(special.convert_tokens_to_ids(tagged)) <= set(tokens)
                # The same text in ordinary tokens, as a tokenizer without the tags has it.
                assert first_refused(masks, spelt(text)["input_ids"]) is not None, text


def test_published_families_of_special_tokens_are_among_them() -> None:
    assert {name for name in TAGGED if tags_of(name)} >= {"qwen2-vl", "rex-omni", "internvl", "paligemma", "florence-2"}
    assert "<|box_start|>" in tags_of("qwen2-vl") and "<287>" in tags_of("rex-omni")
    assert "<loc0097>" in tags_of("paligemma") and "<loc_97>" in tags_of("florence-2")
    for name, token in (("paligemma", "<loc0097>"), ("rex-omni", "<287>"), ("qwen2-vl", "<|box_end|>")):
        codec = Dialect.preset(name).codec
        assert codec.written_in([token]) and not codec.written_in(["<|im_end|>", "<|vision_start|>"])


@pytest.mark.parametrize("seed", range(30))
def test_what_may_be_spelt_is_what_can_be_finished_without_a_token(seed: int) -> None:
    """Against brute force: all texts of a small language, written in every way as characters and added tokens."""
    rng = random.Random(seed)
    tokens = {900 + n: "".join(rng.choices("ab<", k=rng.randint(1, 3))) for n in range(rng.randint(1, 3))}
    words = ["".join(rng.choices("ab<", k=rng.randint(1, 5))) for _ in range(4)]
    automaton = Automaton(f"(?:{'|'.join(words)})")
    spelling = Spelling(automaton, tokens)

    def ways(text: str, spelt: str) -> list[tuple[Any, ...]]:
        """Return the ways to write a text whose spelt pieces hold no added token."""
        if any(one in spelt for one in tokens.values()):
            return []
        if not text:
            return [()]
        found = [(text[0], *rest) for rest in ways(text[1:], spelt + text[0])]
        for number, one in tokens.items():
            if text.startswith(one):
                found += [(number, *rest) for rest in ways(text[len(one) :], "")]
        return found

    allowed = {way for word in words for way in ways(word, "")}
    reached = set()
    waiting: list[tuple[tuple[Any, ...], Any]] = [((), spelling.start)]
    while waiting:
        way, place = waiting.pop()
        if automaton.accepts(place[0]):
            reached.add(way)
        following: list[tuple[Any, Any]] = [(letter, spelling.step(place, letter)) for letter in "ab<"]
        following += [(number, spelling.take(place, text)) for number, text in spelling.tokens.items()]
        live = [((*way, item), after) for item, after in following if after is not None and after[0]]
        assert live or automaton.accepts(place[0]), "a dead end"
        waiting += live
    assert reached == allowed


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    """An untrained model whose tokenizer has the tags of every dialect."""
    import rscovlm

    folder: Path = tmp_path_factory.mktemp("tags")
    every = sorted({tag for name in TAGGED for tag in tags_of(name)})
    tiny_checkpoint(folder, budget=PixelBudget(56 * 56, 56 * 56), special_tokens=every)
    return tuple(rscovlm.load(folder, device="cpu"))


@pytest.mark.parametrize("name", TAGGED)
def test_an_untrained_model_writes_tags_as_tokens_and_can_be_read(loaded: tuple[Any, Any], name: str) -> None:
    dialect = Dialect.preset(name)
    codec = dialect.codec
    sampling = {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0}
    names = list(NAMES if codec.labelled else NAMES[:1])
    tags = set(tags_of(name))
    picture = Image.new("RGB", (56, 56), (9, 99, 199))
    turn = [{"role": "user", "content": [{"type": "image", "image": picture}]}]
    kinds: list[Any] = [kind for kind in codec.kinds if kind != "point"] or ["point"]
    for kind, _ in product(kinds, range(2)):
        grammar = codec.grammar(kind=kind, categories=names, largest=1008)
        engine = Transformers(*loaded, dialect=dialect, max_objects=3, generation=sampling)
        asked = [Conversation(turn, grammar=grammar) for _ in range(4)]
        for reply in engine.generate(asked, max_new_tokens=6 * grammar.longest, logprobs=True):
            assert reply.finish == "stop" and re.fullmatch(grammar.regex(3), reply.text), reply.text
            read = codec.decode(reply.text, FRAME, categories=names)
            assert not read.dropped and not set(read.problems) - {"inverted", "outside", "degenerate", "duplicate"}
            assert read.none or len(read.objects) or read.points is not None
            held = set(re.findall(r"<[^<>\s]+>", reply.text)) & tags
            assert held <= set(reply.token_texts or ()), held
