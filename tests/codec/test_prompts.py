import itertools

import pytest

from rscovlm.codec.prompts import detection_prompt, grounding_prompt, system_prompt


def test_detection_lists_classes_once_in_sorted_order() -> None:
    system, user = detection_prompt(["ship", "plane", "ship"])
    assert user == "find the plane, ship"
    assert "x1,y1,x2,y2,x3,y3,x4,y4 object" in system
    assert detection_prompt(["plane", "ship"]) == (system, user)


def test_grounding_has_one_article() -> None:
    assert grounding_prompt("the hangar by the runway", "quad")[1] == "find the hangar by the runway"
    assert grounding_prompt("hangar by the runway", "quad") == grounding_prompt("The hangar by the runway", "quad")


def test_every_kind_and_style_has_its_own_system_text() -> None:
    pairs = list(itertools.product(["hbb", "obb", "quad"], ["plain", "json"]))
    texts = {system_prompt(kind, style) for kind, style in pairs}  # type: ignore[arg-type]
    assert len(texts) == 6
    assert not any("{how}" in text or "{form}" in text for text in texts)


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="no class"):
        detection_prompt(["  "])
    with pytest.raises(TypeError, match="is the string 'plane'"):
        detection_prompt("plane")
    with pytest.raises(ValueError, match="empty"):
        grounding_prompt("  ")
    with pytest.raises(ValueError, match="'circle'"):
        system_prompt("circle", "plain")  # type: ignore[arg-type]
