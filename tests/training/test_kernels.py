"""Fused kernels are taken module by module where they compute the same, and left alone where they do not."""

import logging
import subprocess
import sys
from importlib.util import find_spec
from typing import Any

import pytest
import torch

from rscovlm.training.kernels import (
    Fused,
    apply_kernels,
    fuse,
    is_rms_norm,
    is_swiglu,
)
from rscovlm.training.tiny import Family, build_model


class Words:
    """A vocabulary as large as a tiny model wants it."""

    def __len__(self) -> int:
        return 64

    def convert_tokens_to_ids(self, name: str) -> int:
        return 60 - len(name) % 7


def _norm(module: Any, hidden: torch.Tensor) -> torch.Tensor:
    made: torch.Tensor = torch.nn.functional.rms_norm(
        hidden, (hidden.shape[-1],), module.weight, module.variance_epsilon
    )
    return made


def _gated(module: Any, hidden: torch.Tensor) -> torch.Tensor:
    made: torch.Tensor = module.down_proj(module.up_proj(hidden) * torch.nn.functional.silu(module.gate_proj(hidden)))
    return made


def _fails(module: Any, hidden: torch.Tensor) -> torch.Tensor:
    raise RuntimeError("0 active drivers")


def _no_gradient(module: Any, hidden: torch.Tensor) -> torch.Tensor:
    return _norm(module, hidden.detach()) + 0 * hidden


# Two norms a layer, and in Qwen2.5-VL the merger's and the vision tower's as well; Qwen3-VL norms queries and keys.
NORMS: dict[Family, int] = {"qwen2_5_vl": 3 * 2 + 1 + 2 * 2 + 1, "qwen3_vl": 3 * 4 + 1}
GATED: dict[Family, int] = {"qwen2_5_vl": 3 + 2, "qwen3_vl": 3}


@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl"])
def test_kernels_that_compute_the_same_are_taken(family: Family) -> None:
    model = build_model(Words(), family=family).eval()
    ids = torch.arange(1, 25)[None]
    before = model(input_ids=ids).logits
    kinds = [Fused("norms", is_rms_norm, _norm), Fused("gated", is_swiglu, _gated)]
    assert fuse(model, kinds, "cpu") == {"norms": f"{NORMS[family]} fused", "gated": f"{GATED[family]} fused"}
    assert torch.allclose(model(input_ids=ids).logits, before, atol=1e-4)
    fused = [module for module in model.modules() if "forward" in vars(module)]
    assert len(fused) == NORMS[family] + GATED[family]
    assert set(model.state_dict()) == set(build_model(Words(), family=family).state_dict())


@pytest.mark.parametrize(
    ("forward", "fault"),
    [
        (_fails, "kept: RuntimeError: 0 active drivers"),
        (_no_gradient, "kept: the kernel gives other numbers"),
        (lambda module, hidden: 1.01 * _norm(module, hidden), "kept: the kernel gives other numbers"),
    ],
)
def test_kernels_that_fail_or_differ_leave_the_module_as_it_is(forward: Any, fault: str) -> None:
    model = build_model(Words())
    said = fuse(model, [Fused("norms", is_rms_norm, forward), Fused("none", lambda _: False, forward)], "cpu")
    assert said == {"norms": f"{NORMS['qwen2_5_vl']} {fault}", "none": "none there"}
    assert not any("forward" in vars(module) for module in model.modules())


@pytest.mark.skipif(torch.cuda.is_available(), reason="what is said where there is no GPU")
def test_what_was_chosen_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        apply_kernels(build_model(Words()))
    assert "kernels: torch's own (no GPU)" in caplog.text


@pytest.mark.skipif(
    any(find_spec(name) is None for name in ("liger_kernel", "triton")),
    reason="liger-kernel or triton is not installed",
)
def test_ligers_kernels_give_the_gradients_of_the_modules_they_replace() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.training.interpret_liger"], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count(" fused") == 4
