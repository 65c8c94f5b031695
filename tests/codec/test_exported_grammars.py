"""What a codec writes lies in its regular expression, EBNF and JSON Schema; what is broken lies in none of them.

The oracles are other people's readers: Python's `re`, llguidance (one of vLLM's back ends) and jsonschema; xgrammar (the
default one) and outlines' automata where they are installed.
"""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Callable
from typing import Any

import jsonschema
import numpy as np
import pytest

from rscovlm.codec import Codec
from rscovlm.codec.grammar import choice_grammar, padded
from rscovlm.codec.writing import STYLES, Style
from rscovlm.engines.automaton import Automaton
from rscovlm.geometry import Boxes, Frame, Objects
from rscovlm.geometry.kinds import Kind

KINDS: tuple[Kind, ...] = ("hbb", "obb", "quad")
CODECS = [
    *(Codec.preset(name) for name in ("rscovlm-v1", "qwen2.5-vl", "qwen3-vl")),
    Codec("percent", space="0-100", decimals=2),
    Codec("share", space="0-1", decimals=3),
    Codec("half pixels", decimals=1, none='Nothing "here".', hbb_key='the "box"'),
]
CLASSES = ["ship", "storage tank", 'A/C "old" (2)', "桥 \\ x", "a|b*[c]"]
SHORT = ["ship", "storage-tank", "baseball_diamond", "Expressway-Toll-Station"]
Reader = Callable[[str], bool]
# Random object sets for each of 72 grammars.
SETS = int(os.environ.get("RSCOVLM_TEST_SETS", "30"))


def scene(rng: np.random.Generator, kind: Kind, labels: list[str], frame: Frame) -> Objects:
    count = int(rng.integers(0, 6))
    size = np.array([frame.width, frame.height])
    if kind == "quad":
        rows = (rng.uniform(-0.1, 1.1, (count, 4, 2)) * size).reshape(count, 8)
    else:
        low = rng.uniform(-0.1, 0.9, (count, 2)) * size
        side = rng.uniform(0, 1.4, (count, 2)) * size
        rows = np.hstack([low, low + side])
        if kind == "obb":
            rows = np.hstack([low, np.sort(side)[:, ::-1], rng.uniform(-90, 90, (count, 1))])
    return Objects(Boxes(rows, kind, frame), tuple(rng.choice(labels, count).tolist()))


def llguidance_reader(grammar: str) -> Reader:
    """Read bytes as tokens with an llguidance grammar."""
    llguidance = pytest.importorskip("llguidance", reason="llguidance is not installed")
    tokenizer = llguidance.LLTokenizer("byte")
    first = llguidance.LLMatcher(tokenizer, grammar)
    assert not first.is_error(), first.get_error()

    def reads(text: str) -> bool:
        matcher, data = first.deep_copy(), list(text.encode())
        return bool(
            matcher.validate_tokens(data) == len(data) and matcher.consume_tokens(data) and matcher.is_accepting()
        )

    return reads


def ebnf_reader(ebnf: str) -> Reader:
    llguidance = pytest.importorskip("llguidance", reason="llguidance is not installed")
    return llguidance_reader(llguidance.grammar_from("grammar", ebnf))  # as vLLM calls it


def xgrammar_reader(ebnf: str) -> Reader:
    xgrammar = pytest.importorskip("xgrammar", reason="xgrammar is not installed; it wants torch with triton")
    vocabulary = [bytes([byte]) for byte in range(256)] + [b"<end>"]
    about = xgrammar.TokenizerInfo(vocabulary, vocab_type=xgrammar.VocabType.RAW, stop_token_ids=[256])
    compiled = xgrammar.GrammarCompiler(about).compile_grammar(ebnf)

    def reads(text: str) -> bool:
        matcher = xgrammar.GrammarMatcher(compiled)
        return bool(matcher.accept_string(text) and matcher.accept_token(256))

    return reads


