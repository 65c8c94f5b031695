"""Reinforcement learning of outlines: TRL's GRPO, rewarded by the overlap of the areas that an answer states.

    python examples/grpo_points.py --output runs/grpo_points      # the embedded model on generated scenes
    accelerate launch examples/grpo_points.py --model CHECKPOINT --rows outlines.jsonl --output runs/grpo_points

A row has scene (an image file), label, and truth: the objects, each a list of rings x1, y1, x2, y2 ... in the image's pixels. For
change, give change_f1 in the place of mask_iou. The rewards of zooming are in examples/grpo.py.
"""

import argparse
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset, Image
from trl import GRPOConfig, GRPOTrainer

import rscovlm
from rscovlm.points.rewards import set_rewards
from rscovlm.processing import plan_size
from rscovlm.rasters import open_image
from rscovlm.scenes import SceneConfig, make_scene

ASK = "Outline the {label} as a closed polygon: [(x1,y1),(x2,y2),...] {label}"
WEIGHTS = {"mask_iou": 1.0, "evidence": 0.5, "points_format": 0.2}


def generated(folder: Path, count: int) -> list[dict[str, Any]]:
    """Draw scenes with one object, and take its outline."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for seed in range(count):
        scene = make_scene(seed, SceneConfig(min_objects=1, max_objects=1))
        scene.image.save(folder / f"{seed}.png")
        quads = scene.truth.boxes.as_kind("quad").coords
        label = scene.objects[0].label
        rows.append(
            {"scene": str(folder / f"{seed}.png"), "label": label, "truth": [[quad.tolist()] for quad in quads]}
        )
    return rows


def prepared(row: dict[str, Any], processor: Any) -> dict[str, Any]:
    """Return a row as the trainer takes it, its truth in the grid that the model sees."""
    with open_image(row["scene"]) as raster:
        width, height = raster.width, raster.height
    size = plan_size(width, height, processor.image_processor.budget)
    scale = np.array(size) / (width, height)
    rings = [[(np.reshape(ring, (-1, 2)) * scale).ravel().tolist() for ring in one] for one in row["truth"]]
    asked = [{"role": "user", "content": ASK.format(label=row["label"])}]
    return {"prompt": asked, "image": row["scene"], "truth": rings, "size": list(size)}


def main(arguments: list[str] | None = None) -> GRPOTrainer:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="embedded", help="checkpoint; the embedded model by default")
    parser.add_argument("--rows", type=Path, help="JSONL file; generated scenes without it")
    parser.add_argument("--output", type=Path, default=Path("runs/grpo_points"), help="where scenes and checkpoints go")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--generations", type=int, default=4, help="answers tried for each question")
    parser.add_argument("--tokens", type=int, default=128, help="tokens of one answer")
    parser.add_argument("--learning-rate", type=float, default=1e-6)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if options.rows is None:
        rows = generated(options.output / "scenes", 64)
    else:
        rows = [json.loads(line) for line in options.rows.read_text(encoding="utf-8").splitlines()]

    model, processor = rscovlm.load(options.model, device="cpu")  # the trainer moves it
    rewards = set_rewards(processor.codec)
    data = Dataset.from_list([prepared(row, processor) for row in rows]).cast_column("image", Image())
    trainer = GRPOTrainer(
        model,
        processing_class=processor,
        train_dataset=data,
        reward_funcs=[rewards[name] for name in WEIGHTS],
        args=GRPOConfig(
            output_dir=str(options.output),
            max_steps=options.steps,
            per_device_train_batch_size=options.generations,
            num_generations=options.generations,
            max_completion_length=options.tokens,
            learning_rate=options.learning_rate,
            reward_weights=list(WEIGHTS.values()),
            logging_steps=1,
            bf16=torch.cuda.is_available(),
            save_strategy="no",
            report_to=[],
        ),
    )
    trainer.train()
    trainer.save_model(str(options.output / "model"))
    return trainer


if __name__ == "__main__":
    main()
