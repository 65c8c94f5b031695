"""What a training run takes of a device's memory, by what it is for."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from rscovlm.training.activations import SINGLE, Adapter, Kept, LargestBatch, Learning, kept
from rscovlm.training.loading import with_adapter
from rscovlm.training.parts import Part, part_of

_TILE = 4096 * 32768
"""Numbers of the piece of logits that TRL 1.16 has at a time: tokens by entries of the vocabulary."""

_STATES = {"8bit": 2, "adafactor": 0, "sgd": 0}
"""Bytes of state a weight, of optimisers that are not AdamW, by what is in their name."""


@dataclass(frozen=True)
class Sharing:
    """How processes share out what they keep.

    Attributes:
        by: ``"none"`` (one process, or each keeps all, as under DistributedDataParallel), ``"zero"`` or ``"fsdp"``.
        processes: Number of processes.
        stage: Of ZeRO: 1 shares out the states of the optimiser, 2 gradients too, 3 weights too.
        bucket: Numbers that are exchanged at a time.
        live: Numbers of weights that stage 3 holds whole at a time.
        on_host: States are kept in the memory of the host.
        half: DeepSpeed brings all weights to half precision.
    """

    by: Literal["none", "zero", "fsdp"] = "none"
    processes: int = 1
    stage: int = 0
    bucket: int = 0
    live: int = 0
    on_host: bool = False
    half: bool = False

    def __str__(self) -> str:
        """Say it in words."""
        how = {"none": "each with all of it", "fsdp": "FSDP", "zero": f"ZeRO-{self.stage}"}[self.by]
        if self.processes == 1:
            return "one process" if self.by == "none" else f"one process, {how}"
        return f"{self.processes} processes, {how}"


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes of one process while it trains, before what the driver and unused pieces of the allocator take.

    Attributes:
        weights: Weights, adapters included.
        gradients: Gradients of what learns, and the buckets they are exchanged in.
        states: States of the optimiser, and weights in single precision where it keeps its own.
        activations: What is kept of the longest row for the backward pass.
        logits: The loss: a piece of the logits, and gradients in single precision of what it is computed from.
        step: More that the step of the optimiser takes, when activations are gone.
        sharing: How processes share it out.
        device: Bytes of the device; None where there is no GPU.
    """

    weights: int
    gradients: int
    states: int
    activations: Kept
    logits: int
    step: int = 0
    sharing: Sharing = Sharing()
    device: int | None = None

    @property
    def together(self) -> int:
        """The most at one time: the loss and layers computed again come one after the other, the optimiser's step after."""
        row = self.activations.language + self.activations.vision + max(self.activations.again, self.logits)
        return self.weights + self.gradients + self.states + max(row, self.step)

    @property
    def fits(self) -> bool:
        """False where the device is known to be too small, a tenth of it left to the driver and to unused pieces."""
        return self.device is None or self.together <= 0.9 * self.device

    def text(self) -> str:
        """Return the figures as lines of text."""
        row = self.activations
        again = f", a layer computed again {_gb(row.again)}" if row.again else ""
        text = (
            f"memory a process ({self.sharing}): weights {_gb(self.weights)}, gradients {_gb(self.gradients)}, optimiser "
            f"{_gb(self.states)}, activations about {_gb(row.language + row.vision)} (language model {_gb(row.language)}, "
            f"vision tower {_gb(row.vision)}){again}, logits {_gb(self.logits)}; together about {_gb(self.together)}"
        )
        lines = [text]
        if self.device is not None:
            short = "" if self.fits else f", a tenth of it not for use: this does not fit; {self.advice()}"
            lines.append(f"the GPU has {_gb(self.device)}{short}")
        return "\n".join(lines)

    def advice(self) -> str:
        """Say what to lower first."""
        row = self.activations
        rows = row.language + row.vision + row.again
        ways = {
            "lower packing.tokens, train.per_device_train_batch_size or mixture.budget.max_pixels": rows,
            "share the optimiser out (train.deepspeed, more processes), train an adapter (lora) or freeze a part": (
                self.states + self.gradients
            ),
            "load weights of few bits (quantization, with lora), or share them out (ZeRO-3, FSDP)": self.weights,
        }
        if not row.again:
            ways["set train.activation_checkpointing to true"] = rows + 1
        worth = [way for way, count in ways.items() if count >= self.together / 10]
        return ", or ".join(sorted(worth, key=lambda way: -ways[way])[:2])


