"""Training steps of a model of half a billion random parameters at realistic sizes: tokens/s, peak memory and MFU.

    python -m tests.benchmarks.bench_gpu_training --out gpu.json          # one GPU
    python -m tests.benchmarks.bench_gpu_training --device cpu --tiny     # the same code, to see that it runs

Images up to 1008 x 1008, rows of 6,144 tokens, a vocabulary as large as Qwen's, bfloat16, AdamW. Every way trains the same
samples with `build_trainer`, so with TRL's own `SFTTrainer` and loss: unpacked (padded batches of random samples, about as
many places as a row has), packed with the stock dense mask, packed with each sample by itself, with Liger's kernels, with
FlashAttention where its package is installed, with activation checkpointing. Batches are collated beforehand; how fast one
loads is `bench_loading`. What cannot run here says why and the others go on.

Besides torch and transformers this wants trl, datasets and shapely, and takes liger-kernel and flash-attn where they are.
MFU counts the multiplications of the forward and twice as many backward, attention included and recomputation not, on
tokens that are no padding, over ``--peak`` (989 TFLOP/s, the data sheet's dense bfloat16 of H100 and H200).
Beside the peak of memory stands what `rscovlm.training.memory` estimates before the first step.
"""

from __future__ import annotations

import argparse
import copy
import gc
import itertools
import json
import logging
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

import rscovlm  # noqa: F401  registers the processor
from rscovlm.processing import PixelBudget
from rscovlm.training.activations import LargestBatch
from rscovlm.training.collator import Collator, PackedCollator
from rscovlm.training.encoding import Encoder
from rscovlm.training.kernels import fuse, liger_kernels
from rscovlm.training.memory import estimate
from rscovlm.training.packing import PackedMixture
from rscovlm.training.segments import isolate_samples
from rscovlm.training.sft import build_trainer
from tests.benchmarks.bench_collator import hardware, make_pool, make_sample

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Size:
    """How large everything is.

    Attributes:
        width: Of the language model.
        depth: Its layers.
        heads: Attention heads of both towers.
        vision_width: Width of the vision tower.
        vision_depth: Its layers.
        vocabulary: Entries of the embedding.
        budget: Tokens of a row.
        side: Largest side of an image.
        batch: Samples of an unpacked batch.
        rows: Batches, taken in turn.
        warm: Steps before the clock starts.
        steps: Steps timed.
    """

    width: int = 1280
    depth: int = 12
    heads: int = 20
    vision_width: int = 800
    vision_depth: int = 12
    vocabulary: int = 151_936
    budget: int = 6144
    side: int = 1008
    batch: int = 8
    rows: int = 8
    warm: int = 4
    steps: int = 16


TINY = Size(64, 2, 2, 64, 2, 2000, 1024, 252, 3, 2, 1, 2)


@dataclass(frozen=True)
class Way:
    """A way to train.

    Attributes:
        packed: Samples share rows.
        attention: ``"sdpa"``, ``"segments"`` (each sample by itself, by sdpa), or one that transformers loads.
        liger: Liger's kernels, module by module.
        flash: Let sdpa take its flash kernel.
        checkpointing: Compute activations again in the backward.
    """

    packed: bool = True
    attention: str = "segments"
    liger: bool = False
    flash: bool = True
    checkpointing: bool = False


WAYS = {
    "unpacked": Way(packed=False, attention="sdpa"),
    "unpacked, Liger": Way(packed=False, attention="sdpa", liger=True),
    "packed, dense mask": Way(attention="sdpa"),
    "packed": Way(),
    "packed, no flash kernel": Way(flash=False),
    "packed, Liger": Way(liger=True),
    "packed, FlashAttention-2": Way(attention="flash_attention_2"),
    "packed, FlashAttention-2, Liger": Way(attention="flash_attention_2", liger=True),
    "packed, FlashAttention-4, Liger": Way(attention="flash_attention_4", liger=True),
    "packed, checkpointing": Way(checkpointing=True),
}


class _Vocabulary:
    """A tokenizer's ids in a vocabulary of another size."""

    def __init__(self, tokenizer: Any, size: int) -> None:
        self.convert_tokens_to_ids, self.size = tokenizer.convert_tokens_to_ids, size

    def __len__(self) -> int:
        return self.size


class _Clock(TrainerCallback):
    """Takes the time of every step, its work on the device done."""

    def __init__(self, device: torch.device, warm: int) -> None:
        self.device, self.warm = device, warm
        self.ends: list[float] = []

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Wait for the device and look at the clock."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
            if state.global_step == self.warm:
                torch.cuda.reset_peak_memory_stats(self.device)
        self.ends.append(time.perf_counter())


