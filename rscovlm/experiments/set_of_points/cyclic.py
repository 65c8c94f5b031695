"""What cyclic referring brings: training with and without reversed conversations at equal steps, and the self-check as a confidence.

``python -m rscovlm.experiments.set_of_points.cyclic FOLDER`` trains both from three seeds, measures them and prints two tables.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from rscovlm.codec import Codec
from rscovlm.engines import Engine
from rscovlm.engines.engine import dialect_of, replies
from rscovlm.experiments.embedded import STAGES, budget, scene_config
from rscovlm.experiments.scenes import TEST_TEXTURES
from rscovlm.experiments.set_of_points.recipe import ROW, train_tasks
from rscovlm.experiments.set_of_points.scores import score_task, task_samples
from rscovlm.exports.matches import match_objects
from rscovlm.files import write_text
from rscovlm.geometry import Objects
from rscovlm.metrics import selective_risk
from rscovlm.mixtures.mixture import Mixture, Subset
from rscovlm.mixtures.scene_records import scene_objects, seen_frame
from rscovlm.mixtures.scene_tasks import SceneTaskTurns
from rscovlm.scenes import Scene, make_scene
from rscovlm.tasks.cyclic import RoundTrips, round_trips
from rscovlm.tasks.describe import expressions_of
from rscovlm.tasks.describe import question as description_question
from rscovlm.tasks.detect import question as detection_question
from rscovlm.tasks.ground import question as grounding_question
from rscovlm.tasks.words import WordAnswer

ARMS = {"without": 0.0, "with": 0.5}
"""Share of the conversations about an expression that are turned round, by arm."""

STEPS, FALL = 80, 40
"""Optimiser steps of each arm, and at how many of them, the last, the rates fall."""

COVERAGES = (0.25, 0.5, 0.75, 1.0)


def build_pointing_mixture(*, seed: int = 0, cyclic: float = 0.0) -> Mixture:
    """Build a mixture of pointing by expressions, of which a share is reversed, and some detection so that it is not forgotten.

    Args:
        seed: Of the samples.
        cyclic: The share.
    """
    codec, config = Codec.preset("rscovlm-v1"), scene_config(STAGES[-1])
    pointing = SceneTaskTurns(("comprehension",), config, codec, budget(), 2, cyclic)
    detecting = SceneTaskTurns(("detection",), config, codec, budget(), 2)
    return Mixture([Subset("pointing", pointing, 4.0), Subset("detection", detecting, 1.0)], seed=seed, length=100_000)


def self_check(engine: Engine, scenes: Sequence[Scene]) -> tuple[list[bool], list[float]]:
    """Detect the objects of scenes, describe each and find what was described, and return which detections are right.

    Args:
        engine: Who detects, describes and finds; all scenes are asked about in common batches.
        scenes: With their truth.

    Returns:
        For each detected object whether a true one of its class lies there (IoU from 0.5), and its `RoundTrips.confidence`.
    """
    dialect, classes = dialect_of(engine), scene_config(STAGES[-1]).classes
    asked = [detection_question(dialect, classes, kind="quad").conversation([scene.image]) for scene in scenes]
    found = []
    for scene, reply in zip(scenes, replies(engine, asked, max_new_tokens=200), strict=True):
        seen = seen_frame(scene.image, engine.budget)
        found.append(engine.codec.decode(reply.text, seen, kind="quad", categories=classes).objects.to(scene.frame))
    texts = _described(engine, scenes, found)
    boxes = _found_again(engine, scenes, texts)
    right, sure = list[bool](), list[float]()
    for scene, objects, words, again in zip(scenes, found, texts, boxes, strict=True):
        trips = _trips(engine, scene, objects, words, again)
        matched = {row for row, _ in match_objects(objects, scene_objects(scene)).matched} if scene.objects else set()
        right += [row in matched for row in range(len(objects))]
        sure += trips.confidence.tolist()
    return right, sure


def _described(engine: Engine, scenes: Sequence[Scene], found: Sequence[Objects]) -> list[list[str]]:
    dialect, asked = dialect_of(engine), []
    for scene, objects in zip(scenes, found, strict=True):
        seen = seen_frame(scene.image, engine.budget)
        mentions = [dialect.codec.mention(objects.boxes.as_kind("hbb")[[row]], seen) for row in range(len(objects))]
        asked += [description_question(dialect, mention).conversation([scene.image]) for mention in mentions]
    said = expressions_of([WordAnswer(one.text) for one in replies(engine, asked, max_new_tokens=24)])
    counts = np.cumsum([0, *(len(objects) for objects in found)])
    return [said[start:end] for start, end in pairwise(counts.tolist())]


def _found_again(engine: Engine, scenes: Sequence[Scene], texts: Sequence[Sequence[str]]) -> list[dict[str, Objects]]:
    dialect = dialect_of(engine)
    pairs = [(place, text) for place, words in enumerate(texts) for text in dict.fromkeys(words) if text]
    asked = [grounding_question(dialect, text, kind="hbb").conversation([scenes[place].image]) for place, text in pairs]
    boxes: list[dict[str, Objects]] = [{} for _ in scenes]
    for (place, text), reply in zip(pairs, replies(engine, asked, max_new_tokens=48), strict=True):
        seen = seen_frame(scenes[place].image, engine.budget)
        read = engine.codec.decode(reply.text, seen, kind="hbb").objects
        boxes[place][text] = Objects(read.boxes, (text,) * len(read)).to(scenes[place].frame)
    return boxes


def _trips(
    engine: Engine, scene: Scene, objects: Objects, words: Sequence[str], again: Mapping[str, Objects]
) -> RoundTrips:
    return round_trips(
        engine,
        scene.image,
        objects,
        describe_all=lambda _: words,
        find_all=lambda texts: [again[text] for text in texts],
    )


def measure_arm(engine: Engine, *, count: int, seed: int) -> dict[str, float]:
    """Measure pointing and describing, and for the self-check the accuracy of detections by coverage.

    Args:
        engine: The trained model.
        count: Items of each.
        seed: Of the scenes.
    """
    figures = {
        kind: score_task(engine, task_samples(kind, engine.budget, count=count, seed=seed), shown=1).values[0]
        for kind in ("comprehension", "generation")
    }
    rng = np.random.default_rng([seed, 13])
    right, sure = self_check(engine, [make_scene(rng, scene_config(STAGES[-1], TEST_TEXTURES)) for _ in range(count)])
    risk = selective_risk([float(one) for one in right], sure, coverages=COVERAGES)
    figures |= {f"right at {coverage:.0%}": risk["accuracy"][coverage] for coverage in COVERAGES}
    return figures | {"area under risk": risk["aurc"], "at best": risk["best_aurc"], "detections": risk["items"]}


def cyclic_table(rows: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """Return the figures of the arms as a Markdown table: mean and standard deviation between seeds.

    Args:
        rows: By arm, the figures of each seed.
    """
    names = list(next(iter(rows.values()))[0])
    lines = [f"| turned round | {' | '.join(names)} |", f"|{'---|' * (len(names) + 1)}"]
    for arm, seeds in rows.items():
        cells = [_cell([one[name] for one in seeds]) for name in names]
        lines.append(f"| {ARMS[arm]:.0%} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(values: Sequence[float]) -> str:
    spread = f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
    return f"{np.mean(values):.3f}{spread}"


def main() -> None:
    """Train and measure from the command line; results that the folder holds already are not computed again."""
    from rscovlm.engines import Transformers
    from rscovlm.loading import load

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where models and scores go")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--falling", type=int, default=FALL)
    parser.add_argument("--count", type=int, default=96, help="items of each measure")
    parser.add_argument("--seed", type=int, default=90018, help="of the scenes that are measured")
    options = parser.parse_args()
    out = options.folder / "scores.json"
    kept: dict[str, Any] = json.loads(out.read_text(encoding="utf-8")) if out.exists() else {}
    for seed in range(options.seeds):
        for arm, share in ARMS.items():
            folder = options.folder / f"{arm}{seed}"
            if folder.name in kept:
                continue
            if not (folder / "model.safetensors").exists():
                training: dict[str, Any] = {
                    "steps": options.steps,
                    "falling": options.falling,
                    "row": ROW,
                    "save_steps": 20,
                    "resume": True,
                }
                train_tasks(folder, seed=seed, cyclic=share, mixture=build_pointing_mixture, **training)
            engine = Transformers(*load(folder, device="cpu"), batch_size=48)
            kept[folder.name] = measure_arm(engine, count=options.count, seed=options.seed)
            write_text(out, json.dumps(kept, indent=2) + "\n", overwrite=True)
    rows = {arm: [kept[f"{arm}{seed}"] for seed in range(options.seeds)] for arm in ARMS}
    sys.stdout.write(cyclic_table(rows) + "\n")


if __name__ == "__main__":
    import rscovlm  # noqa: F401  registers the processor

    main()
