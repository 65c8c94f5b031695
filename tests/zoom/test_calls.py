import json
import math
import random
import time

import jsonschema
import pytest

from rscovlm.zoom.calls import read_calls
from rscovlm.zoom.layouts import zoom_tool
from tests.zoom.scripted import call


def wrapped(arguments: str, name: str = "image_zoom_in") -> str:
    return f'<tool_call>\n{{"name": "{name}", "arguments": {arguments}}}\n</tool_call>'


def tagged(bbox: str, name: str = "image_zoom_in", key: str = "bbox") -> str:
    """Return a call as Qwen3.5's template writes it."""
    return f"<tool_call>\n<function={name}>\n<parameter={key}>\n{bbox}\n</parameter>\n</function>\n</tool_call>"


@pytest.mark.parametrize(
    "text",
    [
        call(1, 2, 30, 40),
        "Let me look. " + call(1, 2, 30, 40),
        call(1, 2, 30, 40).removesuffix("\n</tool_call>"),
        call(1, 2, 30, 40) + "\nand then I will answer",
        "<tool_call>```json\n" + call(1, 2, 30, 40)[12:-13] + "\n```</tool_call>",
        "```json\n" + call(1, 2, 30, 40)[12:-13] + "\n```",
        call(1, 2, 30, 40)[12:-13],
        wrapped('{"bbox": [1.0, 2e0, 30, 40]}'),
        tagged("[1, 2, 30, 40]"),
        "Let me look.\n\n" + tagged("[1.0, 2, 30, 40]").removesuffix("</function>\n</tool_call>"),
    ],
)
def test_a_good_call_is_read_wherever_it_stands(text: str) -> None:
    said = read_calls(text)
    assert said.call is not None and said.call.bbox == (1, 2, 30, 40)
    assert said.refusal is None and said.calls == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<tool_call></tool_call>", "malformed"),
        ("<tool_call>zoom please</tool_call>", "malformed"),
        ('<tool_call>{"name": "image_zoom_in"}</tool_call>', "malformed"),
        ("<tool_call>" + "[" * 100_000, "malformed"),
        ("<tool_call>[1, 2, 3, 4]</tool_call>", "malformed"),
        (wrapped('{"bbox": [1, 2, 3, ' + "9" * 5000 + "]}"), "malformed"),
        (wrapped('{"bbox": [\u0661, 2, 3, 4]}'), "malformed"),
        (wrapped('{"bbox": [1, 2, 3, 4]}') + wrapped("{}", "rm")[:0] + "", None),
        (wrapped('{"bbox": [1, 2, 3, 4]}', "image_zoom_out"), "unknown_tool"),
        (tagged("[1, 2, 3, 4]", "image_zoom_out"), "unknown_tool"),
        (tagged("[1, 2, 3, 4]", key="path"), "bad_arguments"),
        (tagged("[1, 2, 3]"), "bad_arguments"),
        (tagged("here"), "malformed"),
        (tagged("[" * 100_000), "malformed"),
        ("<tool_call><function=image_zoom_in</tool_call>", "malformed"),
        ("<tool_call><function=image_zoom_in></function></tool_call>", "bad_arguments"),
        (tagged("[4, 2, 3, 4]"), "inverted"),
        (wrapped('{"bbox": [1, 2, 3]}'), "bad_arguments"),
        (wrapped('{"bbox": [1, 2, 3, 4, 5]}'), "bad_arguments"),
        (wrapped('{"bbox": [[1, 2, 3, 4]]}'), "bad_arguments"),
        (wrapped('{"bbox": ["1", 2, 3, 4]}'), "bad_arguments"),
        (wrapped('{"bbox": [true, 2, 3, 4]}'), "bad_arguments"),
        (wrapped('{"bbox": [null, 2, 3, 4]}'), "bad_arguments"),
        (wrapped('{"bbox": "1, 2, 3, 4"}'), "bad_arguments"),
        (wrapped('{"bbox": [1, 2, 3, 4], "path": "x"}'), "bad_arguments"),
        (wrapped('{"bbox": [1, 2, 3, 4], "image": 1}'), "bad_arguments"),
        (wrapped('"1, 2, 3, 4"'), "bad_arguments"),
        (wrapped('{"bbox": [NaN, 2, 3, 4]}'), "not_finite"),
        (wrapped('{"bbox": [1, 2, Infinity, 4]}'), "not_finite"),
        (wrapped('{"bbox": [1, 2, 1e999, 4]}'), "not_finite"),
        (wrapped('{"bbox": [1, 2, 3, 1' + "0" * 400 + "]}"), "not_finite"),
        (wrapped('{"bbox": [3, 2, 1, 4]}'), "inverted"),
        (wrapped('{"bbox": [1, 4, 3, 2]}'), "inverted"),
        (wrapped('{"bbox": [1, 2, 1, 4]}'), "zero_area"),
    ],
)
def test_a_broken_call_has_a_reason(text: str, reason: str | None) -> None:
    said = read_calls(text)
    assert said.refusal == reason
    assert said.calls == 1 and (said.call is None) == (reason is not None)