def make_batches(processor: Any, size: Size) -> dict[bool, list[dict[str, Any]]]:
    """Collate the samples that every way trains: packed, and as padded batches."""
    pool = {min(side, size.side): images for side, images in make_pool().items()}
    pool = {side: [image.resize((side, side)) for image in images] for side, images in pool.items()}

    def sample(seed: int) -> dict[str, Any]:
        made = make_sample(seed, _Nearest(pool))
        return {**made, "position": seed}

    samples = [sample(seed) for seed in range(40 * size.rows)]
    packed = PackedMixture(samples, length=Encoder(processor), budget=size.budget, lookahead=64, rows=size.rows)
    together, padded = PackedCollator(processor, notes=True), Collator(processor, notes=True)
    return {
        True: [together([packed[row]]) for row in range(size.rows)],
        False: [padded(samples[row * size.batch : (row + 1) * size.batch]) for row in range(size.rows)],
    }


class _Nearest(dict[int, Any]):
    """Images by side; the largest if there is none of the side asked for."""

    def __missing__(self, side: int) -> Any:
        return self[max(self)]


def work_of(model: Any, batch: dict[str, Any]) -> tuple[int, float]:
    """Return the tokens of a batch that are no padding, and the floating-point operations that train them.

    Two operations for each weight of a matrix and each token that passes it (the head's for trained tokens alone, as TRL
    computes it), and the products of attention, causal in the language model and over a whole image in the vision tower;
    three times that, for the backward.
    """
    text, vision = model.config.get_text_config(), model.config.vision_config
    lengths = [length for place, length in enumerate(batch["notes"].lengths) if place not in batch["notes"].faults]
    patches = [int(grid.prod()) for grid in batch.get("image_grid_thw", ())]
    tokens = sum(lengths)
    flops = 0.0
    for name, module in model.named_modules():
        weight = getattr(module, "weight", None)
        if weight is None or weight.ndim < 2 or isinstance(module, torch.nn.Embedding):
            continue
        seen: float = tokens
        if "lm_head" in name:
            seen = int((batch["labels"] >= 0).sum())
        elif "visual" in name:
            seen = sum(patches) / (4 if "merger" in name else 1)
        flops += 2 * weight.numel() * seen
    width = text.num_attention_heads * (getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads)
    flops += sum(2 * text.num_hidden_layers * width * length**2 for length in lengths)
    flops += sum(4 * vision.depth * vision.hidden_size * count**2 for count in patches)
    return tokens, 3 * flops


def train(model: Any, processor: Any, batches: list[dict[str, Any]], way: Way, size: Size, device: torch.device) -> Any:
    """Train some steps one way and return what they took."""
    model = copy.deepcopy(model).to(device)
    if way.attention == "segments":
        isolate_samples(model)
    elif way.attention != "sdpa":
        model.set_attn_implementation(way.attention)
    said = {}
    if way.liger:
        kinds = liger_kernels()
        if device.type != "cuda" or not kinds:
            raise RuntimeError("Liger wants a GPU and liger-kernel")
        said = fuse(model, kinds, device)
    work = [work_of(model, batch) for batch in batches]
    options = {
        "use_cpu": device.type == "cpu",
        "bf16": device.type == "cuda",
        "activation_checkpointing": way.checkpointing,
    }
    expected = estimate(model, _largest(batches), options)
    clock, steps = _Clock(device, size.warm), size.warm + size.steps
    with tempfile.TemporaryDirectory() as output:
        trainer = build_trainer(
            model,
            processor,
            [{"row": row % len(batches)} for row in range(steps)],
            collator=lambda rows: dict(batches[rows[0]["row"]]),
            callbacks=[clock],
            output_dir=output,
            max_steps=steps,
            per_device_train_batch_size=1,
            learning_rate=1e-5,
            **options,
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
        )
        with _kernels(way.flash):
            trainer.train()
    times = [end - begin for begin, end in itertools.pairwise(clock.ends)][size.warm - 1 :]
    timed = [work[step % len(work)] for step in range(size.warm, steps)]
    return {
        "tokens_per_second": sum(tokens for tokens, _ in timed) / sum(times),
        "step_seconds": statistics.median(times),
        "tflops": sum(flops for _, flops in timed) / sum(times) / 1e12,
        "peak_gib": torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else None,
        "estimated_gib": expected.together / 2**30,
        "tokens_per_step": statistics.mean(tokens for tokens, _ in timed),
        "places_per_step": statistics.mean(batch["input_ids"].numel() for batch in batches),
        "kernels": said,
        "way": asdict(way),
    }


