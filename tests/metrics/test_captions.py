"""Scores of captions beside the recorded evaluation of COCO captions, its Java tokenizer included."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from rscovlm.metrics import caption_scores
from rscovlm.metrics.captions import caption_tokens
from tests.evidence import evidence


@pytest.fixture(scope="module")
def recorded() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(evidence("captions/coco.json").read_text(encoding="utf-8"))
    return found


def test_scores_are_those_of_coco(recorded: dict[str, Any]) -> None:
    found = caption_scores(recorded["predictions"], recorded["references"])
    assert [found[f"bleu{n}"] for n in (1, 2, 3, 4)] == pytest.approx(recorded["bleu"], abs=1e-9)
    assert found["cider"] == pytest.approx(recorded["cider"], abs=1e-9)
    assert found["cider_each"] == pytest.approx(recorded["cider_each"], abs=1e-8)
    assert found["rouge_l"] == pytest.approx(recorded["rouge_l"], abs=1e-9)
    assert found["empty"] == sum(not text for text in recorded["predictions"]) > 0


def test_words_are_those_of_the_java_tokenizer(recorded: dict[str, Any]) -> None:
    for texts, expected in zip(recorded["references"], recorded["tokens"], strict=True):
        assert " ".join(caption_tokens(texts[0])) == expected


def test_the_order_of_images_changes_nothing(recorded: dict[str, Any]) -> None:
    forth = caption_scores(recorded["predictions"], recorded["references"])
    back = caption_scores(recorded["predictions"][::-1], recorded["references"][::-1])
    assert back["cider_each"][::-1] == pytest.approx(forth["cider_each"])
    assert back["bleu4"] == pytest.approx(forth["bleu4"])


@pytest.mark.parametrize(
    ("predictions", "references", "words"),
    [
        (["a ship"], [[]], r"references\[0\] is empty"),
        (["a ship"], [["a"], ["b"]], "predictions has 1"),
        ([], [], "no items"),
        ("a ship", ["a ship"], "one string"),
        ([3], ["a ship"], r"predictions\[0\] is 3"),
        (["a ship"], [["a", None]], r"references\[0\]\[1\] is None"),
    ],
)
def test_what_cannot_be_scored(predictions: Sequence[str], references: Sequence[Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        caption_scores(predictions, references)


def test_nothing_alike_is_nothing() -> None:
    found = caption_scores(["", "?!", "ships"], [["a road"], ["a road"], ["..."]])
    assert [found[name] for name in ("bleu1", "bleu4", "rouge_l", "cider", "empty")] == [0, 0, 0, 0, 2]
