"""FlashAttention is taken part by part where it computes for packed samples what sdpa does for each alone."""

from functools import wraps
from typing import Any

import pytest
import torch

from rscovlm.training.attention import attention_of, choose_attention
from rscovlm.training.segments import isolate_samples, segment_attention
from rscovlm.training.tiny import Family, build_model
from tests.training import flash
from tests.training.test_kernels import Words

FAMILIES: list[Family] = ["qwen2_5_vl", "qwen3_vl"]


@wraps(flash.varlen)
def _all_together(q: Any, k: Any, v: Any, *_: Any, causal: bool = False, **__: Any) -> torch.Tensor:
    ends = torch.tensor([0, len(q)])
    return flash.varlen(q, k, v, ends, ends, len(q), len(q), causal=causal)


@wraps(flash.varlen)
def _wide_heads_only(*arguments: Any, **options: Any) -> torch.Tensor:
    if arguments[0].shape[-1] < 32:
        raise RuntimeError(f"heads of {arguments[0].shape[-1]}")
    return flash.varlen(*arguments, **options)


@wraps(flash.varlen)
def _no_number(*arguments: Any, **options: Any) -> torch.Tensor:
    return flash.varlen(*arguments, **options) * float("nan")


@pytest.mark.parametrize("family", FAMILIES)
def test_the_first_that_computes_the_same_is_taken(family: Family, monkeypatch: pytest.MonkeyPatch) -> None:
    model = build_model(Words(), family=family)
    flash.install(monkeypatch, "flash_right")
    assert choose_attention(model, ["flash_right", "flash_never_asked"], "cpu") == {}
    assert attention_of(model) == "flash_right in the language model, flash_right in the vision tower"
    assert isolate_samples(model) == "flash_right"


@pytest.mark.parametrize("function", [_all_together, _no_number])
def test_what_gives_other_numbers_is_left(function: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = build_model(Words())
    flash.install(monkeypatch, "flash_wrong", function)
    said = choose_attention(model, ["flash_wrong"], "cpu")
    assert said == dict.fromkeys(("language model", "vision tower"), "flash_wrong: it gives other numbers")
    assert attention_of(model) == "sdpa in the language model, sdpa in the vision tower"


def test_a_part_whose_heads_do_not_suit_keeps_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    model = build_model(Words(), width=128, heads=2, vision_width=32)
    assert model.config.vision_config.hidden_size // model.config.vision_config.num_heads < 32
    flash.install(monkeypatch, "flash_wide", _wide_heads_only)
    said = choose_attention(model, ["flash_wide"], "cpu")
    assert list(said) == ["vision tower"]
    assert said["vision tower"].startswith("flash_wide: RuntimeError: heads of ")
    assert attention_of(model) == "flash_wide in the language model, sdpa in the vision tower"


def test_a_model_built_otherwise_keeps_its_attention(monkeypatch: pytest.MonkeyPatch) -> None:
    model = build_model(Words())
    for module in model.model.visual.modules():
        if hasattr(module, "scaling"):
            del module.scaling
    flash.install(monkeypatch, "flash_right")
    said = choose_attention(model, ["flash_right"], "cpu")
    assert list(said) == ["vision tower"] and said["vision tower"].startswith("flash_right: StopIteration")
    assert attention_of(model) == "flash_right in the language model, sdpa in the vision tower"


@pytest.mark.skipif(torch.cuda.is_available(), reason="what is said where there is no GPU")
def test_what_cannot_be_loaded_is_named() -> None:
    model = build_model(Words())
    said = choose_attention(model, ["flash_attention_2", "flash_none"], "cpu")
    assert set(said) == {"language model", "vision tower"}
    for text in said.values():
        assert text.count("; ") == 1 and "flash_attention_2: " in text and "flash_none: ValueError" in text
    assert attention_of(model) == "sdpa in the language model, sdpa in the vision tower"
    assert choose_attention(model) == {}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_attention_in_force_is_told(family: Family) -> None:
    model = build_model(Words(), family=family)
    assert attention_of(model) == "sdpa in the language model, sdpa in the vision tower"
    isolate_samples(model)
    assert attention_of(model) == "rscovlm_segments in the language model, sdpa in the vision tower"


def test_lengths_are_read_anew_where_the_positions_changed() -> None:
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(1, 2, 6, 8, generator=generator)
    positions = torch.tensor([[0, 1, 2, 0, 1, 2]])

    def attended(places: torch.Tensor = positions) -> torch.Tensor:
        return segment_attention(torch.nn.Identity(), query, query, query, None, position_ids=places)[0]

    two = attended()
    assert torch.equal(attended(), two)
    with torch.inference_mode():
        assert torch.equal(attended(positions.clone()), two)
    positions.copy_(torch.arange(6)[None])
    one = attended()
    assert torch.equal(one[:, :3], two[:, :3]) and not torch.allclose(one[:, 3:], two[:, 3:])
    assert torch.allclose(
        one, torch.nn.functional.scaled_dot_product_attention(query, query, query, is_causal=True).transpose(1, 2)
    )