def estimate(
    model: Any,
    row: LargestBatch,
    settings: Mapping[str, Any],
    *,
    adapter: Any = None,
    frozen: Collection[Part] = (),
    sharing: Sharing | None = None,
    device: int | None = None,
) -> MemoryEstimate:
    """Estimate the memory that training takes.

    Args:
        model: The model as it was loaded.
        row: The most that goes through it at once.
        settings: Arguments of `trl.SFTConfig`.
        adapter: `peft.LoraConfig` of the adapter that will learn in place of the weights; None for the weights.
        frozen: Parts that stay as they are, an adapter's weights in them included.
        sharing: How processes share it out; None reads it from settings and launcher, see `sharing_of`.
        device: Bytes of the device; None asks the GPU, where there is one.
    """
    text = model.config.get_text_config()
    if sharing is None:
        sharing = sharing_of(settings, os.environ, width=text.hidden_size)
    if "flash" in (text._attn_implementation or ""):
        row = replace(row, padded_to=0)
    most = 2 if sharing.half else 8
    weights = {name: (weight.numel(), min(weight.element_size(), most)) for name, weight in model.named_parameters()}
    total = sum(count * size for count, size in weights.values()) + _scales(model)
    numbers = sum(count for count, _ in weights.values())
    # Of a model of few bits, the type that it computes in. DeepSpeed does without autocast.
    stream = min(model.dtype.itemsize, most)
    compute = min(stream, 2) if _half(settings) and sharing.by != "zero" else stream
    adapters: tuple[Adapter, ...] = ()
    if adapter is None:
        trained = {name: weights[name] for name, weight in model.named_parameters() if weight.requires_grad}
    else:
        trained, adapters = adapted(model, adapter, keep_type=sharing.by == "zero" and sharing.stage == 3)
        trained = {name: (count, min(size, most)) for name, (count, size) in trained.items()}
        total += sum(count * size for count, size in trained.values())
    trained = {name: weight for name, weight in trained.items() if part_of(name) not in frozen}
    learning = Learning(
        # An embedding or a head that learns beside adapters changes little of what layers keep.
        language=any(_in_layers(name, "language") for name in trained),
        vision=any(_in_layers(name, "vision") for name in trained),
        merger=any(part_of(name) == "merger" for name in trained),
        adapters=adapters,
        dropout=bool(getattr(adapter, "lora_dropout", 0)),
        dora=bool(getattr(adapter, "use_dora", False)),
        stream=stream,
        compute=compute,
        checkpointing=_checkpointing(settings),
    )
    if stream > compute:
        total += compute * numbers  # autocast keeps a copy of every weight
    head = any("lm_head" in name or ("embed_tokens" in name and "visual" not in name) for name in trained)
    logits = min(row.trained, 4096) * (_TILE // 4096) * compute + SINGLE * text.hidden_size * row.trained
    logits += SINGLE * text.hidden_size * text.vocab_size * head
    gradients, states, step = _learned(trained, settings, sharing)
    return MemoryEstimate(
        _whole(total, weights, trained, compute, sharing),
        gradients,
        states,
        kept(model.config, row, learning),
        logits,
        step,
        sharing,
        _room(settings) if device is None else device,
    )


def sharing_of(settings: Mapping[str, Any], environment: Mapping[str, str], *, width: int) -> Sharing:
    """Read how processes will share memory out from a recipe's ``train`` and what launchers set.

    Args:
        settings: Arguments of `trl.SFTConfig`; ``deepspeed`` is a file or its content.
        environment: Of the process.
        width: Of the language model, which sizes left to ``"auto"`` follow.

    Raises:
        ValueError: The file of ``deepspeed`` is missing or no JSON.

    >>> str(sharing_of({"deepspeed": {"zero_optimization": {"stage": 1}}}, {"WORLD_SIZE": "8"}, width=3584))
    '8 processes, ZeRO-1'
    """
    processes = int(environment.get("WORLD_SIZE", "1"))
    told = settings.get("deepspeed")
    launched = environment.get("ACCELERATE_USE_DEEPSPEED", "false").lower() == "true"
    if told is None and launched:
        told = environment.get("ACCELERATE_DEEPSPEED_CONFIG_FILE")
        if told in (None, "none"):
            told = {"zero_optimization": {"stage": int(environment.get("ACCELERATE_DEEPSPEED_ZERO_STAGE", "2"))}}
    if told is None:
        fsdp = environment.get("ACCELERATE_USE_FSDP", "false").lower() == "true" or bool(settings.get("fsdp"))
        return Sharing("fsdp" if fsdp and processes > 1 else "none", processes)
    content = _content(told)
    zero = content.get("zero_optimization") or {}
    stage = int(zero.get("stage", 0))
    sizes = {
        "bucket": (zero.get("reduce_bucket_size", 500_000_000), width * width),
        "live": (zero.get("stage3_max_live_parameters", 1_000_000_000), 1_000_000_000),
    }
    numbers = {name: auto if given == "auto" else int(float(given)) for name, (given, auto) in sizes.items()}
    if zero.get("overlap_comm", stage == 3) not in (False, "auto"):
        numbers["bucket"] *= 2
    host = (zero.get("offload_optimizer") or {}).get("device", "none") not in ("none", None)
    kinds = {name: (content.get(name) or {}).get("enabled", False) for name in ("bf16", "fp16")}
    auto = {"bf16": _half(settings) and not settings.get("fp16"), "fp16": bool(settings.get("fp16"))}
    half = any(auto[name] if told == "auto" else bool(told) for name, told in kinds.items())
    return Sharing("zero", processes, stage, numbers["bucket"], numbers["live"], host, half)


def _content(told: Any) -> Mapping[str, Any]:
    if isinstance(told, Mapping):
        return told
    try:
        content = json.loads(Path(told).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(
            f"train.deepspeed is {str(told)!r}, which cannot be read ({error}); give a JSON file"
        ) from error
    if not isinstance(content, Mapping):
        raise ValueError(f"train.deepspeed is {str(told)!r}, which holds no settings; give those of DeepSpeed as JSON")
    return content


def adapted(
    model: Any, adapter: Any, *, keep_type: bool = False
) -> tuple[dict[str, tuple[int, int]], tuple[Adapter, ...]]:
    """Return what learns once an adapter is put on a model, without weights: peft puts it on an empty copy.

    Args:
        model: The model below it; it is left as it is.
        adapter: A `peft.LoraConfig`.
        keep_type: Weights of the adapter are of the model's type, not in single precision.

    Returns:
        Numbers and bytes a number of each weight that learns, by name; and the adapters on matrices of layers.
    """
    import torch
    from transformers import AutoModelForImageTextToText

    few_bits = getattr(model, "is_loaded_in_4bit", False) or getattr(model, "is_loaded_in_8bit", False)
    with torch.device("meta"):
        config = copy.deepcopy(model.config)
        empty = AutoModelForImageTextToText.from_config(config, attn_implementation="eager").to(model.dtype)
        wrapped = with_adapter(empty, adapter, autocast_adapter_dtype=not keep_type)
    trained: dict[str, tuple[int, int]] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    for name, weight in wrapped.named_parameters():
        if weight.requires_grad:
            # TRL keeps adapters on weights of few bits in half precision, all but DoRA's magnitudes.
            size = 2 if few_bits and "lora_magnitude_vector" not in name else weight.element_size()
            trained[name], shapes[name] = (weight.numel(), size), tuple(weight.shape)
    found = []
    for name, shape in shapes.items():
        if ".lora_A." in name and len(shape) == 2:
            outputs = shapes[name.replace(".lora_A.", ".lora_B.")][0]
            found.append(Adapter(part_of(name) == "vision", shape[1], outputs, shape[0]))
    return trained, tuple(found)


def _in_layers(name: str, part: Part) -> bool:
    inside = ".layers." if part == "language" else ".blocks."
    return part_of(name) == part and inside in name and "lora_" not in name


def _learned(
    trained: Mapping[str, tuple[int, int]], settings: Mapping[str, Any], sharing: Sharing
) -> tuple[int, int, int]:
    """Count bytes of gradients and states, and what the optimiser's step takes on top."""
    numbers = sum(count for count, _ in trained.values())
    size = sum(count * size for count, size in trained.values())
    name = str(settings.get("optim", "adamw"))
    own = next((each for part, each in _STATES.items() if part in name), None)
    if sharing.by == "zero":
        # DeepSpeed steps weights and states of its own in single precision, each process its part of them.
        part = -(-numbers // sharing.processes)
        states = part * (SINGLE + (2 * SINGLE if own is None else own))
        exchanged = sharing.bucket * (size // max(numbers, 1))  # whole, however little learns
        gradients = (size if sharing.stage < 2 else -(-size // sharing.processes)) + exchanged
        return gradients, 0 if sharing.on_host else states, 0 if sharing.on_host else SINGLE * part
    if sharing.by == "fsdp":
        # accelerate keeps what learns in single precision.
        part = -(-numbers // sharing.processes)
        return SINGLE * part, part * (2 * SINGLE if own is None else own), 0
    # DistributedDataParallel keeps gradients once more, in the buckets it exchanges.
    gradients = size * (2 if sharing.processes > 1 else 1)
    # Without a fused kernel, AdamW takes roots of all states at once.
    return gradients, 2 * size if own is None else own * numbers, size if name == "adamw_torch" else 0


def _whole(
    total: int, weights: Mapping[str, tuple[int, int]], trained: Mapping[str, Any], compute: int, sharing: Sharing
) -> int:
    """Count the bytes of weights that a process holds."""
    numbers = sum(count for count, _ in weights.values())
    if sharing.by == "zero" and sharing.stage == 3:
        return -(-total // sharing.processes) + compute * min(sharing.live, numbers)
    if sharing.by != "fsdp":
        return total
    kept_single = sum(count * (SINGLE - size) for name, (count, size) in weights.items() if name in trained)
    inside: dict[str, int] = {}
    for name, (count, _) in weights.items():
        for list_of in (".layers.", ".blocks."):
            if list_of in name:
                layer = name.split(list_of)[0] + list_of + name.split(list_of)[1].split(".")[0]
                inside[layer] = inside.get(layer, 0) + count
    # Whole at a time: what is in no layer, the layer at work and the next.
    whole = numbers - sum(inside.values()) + 2 * max(inside.values(), default=0)
    return -(-(total + kept_single) // sharing.processes) + compute * whole


def _scales(model: Any) -> int:
    """Count the bytes of the scales beside weights of few bits."""
    count = 0
    for weight in model.parameters():
        state = getattr(weight, "quant_state", None)
        for one in (state, getattr(state, "state2", None)):
            count += getattr(getattr(one, "absmax", None), "nbytes", 0)
    return count


def _room(settings: Mapping[str, Any]) -> int | None:
    """Return the bytes of this process's GPU, None where it trains on a CPU."""
    import torch

    if settings.get("use_cpu") or not torch.cuda.is_available():
        return None
    return int(torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory)


def _half(settings: Mapping[str, Any]) -> bool:
    """Tell whether the trainer computes in half precision; TRL does by default."""
    return bool(settings.get("fp16")) or settings.get("bf16") is not False


def _checkpointing(settings: Mapping[str, Any]) -> bool:
    """Tell whether the trainer computes layers again; TRL does by default."""
    told = settings.get("activation_checkpointing", settings.get("gradient_checkpointing"))
    return True if told is None else bool(told)


def _gb(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
