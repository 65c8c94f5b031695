import json

import jsonschema
import pytest

from rscovlm.zoom import layouts


@pytest.mark.parametrize("several", [False, True])
def test_the_tool_is_valid_json_schema_and_takes_a_call(several: bool) -> None:
    parameters = layouts.zoom_tool(several=several)["function"]["parameters"]
    validator = jsonschema.Draft202012Validator(parameters)
    validator.check_schema(parameters)
    assert validator.is_valid({"bbox": [1, 2, 3, 4]})
    assert validator.is_valid({"bbox": [1, 2, 3, 4], "image": 2}) is several
    for broken in (
        {},
        {"bbox": [1, 2, 3]},
        {"bbox": "1,2,3,4"},
        {"bbox": [1, 2, 3, "4"]},
        {"bbox": [1, 2, 3, 4], "x": 1},
    ):
        assert not validator.is_valid(broken)


def test_reference_conversation_is_the_recorded_format() -> None:
    messages, tools = layouts.zoom_conversation(None, "What colour?", [10, 20, 300, 400], None, "red", "reference")
    assert tools is None
    assert [m["role"] for m in messages] == ["system", "user", "assistant", "user", "assistant"]
    texts = ["".join(block.get("text", "<image>") for block in m["content"]) for m in messages]
    assert texts[1] == "<image>What colour?\nZoom in to the region of interest and answer the question."
    assert texts[2] == '<tool_call>\n{"name": "image_zoom_in", "arguments": {"bbox": [10, 20, 300, 400]}}\n</tool_call>'
    assert texts[2] == layouts.CALL_START + "10, 20, 300, 400" + layouts.CALL_END
    assert texts[3] == "<image>Here's the zoomed-in image. You can complete your task now."
    assert texts[4] == "red"
    assert texts[0] == layouts.ZOOM_SYSTEM
    head, _, rest = texts[0].partition("<tools>\n{")
    listed, _, tail = rest.partition("\n</tools>")
    assert head.startswith("# Tools\n\nYou may call one or more functions")
    assert json.loads("{" + listed) == layouts.zoom_tool()
    assert tail.endswith('<tool_call>\n{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call>')


def test_native_conversation_uses_the_template_own_words() -> None:
    image = object()
    messages, tools = layouts.zoom_conversation(image, "What colour?", [1, 2, 3, 4], image, "red", "native")
    assert tools == [layouts.zoom_tool()]
    assert [m["role"] for m in messages] == ["user", "assistant", "tool", "assistant"]
    assert messages[0]["content"] == [{"type": "image", "image": image}, {"type": "text", "text": "What colour?"}]
    assert messages[1]["tool_calls"][0]["function"] == {"name": "image_zoom_in", "arguments": {"bbox": [1, 2, 3, 4]}}
    assert messages[2]["content"] == [{"type": "image", "image": image}]


def test_a_question_without_zoom_reads_the_same_in_both_layouts() -> None:
    turns = [layouts.overview_turn(None, "Where?", layout, zoom=False) for layout in layouts.LAYOUTS]
    assert turns[0] == turns[1] and turns[0]["content"][-1]["text"] == "Where?"


def test_several_images_come_in_order_before_the_question() -> None:
    turn = layouts.overview_turn(["a", "b"], "What changed?", "native")
    assert [block.get("image") for block in turn["content"]] == ["a", "b", None]


def test_an_unknown_layout_is_named() -> None:
    with pytest.raises(ValueError, match="'qwen'.*reference, native"):
        layouts.tools_part("qwen")  # type: ignore[arg-type]