@pytest.mark.parametrize(
    "text", ["", "Two ships.", '{"bbox_2d": [1, 2, 3, 4], "label": "ship"}', "1,2,3,4 plane\n", "```\nx\n```"]
)
def test_an_answer_is_no_call(text: str) -> None:
    said = read_calls(text)
    assert (said.text, said.call, said.refusal, said.calls) == (text.strip(), None, None, 0)


def test_the_first_of_several_calls_is_read_and_all_are_counted() -> None:
    said = read_calls("a " + call(1, 2, 3, 4) + " b " + call(5, 6, 7, 8))
    assert said.call is not None and said.call.bbox == (1, 2, 3, 4)
    assert said.calls == 2 and said.text.split() == ["a", "b"]


def test_an_image_can_be_named_where_there_are_several() -> None:
    said = read_calls(call(1, 2, 3, 4, image=2), several=True)
    assert said.call is not None and said.call.image == 2
    for image in ("0", "1.5", '"1"', "true", "null"):
        assert (
            read_calls(wrapped(f'{{"bbox": [1, 2, 3, 4], "image": {image}}}'), several=True).refusal == "bad_arguments"
        )


def test_acceptance_agrees_with_the_schema_on_random_arguments() -> None:
    random.seed(5)
    validator = jsonschema.Draft202012Validator(zoom_tool(several=True)["function"]["parameters"])
    atoms: list[object] = [0, 1, 7.5, -3, 1e308, "1", None, True, [], {}, [1, 2, 3, 4], [4, 4, 9, 9]]
    accepted = 0
    for _ in range(3000):
        arguments: object = {
            random.choice(["bbox", "bbox", "bbox", "box"]): random.choice(
                [
                    [random.choice(atoms[:6] + [8, 9]) for _ in range(random.choice([3, 4, 4, 4, 5]))],
                    random.choice(atoms),
                ]
            )
        }
        if isinstance(arguments, dict) and random.random() < 0.3:
            arguments[random.choice(["image", "label"])] = random.choice(atoms)
        said = read_calls(wrapped(json.dumps(arguments)), several=True)
        fits = said.call is not None or said.refusal in ("inverted", "zero_area", "not_finite")
        assert fits == validator.is_valid(arguments), arguments
        accepted += said.call is not None
    assert accepted > 50


def test_mutated_calls_never_raise_and_cost_linear_time() -> None:
    random.seed(11)
    good = call(10, 20, 300, 400)
    alphabet = '{}[]",:0123456789.eE+-naNIf \n<>/_`\u0661\u2028\x00'
    for _ in range(5000):
        letters = list(good)
        for _ in range(random.randint(1, 6)):
            place = random.randrange(len(letters))
            match random.randrange(3):
                case 0:
                    letters[place] = random.choice(alphabet)
                case 1:
                    del letters[place]
                case _:
                    letters.insert(place, random.choice(alphabet))
        said = read_calls("".join(letters))
        if said.call is not None:
            x1, y1, x2, y2 = said.call.bbox
            assert all(map(math.isfinite, said.call.bbox)) and x1 < x2 and y1 < y2
    start = time.perf_counter()
    for text in (" " * 10**6, "<tool_call>" * 10**5, "```" * 10**5, "<tool_call>" + " " * 10**6, "{" * 10**6):
        read_calls(text)
    assert time.perf_counter() - start < 5
