"""Faster kernels, chosen by what is installed and by whether they give the same numbers here."""

from __future__ import annotations

import copy
import importlib.util
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from types import MethodType
from typing import Any

import torch

logger = logging.getLogger(__name__)

Forward = Callable[[Any, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Fused:
    """A kind of module and a fused way to compute it.

    Attributes:
        kind: What it is called in logs.
        fits: Whether a module is of the kind.
        forward: Computes it, given the module and its input.
    """

    kind: str
    fits: Callable[[Any], bool]
    forward: Forward


def fuse(model: Any, kinds: list[Fused], device: str | torch.device) -> dict[str, str]:
    """Give the modules of a model fused forwards, kind by kind, where these compute the same.

    The first module of each kind is computed both ways, forward and backward, on a copy of it on the device. A kernel
    that fails or differs leaves its kind as it is: so a release of transformers or of the kernels that does not fit the
    other costs speed, not a run.

    Args:
        model: Any model; its weights stay where they are.
        kinds: What to try.
        device: Where the model will run.

    Returns:
        By kind, how many modules were fused, or why none was.
    """
    said: dict[str, str] = {}
    for fused in kinds:
        # Grouped by the sizes of their weights: a kernel may suit one size and not another.
        groups: dict[tuple[Any, ...], list[Any]] = {}
        for module in model.modules():
            if fused.fits(module):
                groups.setdefault(tuple(weight.shape for weight in module.parameters()), []).append(module)
        results: Counter[str] = Counter()
        for modules in groups.values():
            fault = _fault(modules[0], fused.forward, device)
            results[fault or "fused"] += len(modules)
            for module in modules if fault is None else ():
                module.forward = MethodType(fused.forward, module)
        said[fused.kind] = "; ".join(f"{count} {what}" for what, count in results.items()) or "none there"
    return said


def _fault(module: Any, forward: Forward, device: str | torch.device) -> str | None:
    """Return what is wrong with a fused forward of a module, or None where it computes the same."""
    found = []
    try:
        probe = copy.deepcopy(module).to(device)
        weights = list(probe.parameters())
        width, dtype = weights[0].shape[-1], weights[0].dtype
        generator = torch.Generator().manual_seed(0)
        given = torch.randn(1, 24, width, generator=generator).to(device, dtype)
        wanted = torch.randn(1, 24, width, generator=generator).to(device, dtype)
        for compute in (type(probe).forward, forward):
            entry = given.clone().requires_grad_(True)
            for weight in weights:
                weight.requires_grad_(True)
            made = compute(probe, entry)
            gradients = torch.autograd.grad((made * wanted).sum(), [entry, *weights])
            found.append([made.detach(), *gradients])
    except Exception as error:  # noqa: BLE001  a kernel that cannot be built or run here may raise anything
        return f"kept: {type(error).__name__}: {str(error)[:80]}"
    return "kept: the kernel gives other numbers" if differ(*found) else None


def differ(expected: list[torch.Tensor], found: list[torch.Tensor]) -> bool:
    """Tell whether results of two ways to compute the same differ by more than the precision of their type explains."""
    for one, other in zip(expected, found, strict=True):
        tolerance = 1e-4 if one.dtype == torch.float32 else 2e-2
        scale = float(one.abs().max()) or 1.0
        # So that what is no number differs too.
        if one.shape != other.shape or not float((one.float() - other.float()).abs().max()) <= tolerance * scale:
            return True
    return False


def is_rms_norm(module: Any) -> bool:
    """Tell whether a module is a root-mean-square norm as Qwen-VL models have them."""
    return type(module).__name__.endswith("RMSNorm") and hasattr(module, "variance_epsilon")


def is_swiglu(module: Any) -> bool:
    """Tell whether a module is a gated feed-forward layer with SiLU."""
    parts = ("gate_proj", "up_proj", "down_proj", "act_fn")
    return all(hasattr(module, part) for part in parts) and "silu" in type(module.act_fn).__name__.lower()


def liger_kernels() -> list[Fused]:
    """Return Liger's kernels for Qwen-VL models, one kind of module each; none where Liger is not installed."""
    if importlib.util.find_spec("liger_kernel") is None:
        return []
    from liger_kernel.ops import LigerRMSNormFunction, LigerSiLUMulFunction

    def norm(module: Any, hidden: torch.Tensor) -> torch.Tensor:
        # Not in place: the residual still needs the input.
        made: torch.Tensor = LigerRMSNormFunction.apply(
            hidden, module.weight, module.variance_epsilon, 0.0, "llama", False, None
        )
        return made

    def swiglu(module: Any, hidden: torch.Tensor) -> torch.Tensor:
        product = LigerSiLUMulFunction.apply(module.gate_proj(hidden), module.up_proj(hidden), 1.0, 1.0)
        made: torch.Tensor = module.down_proj(product)
        return made

    return [Fused("RMS norms", is_rms_norm, norm), Fused("SwiGLU layers", is_swiglu, swiglu)]


def apply_kernels(model: Any) -> dict[str, str]:
    """Give a model the fused kernels that are installed and right on this machine's GPU, and log what was chosen."""
    if not torch.cuda.is_available():
        said = {"kernels": "torch's own (no GPU)"}
    elif not (kinds := liger_kernels()):
        said = {"kernels": "torch's own (liger-kernel is not installed)"}
    else:
        said = fuse(model, kinds, f"cuda:{torch.cuda.current_device()}")
    for kind, what in said.items():
        logger.info("%s: %s", kind, what)
    return said