def mutated(text: str, rng: random.Random) -> str:
    place = rng.randrange(len(text) + 1)
    kind = rng.randrange(5)
    if kind == 0:
        return text[:place]
    if kind == 1:
        return text[:place] + text[place + 1 :]
    if kind == 2:
        return text[:place] + rng.choice(',0-9 "]}[\n\tx.`') + text[place:]
    if kind == 3:
        return text[:place] + rng.choice(',0-9 "]}[\n\tx.`') + text[place + 1 :]
    return text[:place] + text[max(0, place - rng.randrange(1, 12)) :]


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
@pytest.mark.parametrize("style", STYLES)
def test_thousands_of_answers_and_their_mutations(codec: Codec, style: Style) -> None:
    rng, chance = np.random.default_rng(7), random.Random(7)
    for kind in KINDS:
        for labels, categories in ((CLASSES, CLASSES), (SHORT, None)):
            grammar = codec.grammar(kind=kind, style=style, categories=categories)
            expected = re.compile(grammar.pattern)
            readers = [ebnf_reader(grammar.ebnf())]
            for _ in range(SETS):
                frame = Frame(int(rng.integers(28, 3000)), int(rng.integers(28, 20_000)))
                text = codec.encode(scene(rng, kind, labels, frame), frame, kind=kind, style=style)
                assert expected.fullmatch(text), text
                assert all(reads(text) for reads in readers), text
                assert (
                    len(text.encode()) <= grammar.around + grammar.longest * text.count(grammar.end)
                    or text == codec.none
                )
                for _ in range(3):
                    other = mutated(text, chance)
                    known = bool(expected.fullmatch(other))
                    assert all(reads(other) == known for reads in readers), other
                    if known:  # still an answer: another digit, one box less
                        decoded = codec.decode(other, frame, kind=kind, categories=categories)
                        assert not decoded.dropped, other


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("kind", KINDS)
def test_whatever_the_grammar_lets_through_is_read(kind: Kind, style: Style) -> None:
    """Walks at random through the automaton, as an untrained model does."""
    chance = random.Random(5)
    for codec in CODECS[::2]:
        for categories in (CLASSES, None):
            automaton = Automaton(codec.regex(kind=kind, style=style, categories=categories, most=2))
            alphabet = sorted(
                set("".join(CLASSES)) | set(json.dumps(CLASSES)) | set(map(chr, range(9, 127))) | set(codec.none)
            )
            for _ in range(2):
                text, state = "", automaton.start
                while not (automaton.accepts(state) and chance.random() < 0.5):
                    chance.shuffle(alphabet)
                    one = next((one for one in alphabet if automaton.step(state, one)), "")
                    if not one:
                        break
                    state = automaton.step(state, one)
                    text += one
                assert automaton.accepts(state)
                decoded = codec.decode(text, Frame(900, 700), kind=kind, categories=categories)
                assert decoded.none == (text == codec.none) == (not len(decoded.objects)), text
                assert not decoded.dropped, text


def test_xgrammar_agrees() -> None:
    chance, rng = random.Random(2), np.random.default_rng(2)
    for style in STYLES:
        for kind in KINDS:
            codec = CODECS[0]
            ebnf = codec.ebnf(kind=kind, style=style, categories=CLASSES, most=3)
            reads, expected = (
                xgrammar_reader(ebnf),
                re.compile(codec.regex(kind=kind, style=style, categories=CLASSES, most=3)),
            )
            for _ in range(50):
                text = codec.encode(scene(rng, kind, CLASSES, Frame(504, 504)), Frame(504, 504), kind=kind, style=style)
                assert (
                    reads(text) == bool(expected.fullmatch(text)) == (text.count(codec.grammar(style=style).end) <= 3)
                )
                other = mutated(text, chance)
                assert reads(other) == bool(expected.fullmatch(other))


@pytest.mark.parametrize("style", STYLES)
def test_outlines_reads_the_expression(style: Style) -> None:
    core = pytest.importorskip("outlines_core", reason="outlines_core is not installed")
    codec = CODECS[2]
    pattern = codec.regex(kind="hbb", style=style, categories=["ship", "A/C (old)"], most=2)
    vocabulary = core.Vocabulary(128, {chr(byte): [byte] for byte in range(128)})
    index = core.Index(pattern, vocabulary)

    def reads(text: str) -> bool:
        state = index.get_initial_state()
        for one in text:
            state = None if state is None else index.get_next_state(state, ord(one))
        return state is not None and index.is_final_state(state)

    box = Boxes([[1, 2, 1000, 40]], "hbb", Frame(1000, 1000))
    one = codec.encode(Objects(box, ("A/C (old)",)), Frame(1000, 1000), style=style)
    assert reads(one) and reads(codec.none) and not reads(one[:-1]) and not reads(one.replace("1000", "1001"))


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
def test_the_schema_holds_for_answers_in_json(codec: Codec) -> None:
    rng = np.random.default_rng(11)
    for kind in KINDS:
        for labels, categories in ((CLASSES, CLASSES), (SHORT, None)):
            schema = codec.json_schema(kind=kind, style="json", categories=categories, largest=30_000)
            validator: Any = jsonschema.Draft202012Validator
            validator.check_schema(schema)
            valid = validator(schema).is_valid
            assert (
                valid([]) and codec.decode("[]", Frame(9, 9)).none and codec.decode('{"objects": []}', Frame(9, 9)).none
            )
            for _ in range(30):
                frame = Frame(int(rng.integers(28, 3000)), int(rng.integers(28, 20_000)))
                text = codec.encode(scene(rng, kind, labels, frame), frame, kind=kind, style="json")
                if text == codec.none:
                    continue
                answer = json.loads(text.removeprefix("```json").removesuffix("```"))
                assert valid(answer), text
                bare, wrapped = (
                    codec.decode(json.dumps(one), frame, kind=kind) for one in (answer, {"objects": answer})
                )
                fenced = codec.decode(text, frame, kind=kind)
                assert bare.problems == wrapped.problems == fenced.problems
                for other in (bare, wrapped):
                    np.testing.assert_array_equal(other.objects.boxes.coords, fenced.objects.boxes.coords)
                    assert other.objects.labels == fenced.objects.labels
                box_key = next(key for key in answer[0] if key != codec.label_key)
                numbers = answer[0][box_key]
                label = {codec.label_key: answer[0][codec.label_key]}
                for broken in (
                    answer[0],
                    [{box_key: numbers[:-1], **label}],
                    [{box_key: [*numbers, 0], **label}],
                    [{box_key: ["1", *numbers[1:]], **label}],
                    [{box_key: [-1, *numbers[1:]], **label}],
                    [{box_key: [10**6, *numbers[1:]], **label}],
                    [{box_key: numbers}],
                    [{**answer[0], "score": 1}],
                    [{box_key: numbers, codec.label_key: ""}],
                    [{box_key: numbers, codec.label_key: "{no such class}"}],
                ):
                    assert not valid(broken), broken
    with pytest.raises(ValueError, match="style='json'"):
        CODECS[0].json_schema()
    assert CODECS[1].json_schema(most=5)["maxItems"] == 5


