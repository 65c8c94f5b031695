"""Packed training beside TRL's unpacked training of the same tiny model on the same samples, in one run.

    OMP_NUM_THREADS=1 python -m tests.benchmarks.bench_packed_training --samples 128

Both train with a stock `trl.SFTTrainer`: TRL's way with its own collator on batches of 8, ours with packed rows of as many
tokens as 8 samples have on average. Time is process time of training, collation included, without building model and
trainer; the two take turns.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from typing import Any

import numpy as np
import torch
from PIL import Image

import rscovlm  # noqa: F401  registers the processor
from rscovlm.processing import PixelBudget
from tests.benchmarks.bench_collator import BATCH, hardware

_SETTINGS: dict[str, Any] = {
    "use_cpu": True,
    "bf16": False,
    "activation_checkpointing": False,
    "save_strategy": "no",
    "disable_tqdm": True,
    "report_to": "none",
    "logging_strategy": "no",
    "learning_rate": 1e-4,
}


def make_samples(count: int) -> list[dict[str, Any]]:
    """Make conversations of the shares of a paper-like mixture, all sides divided by four to suit a tiny model."""
    rng = np.random.default_rng(0)
    pool = {
        side: Image.fromarray(rng.integers(0, 255, (side, side, 3), dtype=np.uint8)) for side in (56, 112, 196, 252)
    }
    made = []
    for _ in range(count):
        task = str(rng.choice(["classification", "vqa", "grounding", "detection"], p=[0.4, 0.3, 0.15, 0.15]))
        side = {"classification": 56, "vqa": 112, "grounding": 196}.get(task) or int(rng.choice([112, 252]))
        answer = "airfield"
        if task == "detection":
            boxes = min(int(rng.lognormal(1.2, 1.0)) + 1, 20)
            answer = "\n".join(",".join(map(str, rng.integers(0, side, 8))) + " ship" for _ in range(boxes))
        content = [{"type": "image"}, {"type": "text", "text": "find the ship"}]
        messages = [
            {"role": "user", "content": content},
            {"role": "assistant", "content": [{"type": "text", "text": answer}]},
        ]
        made.append({"messages": messages, "images": [pool[side]], "tools": None, "task": task})
    return made


def _parts(folder: str) -> tuple[Any, Any]:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    processor: Any = AutoProcessor.from_pretrained(folder)
    processor.image_processor.budget = PixelBudget(min_pixels=56 * 56, max_pixels=252 * 252)
    return AutoModelForImageTextToText.from_pretrained(folder, dtype="float32"), processor


def _theirs(folder: str, samples: list[dict[str, Any]], output: str) -> tuple[Any, int]:
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    model, processor = _parts(folder)
    rows = Dataset.from_dict({"place": range(len(samples))})
    data = rows.with_transform(
        lambda asked: {name: [samples[place][name] for place in asked["place"]] for name in ("messages", "images")}
    )
    steps = len(samples) // BATCH
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(
            output_dir=output, max_steps=steps, per_device_train_batch_size=BATCH, max_length=None,
            remove_unused_columns=False, dataset_kwargs={"skip_prepare_dataset": True}, **_SETTINGS,
        ),
        train_dataset=data,
        processing_class=processor,
    )  # fmt: skip
    return trainer, steps * BATCH


def _ours(folder: str, samples: list[dict[str, Any]], output: str) -> tuple[Any, int]:
    from trl import SFTConfig, SFTTrainer

    from rscovlm.training.collator import PackedCollator
    from rscovlm.training.encoding import Encoder
    from rscovlm.training.packing import PackedMixture
    from rscovlm.training.segments import isolate_samples
    from rscovlm.training.sft import SFT_ARGUMENTS, as_dataset

    model, processor = _parts(folder)
    encoder = Encoder(processor)
    budget = int(BATCH * np.mean([len(encoder(sample)) for sample in samples[:64]]))
    packed = PackedMixture(samples, length=encoder, budget=budget, lookahead=64)
    isolate_samples(model)
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(
            output_dir=output, num_train_epochs=1, per_device_train_batch_size=1, **_SETTINGS, **SFT_ARGUMENTS
        ),
        train_dataset=as_dataset(packed),
        data_collator=PackedCollator(processor),
        processing_class=processor,
    )
    return trainer, len(samples)


def compare(count: int, rounds: int) -> dict[str, list[float]]:
    """Return samples per second of both, round by round."""
    from rscovlm.testing import tiny_checkpoint

    samples = make_samples(count)
    found: dict[str, list[float]] = {"TRL, unpacked": [], "rscovlm, packed": []}
    with tempfile.TemporaryDirectory() as folder:
        tiny_checkpoint(folder)
        for _ in range(rounds):
            for name, build in (("TRL, unpacked", _theirs), ("rscovlm, packed", _ours)):
                trainer, trained = build(folder, samples, f"{folder}/out")
                start = time.process_time()
                trainer.train()
                found[name].append(trained / (time.process_time() - start))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = compare(options.samples, options.rounds)
    print(hardware(), f"{options.samples} samples, {options.rounds} rounds", sep="\n")
    for name, speeds in found.items():
        print(f"{name:16} {np.median(speeds):8.1f} samples/s")
    theirs, ours = (float(np.median(speeds)) for speeds in found.values())
    print(f"packed: {ours / theirs:.2f} times TRL's samples/s")


if __name__ == "__main__":
    main()
