"""Reinforcement learning with the zoom tool: TRL's GRPO on questions whose answer is too small for the overview.

    python examples/grpo.py --output runs/grpo                    # the embedded model on generated scenes
    accelerate launch examples/grpo.py --model CHECKPOINT --rows questions.jsonl --output runs/grpo

A row has scene (an image file of any size), question, answer and, where known, evidence: x1, y1, x2, y2 in its pixels.
Outlines are rewarded in examples/grpo_points.py.
"""

import argparse
import json
import logging
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

import rscovlm
from rscovlm.processing import RESPONSE_WITH_CALLS
from rscovlm.scenes import make_zoom_scene
from rscovlm.zoom.environment import answer_reward, environments, evidence_reward, format_reward, length_reward
from rscovlm.zoom.windows import Limits


def generated(folder: Path, count: int) -> list[dict[str, Any]]:
    """Draw scenes with a small marking, and ask for it."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for seed in range(count):
        scene = make_zoom_scene(seed, 336)
        scene.image.save(folder / f"{seed}.png")
        evidence = [float(side) for side in scene.pad.crop]
        row = {"scene": str(folder / f"{seed}.png"), "question": scene.question, "answer": scene.answer}
        rows.append({**row, "evidence": evidence})
    return rows


def main(arguments: list[str] | None = None) -> GRPOTrainer:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="embedded", help="checkpoint; the embedded model by default")
    parser.add_argument("--rows", type=Path, help="JSONL file; generated scenes without it")
    parser.add_argument("--output", type=Path, default=Path("runs/grpo"), help="where scenes and checkpoints go")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--generations", type=int, default=8, help="answers tried for each question")
    parser.add_argument("--temperature", type=float, default=1.5, help="answers that are all alike teach nothing")
    parser.add_argument(
        "--tokens", type=int, default=256, help="tokens of one answer, its calls and their replies included"
    )
    parser.add_argument("--learning-rate", type=float, default=1e-6)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if options.rows is None:
        rows = generated(options.output / "scenes", 64)
    else:
        rows = [json.loads(line) for line in options.rows.read_text(encoding="utf-8").splitlines()]

    model, processor = rscovlm.load(options.model, device="cpu")  # the trainer moves it
    processor.tokenizer.response_template = (
        RESPONSE_WITH_CALLS  # how TRL finds the calls; it knows only stock templates
    )
    trainer = GRPOTrainer(
        model,
        processing_class=processor,
        # The environment shows the overview and the question: what a row's prompt says is filled in there.
        train_dataset=Dataset.from_list([{"prompt": [{"role": "user", "content": ""}], **row} for row in rows]),
        environment_factory=environments(processor.codec, processor.budget, Limits(max_steps=2)),
        reward_funcs=[answer_reward, evidence_reward, format_reward, length_reward],
        args=GRPOConfig(
            output_dir=str(options.output),
            max_steps=options.steps,
            per_device_train_batch_size=options.generations,
            num_generations=options.generations,
            temperature=options.temperature,
            max_completion_length=options.tokens,
            learning_rate=options.learning_rate,
            reward_weights=[1.0, 0.5, 0.2, 0.1],
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
