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


def test_the_tool_says_in_which_image_a_region_lies() -> None:
    """Models were trained on these sentences; where several images are asked about, the call may name the one it means."""
    region = "Region as [x1, y1, x2, y2], left top and right bottom corner, in coordinates of"
    one, several = (layouts.zoom_tool(several=many)["function"] for many in (False, True))
    assert one["name"] == several["name"] == "image_zoom_in"
    assert (
        one["description"]
        == several["description"]
        == ("Look at a region of the image again, read from the original at the best resolution available.")
    )
    assert one["parameters"]["properties"]["bbox"]["description"] == f"{region} the image shown last."
    assert several["parameters"]["properties"]["bbox"]["description"] == f"{region} the chosen image."
    assert several["parameters"]["properties"]["image"]["description"] == (
        "Number of the chosen image, counted in the order shown, crops included; without it the image shown last."
    )


def test_a_users_system_turn_stands_before_the_tool() -> None:
    messages, tools = layouts.tools_part("reference", system="Be brief.")
    assert tools is None and messages[0]["content"][0]["text"] == f"Be brief.\n\n{layouts.ZOOM_SYSTEM}"
    messages, tools = layouts.tools_part("native", system="Be brief.")
    assert messages == layouts.system_part("Be brief.") and tools == [layouts.zoom_tool()]


@pytest.mark.parametrize("layout", layouts.LAYOUTS)
def test_words_before_a_call_and_notes_on_a_crop_are_kept(layout: layouts.Layout) -> None:
    call = layouts.call_turn([1, 2, 3, 4], layout, image=2, said="I look.")
    crop = layouts.crop_turn("crop", layout, note="It is a part of image 2.")
    refused = layouts.refusal_turn("No.", layout)
    uncalled = layouts.refusal_turn("No.", layout, called=False)
    assert uncalled == {"role": "user", "content": [{"type": "text", "text": "No."}]}
    if layout == "native":
        assert call["content"] == [{"type": "text", "text": "I look."}]
        assert call["tool_calls"][0]["function"]["arguments"] == {"bbox": [1, 2, 3, 4], "image": 2}
        assert (crop["role"], crop["name"]) == (refused["role"], refused["name"]) == ("tool", "image_zoom_in")
        assert crop["content"][1]["text"] == "It is a part of image 2."
    else:
        told = '{"name": "image_zoom_in", "arguments": {"bbox": [1, 2, 3, 4], "image": 2}}'
        assert call["content"][0]["text"] == f"I look.\n<tool_call>\n{told}\n</tool_call>"
        assert crop["content"][1]["text"] == f"{layouts.CROP_TEXT} It is a part of image 2."
        assert (crop["role"], refused) == ("user", uncalled)
    assert crop["content"][0] == {"type": "image", "image": "crop"}


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
