"""Small models and the tokenizer they are built with."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rscovlm.processing.tokenizer import build_tokenizer
from rscovlm.training.tiny import Family, build_model

PHRASE = "You are a helpful assistant."


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return build_tokenizer(["find the plane, ship\n1,2,3,4 plane\n"] * 3, phrases=[PHRASE, "find the"])


_TOKENIZER = build_tokenizer(["find the plane, ship\n1,2,3,4 plane\n"] * 3, phrases=[PHRASE, "find the"])


@given(st.text())
def test_any_text_survives(text: str) -> None:
    assert _TOKENIZER.decode(_TOKENIZER(text)["input_ids"]) == text


def test_digits_and_phrases_are_tokens(tokenizer: Any) -> None:
    assert len(tokenizer("120,9")["input_ids"]) == 5
    assert tokenizer.tokenize(f"{PHRASE}find the plane") == [PHRASE, "find the", "Ġplane"]


@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl"])
def test_a_model_is_small_and_repeatable(tokenizer: Any, family: Family) -> None:
    one, same, other = (build_model(tokenizer, family=family, seed=seed) for seed in (0, 0, 1))
    assert sum(weight.numel() for weight in one.parameters()) < 1_200_000
    first, second, third = (next(iter(model.parameters())) for model in (one, same, other))
    assert first.equal(second)
    assert not first.equal(third)


def test_an_unknown_family_is_named(tokenizer: Any) -> None:
    with pytest.raises(ValueError, match="family 'llava'"):
        build_model(tokenizer, family="llava")  # type: ignore[arg-type]