def test_the_schema_is_one_that_constrained_decoders_take() -> None:
    llguidance = pytest.importorskip("llguidance", reason="llguidance is not installed")
    for kind in KINDS:
        schema = CODECS[1].json_schema(kind=kind, categories=CLASSES, most=2)
        reads = llguidance_reader(llguidance.LLMatcher.grammar_from_json_schema(schema))
        frame = Frame(500, 500)
        objects = scene(np.random.default_rng(3), kind, CLASSES, frame)[:2]
        answer = (
            CODECS[1].encode(objects, frame, kind=kind, style="json").removeprefix("```json\n").removesuffix("\n```")
        )
        assert reads(answer) and not reads(answer.replace("]", ", 5]", 1))


@pytest.mark.parametrize(
    ("categories", "style", "words"),
    [
        ("ship", "plain", "is|are 'ship'"),
        ([], "plain", "at least one"),
        (["ship", ""], "json", "is empty"),
        (["two\nlines"], "plain", "line break"),
        ([" ship"], "plain", "space at an end"),
        (["1,2,3,4 ship"], "plain", "coordinates|another object"),
        (["{ship}"], "json", "brace"),
        (["tab\there"], "plain", "control character"),
        ([3], "json", "list of at least one name"),
    ],
)
def test_categories_that_cannot_be_told_apart_are_refused(categories: Any, style: Style, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        CODECS[0].grammar(kind="hbb", style=style, categories=categories)
    with pytest.raises(ValueError, match="largest is 0"):
        CODECS[0].grammar(largest=0)


def test_so_many_objects_fit_into_so_many_tokens() -> None:
    grammar = CODECS[0].grammar(kind="quad", style="json", categories=["ship"], largest=504)
    for tokens in (200, 512, 4096):
        most = grammar.most(tokens, 1000)
        assert grammar.around + most * grammar.longest < tokens <= grammar.around + (most + 1) * grammar.longest + 1
    assert grammar.most(10**6, 200) == 200
    with pytest.raises(ValueError, match="max_new_tokens is 20; raise it"):
        grammar.most(20, 200)
    with pytest.raises(ValueError, match="most is 0"):
        grammar.regex(0)
    choice = choice_grammar(["harbor", "storage tank"])
    assert choice.most(20, 200) == 1 and re.fullmatch(choice.pattern, "storage tank")


@pytest.mark.parametrize("most", [0, 7, 9, 10, 19, 29, 90, 99, 100, 199, 255, 840, 899, 999, 1000, 1023, 1999])
def test_padded_numbers_are_those_up_to_the_largest(most: int) -> None:
    """Every number of the width, by trying each."""
    for digits in (len(str(most)), len(str(most)) + 1):
        pattern = re.compile(padded(most, digits).regex)
        read = [number for number in range(10**digits) if pattern.fullmatch(f"{number:0{digits}}")]
        assert read == list(range(most + 1))
        assert not pattern.fullmatch("0" * (digits + 1)) and not pattern.fullmatch("0" * (digits - 1))
    # Of numbers up to all nines nothing is told apart, which would only make a decoder's automaton larger.
    assert padded(999, 3).regex == "[0-9][0-9]{2}" and padded(299, 4).regex == "0[0-2][0-9]{2}"
