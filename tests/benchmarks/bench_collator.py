"""Collator beside TRL's own, on the same samples: samples per second, padding, useful tokens per second.

    OMP_NUM_THREADS=1 python -m tests.benchmarks.bench_collator --samples 2000

Samples have the shares and sizes of a paper-like mixture: 40 % classification at 256 pixels, 30 % questions at 512, 15 %
grounding at 800, 15 % detection at 512 or 1,024 with log-normal numbers of objects. TRL collates what its trainer would
hand it: random batches of 8. Ours packs with a look-ahead of 256. Planning the packs is timed with ours, and ours is run
with both resizers: the one that training takes on this machine, and Pillow as TRL does. ``--rounds`` repeats all of it; each
round's ratios are of its own run.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from datetime import UTC, datetime
from typing import Any

import numpy as np
import torch
from PIL import Image

import rscovlm  # noqa: F401  registers the processor
from rscovlm.processing import PixelBudget
from rscovlm.processing.resizing import Resizer, fast_resizer

BATCH = 8
BUDGET = 6144


def make_sample(seed: int, pool: dict[int, list[Image.Image]]) -> dict[str, Any]:
    """Make one conversation about an image of noise."""
    rng = np.random.default_rng(seed)
    task = rng.choice(["classification", "vqa", "grounding", "detection"], p=[0.4, 0.3, 0.15, 0.15])
    side = {"classification": 256, "vqa": 512, "grounding": 800}.get(str(task)) or int(rng.choice([512, 1024]))
    question, answer = "What kind of scene is this?", "airfield"
    if task == "grounding":
        question, answer = "find the plane", ",".join(map(str, rng.integers(0, side, 4))) + " plane"
    if task == "detection":
        count = min(int(rng.lognormal(2.0, 1.2)) + 1, 60)
        rows = [",".join(map(str, rng.integers(0, side, 8))) + " ship" for _ in range(count)]
        question, answer = "find the ship, plane", "\n".join(rows)
    images = pool[side]
    content = [{"type": "image"}, {"type": "text", "text": question}]
    messages = [
        {"role": "user", "content": content},
        {"role": "assistant", "content": [{"type": "text", "text": answer}]},
    ]
    return {"messages": messages, "images": [images[int(rng.integers(len(images)))]], "tools": None, "task": str(task)}


def make_pool() -> dict[int, list[Image.Image]]:
    """Make a few images of each size."""
    rng = np.random.default_rng(0)
    return {
        side: [Image.fromarray(rng.integers(0, 255, (side, side, 3), dtype=np.uint8)) for _ in range(3)]
        for side in (256, 512, 800, 1024)
    }


def hardware() -> str:
    """Return date and machine in one line."""
    model = next(
        (line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")),  # noqa: SIM115
        platform.processor(),
    )
    threads = torch.get_num_threads()
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {model}, {os.cpu_count()} cores, {threads} thread(s), torch {torch.__version__}"
    )


def _theirs(folder: str, samples: list[dict[str, Any]], *, stock: bool) -> dict[str, float]:
    from transformers import AutoProcessor
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
    from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

    processor: Any = AutoProcessor.from_pretrained(folder)
    processor.image_processor.budget = PixelBudget()
    if stock:
        limits = {"shortest_edge": 224 * 224, "longest_edge": 1008 * 1008}
        processor.image_processor = Qwen2VLImageProcessorPil(size=limits)
    collate = DataCollatorForVisionLanguageModeling(processor)
    useful = padded = 0
    start = time.process_time()
    for first in range(0, len(samples), BATCH):
        rows = [{"messages": one["messages"], "images": one["images"]} for one in samples[first : first + BATCH]]
        batch = collate(rows)
        useful += int(batch["attention_mask"].sum())
        padded += batch["attention_mask"].numel()
    return {"seconds": time.process_time() - start, "useful": useful, "padded": padded}


def _ours(folder: str, samples: list[dict[str, Any]], resizer: Resizer | None = None) -> dict[str, float]:
    from transformers import AutoProcessor

    from rscovlm.training.collator import PackedCollator
    from rscovlm.training.packing import PackedMixture

    processor: Any = AutoProcessor.from_pretrained(folder)
    processor.image_processor.budget = PixelBudget()
    collate = PackedCollator(processor, resizer=resizer)
    start = time.process_time()
    packed = PackedMixture(samples, length=collate.encoder, budget=BUDGET, rows=len(samples))
    useful = rows = 0
    planning = 0.0
    while True:
        begun = time.process_time()
        try:
            row = packed[rows]
        except IndexError:
            break
        planning += time.process_time() - begun
        useful += collate([row])["input_ids"].numel()
        rows += 1
    seconds = time.process_time() - start
    return {"seconds": seconds, "useful": useful, "padded": rows * BUDGET, "planning": planning, "rows": rows}


def _resizing(samples: list[dict[str, Any]]) -> dict[str, float]:
    """Return what Pillow's resizing alone takes, as TRL calls it and ours where the resizer is Pillow."""
    from rscovlm.processing import plan_size

    start = time.process_time()
    for one in samples:
        for image in one["images"]:
            image.resize(plan_size(*image.size), resample=Image.Resampling.BICUBIC)
    return {"seconds": time.process_time() - start}


def compare(count: int) -> dict[str, dict[str, float]]:
    """Collate the same samples both ways and return what each took, by process time."""
    from rscovlm.testing import tiny_checkpoint

    pool = make_pool()
    samples = [make_sample(seed, pool) for seed in range(count)]
    with tempfile.TemporaryDirectory() as folder:
        tiny_checkpoint(folder)
        return {
            "TRL": _theirs(folder, samples, stock=True),
            "TRL, our images": _theirs(folder, samples, stock=False),
            "rscovlm": _ours(folder, samples),
            "rscovlm, Pillow": _ours(folder, samples, "pillow"),
            "resizing": _resizing(samples),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(hardware(), f"{options.samples} samples, training resizes by {fast_resizer()} here", sep="\n")
    for _ in range(options.rounds):
        report(compare(options.samples), options.samples)


def report(found: dict[str, dict[str, float]], samples: int) -> None:
    """Print one round."""
    resizing = found.pop("resizing")["seconds"]
    for name, one in found.items():
        waste = 1 - one["useful"] / one["padded"]
        speed, tokens = samples / one["seconds"], one["useful"] / one["seconds"]
        print(
            f"{name:16} {speed:8.1f} samples/s  {waste:6.1%} of the batch is padding or empty  {tokens:8.0f} useful tokens/s"
        )
    theirs, ours, exact = found["TRL"], found["rscovlm"], found["rscovlm, Pillow"]
    times, exactly = (one["useful"] / one["seconds"] / (theirs["useful"] / theirs["seconds"]) for one in (ours, exact))
    print(f"useful tokens/s: {times:.2f} times TRL's, {exactly:.2f} with Pillow's resizing alone")
    print(f"Pillow's resizing takes {resizing:.2f} s, {resizing / exact['seconds']:.1%} of ours with it")
    planning = ours["planning"]
    print(f"planning took {planning / ours['seconds']:.1%} of ours, {samples / planning:.0f} samples/s", flush=True)


if __name__ == "__main__":
    main()
