"""How many samples a second one loading process gives: drawn, put into words, packed, decoded from JPEG, cut into patches.

    OMP_NUM_THREADS=1 python -m tests.benchmarks.bench_loading --rows 40

Records as on disk, paper-like: half detections on images of 1008 x 1008 pixels (JPEG, quality 90), the rest questions and
classification on images of 512 and 256. Eight such processes have to keep up with 40 samples a second, so each with five; the
detections alone, all of them at 1008 x 1008, are timed as well.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import rscovlm  # noqa: F401  registers the processor
from rscovlm.data.storage import write_jsonl
from rscovlm.mixtures.recipe import MixtureRecipe
from rscovlm.records.record import Annotation, ImageRef, Record
from tests.benchmarks.bench_collator import BUDGET, hardware


def write_records(folder: Path) -> None:
    """Write three files of records and their JPEGs, with the texture of a photograph rather than noise."""
    rng = np.random.default_rng(0)
    for side, task in ((1008, "detection"), (512, "vqa"), (256, "classification")):
        records = []
        for number in range(12):
            coarse = rng.integers(0, 255, (side // 8, side // 8, 3), dtype=np.uint8)
            image = np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC), np.int16)
            image = np.clip(image + rng.normal(0, 6, image.shape), 0, 255).astype(np.uint8)
            name = f"{task}{number}.jpg"
            Image.fromarray(image).save(folder / name, quality=90)
            content: dict[str, Any] = {"question": "How many ships are there?", "answer": "two"}
            if task == "classification":
                content = {"classes": ("airfield",)}
            if task == "detection":
                corners = rng.uniform(0, side - 60, (min(int(rng.lognormal(2.0, 1.2)) + 1, 60), 2))
                boxes = [np.ravel(corner + np.array([[0, 0], [40, 5], [38, 20], [-2, 15]])) for corner in corners]
                content = {"objects": tuple(Annotation(tuple(map(float, box)), "ship") for box in boxes)}
                content["categories"] = ("ship", "plane", "harbor")
            reference = ImageRef(name, width=side, height=side)
            records.append(Record(name, "bench", "train", task, (reference,), **content))
        write_jsonl(records, folder / f"{task}.jsonl")


def measure(folder: Path, weights: dict[str, float], rows: int) -> tuple[float, float]:
    """Return samples and useful tokens a second of process time, over some packed rows."""
    from transformers import AutoProcessor

    from rscovlm.training.collator import PackedCollator
    from rscovlm.training.packing import PackedMixture

    processor: Any = AutoProcessor.from_pretrained(folder / "tiny")
    subsets = [{"name": name, "records": f"{name}.jsonl", "weight": weight} for name, weight in weights.items()]
    recipe = MixtureRecipe.from_dict({"subsets": subsets, "budget": {"min_pixels": 224**2, "max_pixels": 1008**2}})
    processor.image_processor.budget = recipe.budget
    mixture = recipe.build(folder, length=1_000_000, codec=processor.codec)
    collate = PackedCollator(processor, notes=True)
    packed = PackedMixture(mixture, length=collate.encoder, budget=BUDGET, lookahead=64, rows=rows)
    collate([packed[0]])
    samples = tokens = 0
    start = time.process_time()
    for row in range(1, rows):
        batch = collate([packed[row]])
        samples += len(batch["notes"].tasks)
        tokens += batch["input_ids"].numel()
    seconds = time.process_time() - start
    return samples / seconds, tokens / seconds


def main() -> None:
    from rscovlm.testing import tiny_checkpoint

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=40)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tiny_checkpoint(folder / "tiny")
        write_records(folder)
        print(hardware(), f"{options.rows} rows of {BUDGET} tokens", sep="\n")
        mixtures = {
            "mixture": {"detection": 0.5, "vqa": 0.25, "classification": 0.25},
            "1008 x 1008 alone": {"detection": 1.0},
        }
        for label, weights in mixtures.items():
            samples, tokens = measure(folder, weights, options.rows)
            print(f"{label:20} {samples:6.1f} samples/s  {tokens:8.0f} tokens/s of one process")


if __name__ == "__main__":
    main()