def _largest(batches: list[dict[str, Any]]) -> LargestBatch:
    """Return what the check before training would take for the largest row; Liger's kernels and masks of packed rows aside."""
    return LargestBatch(
        tokens=max(batch["input_ids"].numel() for batch in batches),
        patches=max(len(batch.get("pixel_values", ())) for batch in batches),
        trained=max(int((batch["labels"] >= 0).sum()) for batch in batches),
        padded_to=max(batch["input_ids"].shape[1] if len(batch["input_ids"]) > 1 else 0 for batch in batches),
    )


def _kernels(flash: bool) -> Any:
    from torch.nn.attention import SDPBackend, sdpa_kernel

    kinds = [SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
    return sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.CUDNN_ATTENTION, *kinds] if flash else kinds)


def compare(size: Size, device: torch.device, ways: dict[str, Way]) -> dict[str, Any]:
    """Train every way and return what each took, or why it could not run."""
    from transformers import AutoProcessor

    from rscovlm.testing import tiny_checkpoint
    from rscovlm.training.tiny import build_model

    with tempfile.TemporaryDirectory() as folder:
        tiny_checkpoint(folder)
        processor: Any = AutoProcessor.from_pretrained(folder)
    processor.image_processor.budget = PixelBudget(56 * 56, size.side**2)
    model = build_model(
        _Vocabulary(processor.tokenizer, size.vocabulary),
        vision_width=size.vision_width,
        vision_depth=size.vision_depth,
        width=size.width,
        depth=size.depth,
        heads=size.heads,
    ).to(torch.bfloat16 if device.type == "cuda" else torch.float32)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.mul_(0.2)  # to the deviation that is usual at such widths
    found: dict[str, Any] = {"parameters": sum(weight.numel() for weight in model.parameters()), "ways": {}}
    batches = make_batches(processor, size)
    if device.type == "cuda":
        batches = {kind: [_pinned(batch) for batch in made] for kind, made in batches.items()}
    for name, way in ways.items():
        found["ways"][name] = _or_why(lambda way=way: train(model, processor, batches[way.packed], way, size, device))  # type: ignore[misc]
        logger.info("%s: %s", name, found["ways"][name])
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()
    return found


def _pinned(batch: dict[str, Any]) -> dict[str, Any]:
    return {name: value.pin_memory() if isinstance(value, torch.Tensor) else value for name, value in batch.items()}


def _or_why(run: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return run()
    except Exception as error:  # noqa: BLE001  a package may be absent, or not fit this GPU, in any way
        return {"left_out": f"{type(error).__name__}: {str(error).splitlines()[0][:160] if str(error) else ''}"}


def table(found: dict[str, Any], peak: float) -> str:
    """Return the figures as a Markdown table."""
    lines = ["| | useful tokens/s | times unpacked | padding | peak GiB | estimated before | MFU |"]
    lines.append("|---|---|---|---|---|---|---|")
    base = found["ways"].get("unpacked", {}).get("tokens_per_second")
    for name, one in found["ways"].items():
        if "left_out" in one:
            lines.append(f"| {name} | left out: {one['left_out']} | | | | | |")
            continue
        speed, memory = one["tokens_per_second"], one["peak_gib"]
        times = f"{speed / base:.2f}" if base else "-"
        waste = 1 - one["tokens_per_step"] / one["places_per_step"]
        expected = f"{one['estimated_gib']:.1f}"
        measured = (
            f"- | {expected} | -" if memory is None else f"{memory:.1f} | {expected} | {one['tflops'] / peak:.1%}"
        )
        lines.append(f"| {name} | {speed:,.0f} | {times} | {waste:.1%} | {measured} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--tiny", action="store_true", help="sizes that a CPU trains in seconds")
    parser.add_argument("--peak", type=float, default=989.0, help="TFLOP/s of the device in bfloat16")
    parser.add_argument("--steps", type=int, help="steps timed, each way")
    parser.add_argument("--only", nargs="*", metavar="WAY", help="some of: " + "; ".join(WAYS))
    parser.add_argument("--out", type=Path, help="JSON file for all that was measured")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logger.setLevel(logging.INFO)
    if options.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("there is no GPU here; give --device cpu --tiny to see that the benchmark runs")
    size = TINY if options.tiny else Size()
    if options.steps:
        size = Size(**{**asdict(size), "steps": options.steps})
    ways = {name: WAYS[name] for name in options.only or WAYS}
    device = torch.device(options.device)
    found = compare(size, device, ways)
    gpu = f", {torch.cuda.get_device_name()}" if options.device == "cuda" else ""
    found |= {"hardware": hardware() + gpu, "size": asdict(size), "peak_tflops": options.peak}
    if options.out:
        options.out.write_text(json.dumps(found, indent=1), encoding="utf-8")
    print(found["hardware"], f"{found['parameters'] / 1e6:.0f} M parameters, rows of {size.budget} tokens", sep="\n")
    print(table(found, options.peak))


if __name__ == "__main__":
    main()
