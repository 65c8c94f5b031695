"""Train the embedded model on with what policies ask, and measure every policy: ``python -m rscovlm.experiments.policies FOLDER``.

``--shipped`` measures the embedded model as it is, on the pads that it was trained to look at.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rscovlm.experiments.embedded import STAGES, scene_config
from rscovlm.experiments.policies.lessons import phrases
from rscovlm.experiments.policies.pads import TASKS, PadTask, draw_question
from rscovlm.experiments.policies.quotas import BATCH, LastReply, Lessons
from rscovlm.experiments.scenes import TEST_TEXTURES
from rscovlm.files import check_output, write_text
from rscovlm.geometry import Boxes, Frame
from rscovlm.scenes import make_zoom_scene
from rscovlm.scenes.pad import UNIT
from rscovlm.zoom import compare, write_comparison
from rscovlm.zoom.comparison import PolicyScore, table
from rscovlm.zoom.summary import ZoomQuestion

STEPS = 400
NAMED: dict[PadTask, str] = {
    "one": "One small marking",
    "compare": "Two far markings, compared",
    "count": "All markings, counted",
}
POLICIES = ("call", "tree", "grid", "assess", "branch", "vote")


def train_policies(
    folder: Path, *, start: str = "embedded", steps: int = STEPS, seed: int = 0, **arguments: Any
) -> Any:
    """Train a model on with lessons of all policies, and save it.

    Args:
        folder: Where model and processor go.
        start: Checkpoint to begin with.
        steps: Optimiser steps.
        seed: Of the lessons.
        arguments: For `trl.SFTConfig`.

    Returns:
        The finished trainer.
    """
    from tokenizers import AddedToken

    from rscovlm.loading import load
    from rscovlm.training.collator import Collator
    from rscovlm.training.optimizer import MuonAdamW
    from rscovlm.training.sft import build_trainer

    model, processor = load(start, device="cpu")
    processor.tokenizer.add_tokens([AddedToken(text, normalized=False, special=False) for text in phrases()])
    model.resize_token_embeddings(len(processor.tokenizer), mean_resizing=False)
    settings = {
        "output_dir": str(folder / "checkpoints"),
        "per_device_train_batch_size": BATCH,
        "max_steps": steps,
        "lr_scheduler_type": "linear",
        "warmup_steps": 20,
        "max_grad_norm": 1.0,
        "activation_checkpointing": False,
        "bf16": False,
        "use_cpu": True,
        "save_strategy": "no",
        "logging_steps": 25,
        "seed": seed,
        "disable_tqdm": True,
        **arguments,
    }
    optimizer = MuonAdamW(model.named_parameters(), lr=6e-4, muon_lr=6e-3)
    collator = Collator(processor, notes=True)
    collator.encoder = LastReply(processor)
    lessons = Lessons(steps * BATCH, seed=seed)
    trainer = build_trainer(model, processor, lessons, collator=collator, optimizer=optimizer, **settings)
    trainer.train()
    model.eval()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return trainer


def measure_policies(
    engine: Any, task: PadTask, *, count: int, seed: int = 4242, policies: Sequence[Any] = POLICIES
) -> tuple[list[PolicyScore], float]:
    """Answer questions of a kind under each policy, on scenes with textures that no lesson has.

    Returns:
        The figures, and the accuracy of the most frequent answer.
    """
    rng = np.random.default_rng([seed, TASKS.index(task)])
    asked = [draw_question(rng, task, TEST_TEXTURES).asked() for _ in range(count)]
    most = Counter(one.answer for one in asked).most_common(1)[0][1]
    return compare(engine, asked, policies, max_new_tokens=16), most / count


def shipped_questions(count: int, seed: int = 4242) -> list[ZoomQuestion]:
    """Return questions about one pad as the embedded model's own recipe draws them, with textures that it never saw."""
    rng = np.random.default_rng(seed)
    config = scene_config(STAGES[-1], TEST_TEXTURES)
    scenes = [make_zoom_scene(rng, config=config) for _ in range(count)]
    frame = Frame(UNIT, UNIT)
    return [
        ZoomQuestion(scene.image, scene.question, scene.answer, Boxes(scene.pad.crop[None], "hbb", frame))
        for scene in scenes
    ]


def main() -> None:
    """Run the recipe from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "folder", type=Path, help="where model and figures go; a model that is there is measured as it is"
    )
    parser.add_argument("--start", default="embedded", help="checkpoint to begin with")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=64, help="questions of each kind")
    parser.add_argument("--policies", nargs="+", choices=POLICIES, default=POLICIES, help="what is measured")
    parser.add_argument(
        "--shipped", action="store_true", help="measure the embedded model as it is; nothing is trained"
    )
    options = parser.parse_args()
    if options.shipped:
        _measure_shipped(options.folder, options.count)
        return
    check_output(options.folder / "policies.json")
    if not (options.folder / "config.json").is_file():
        train_policies(options.folder, start=options.start, steps=options.steps, seed=options.seed)
    from rscovlm.engines import Transformers
    from rscovlm.loading import load

    engine = Transformers(*load(str(options.folder), device="cpu"), batch_size=48)
    figures: dict[str, Any] = {}
    compared: dict[str, Sequence[PolicyScore]] = {}
    for task in TASKS:
        start = time.process_time()
        # Other questions for each seed, so that the spread over seeds is that of training and of questions together.
        seed = 4242 + options.seed
        scores, most = measure_policies(engine, task, count=options.count, seed=seed, policies=options.policies)
        spent = time.process_time() - start
        sys.stdout.write(f"\n{task}: {options.count} questions, the most frequent answer {most:.2f}, {spent:.0f} s\n\n")
        sys.stdout.write(table(scores) + "\n")
        figures[task] = {"most_frequent": most, "policies": [score.to_dict() for score in scores]}
        text = json.dumps(figures, indent=2) + "\n"
        write_text(
            options.folder / "policies.json", text, overwrite=True
        )  # this run's own, with one kind more each time
        compared[f"{NAMED[task]} (the most frequent answer: {100 * most:.0f} %)"] = scores
        write_comparison(compared, options.folder / "policies.html", notes=[f"Model: {options.folder.name}."])


def _measure_shipped(folder: Path, count: int) -> None:
    """Measure the embedded model on one pad, print the table and write the page."""
    from rscovlm.engines import Transformers
    from rscovlm.loading import load

    scores = compare(
        Transformers(*load("embedded", device="cpu"), batch_size=48),
        shipped_questions(count),
        POLICIES,
        max_new_tokens=16,
    )
    sys.stdout.write(table(scores) + "\n")
    folder.mkdir(parents=True, exist_ok=True)
    write_comparison({"One marking, the embedded model as it ships": scores}, folder / "policies.html")


if __name__ == "__main__":
    import rscovlm  # noqa: F401  registers the processor

    main()
