"""How well a model answers on generated scenes it never saw, each figure compared with what an answer without looking reaches."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rscovlm.engines import Conversation, Engine
from rscovlm.engines.engine import dialect_of, replies
from rscovlm.geometry import Boxes, Frame
from rscovlm.metrics import ap_nc, grounding_accuracy
from rscovlm.mixtures.scene_records import scene_objects, scene_questions, seen_frame
from rscovlm.scenes import Scene, SceneConfig, SceneQuestion, make_scene, make_zoom_scene
from rscovlm.tasks.detect import question as detection_question
from rscovlm.tasks.ground import question as grounding_question
from rscovlm.tasks.task import Question
from rscovlm.zoom import ZoomChain, report
from rscovlm.zoom.summary import ZoomQuestion

TEST_TEXTURES = 777
"""Texture seed of test scenes; training uses others."""


@dataclass(frozen=True)
class Score:
    """One figure.

    Attributes:
        value: The model's.
        baseline: What the trivial answer gets on the same items.
        items: Number of items measured.
        trivial: What the trivial answer is.
    """

    value: float
    baseline: float
    items: int
    trivial: str


def score_scenes(engine: Engine, config: SceneConfig, *, count: int = 96, seed: int = 4242) -> dict[str, Score]:
    """Measure a model on scenes of a configuration, drawn with textures no training scene has.

    Args:
        engine: Who answers.
        config: Scenes as trained on; sizes, classes and lengths are taken, textures are replaced.
        count: Scenes per task.
        seed: Of the scenes.

    Returns:
        Scores by name: ``scene_class``, ``colour_one``, ``grounding_one``, ``ap_nc50_one``, ``none_one``, ``recall_one`` with at
        most one object; ``grounding_up_to_three``, ``ap_nc50_several``, ``none_several``, ``recall_several``, ``count``,
        ``colour_several`` with up to three; ``grounding_several`` with two or three; ``zoom_on``, ``zoom_off``, ``zoom_true_region`` on scenes four times as large as the overview.
    """
    rng = np.random.default_rng(seed)
    config = replace(config, texture_seed=TEST_TEXTURES)
    scores: dict[str, Score] = {}
    for name, most in (("one", 1), ("several", 3)):
        found = [make_scene(rng, replace(config, min_objects=1, max_objects=most)) for _ in range(count)]
        empty = [make_scene(rng, replace(config, min_objects=0, max_objects=0)) for _ in range(count // 2)]
        if name == "one":
            scores["scene_class"] = score_words(engine, found + empty, config.classes, "class")
            scores["colour_one"] = score_words(engine, found, config.classes, "colour")
        else:
            scores["count"] = score_words(engine, found + empty, config.classes, "count")
            scores["colour_several"] = score_words(engine, found, config.classes, "colour")
        scores["grounding_one" if most == 1 else "grounding_up_to_three"] = score_grounding(
            engine, found, config.classes
        )
        if most > 1:
            scores["grounding_several"] = score_grounding(engine, found, config.classes, least=2)
        scores.update({f"{key}_{name}": s for key, s in score_detection(engine, found + empty, config.classes).items()})
    scores.update(score_zoom(engine, config, count=count, rng=rng))
    return scores


def score_words(engine: Engine, scenes: Sequence[Scene], classes: tuple[str, ...], task: str) -> Score:
    """Measure one question per scene that is answered in words, compared with the most frequent answer.

    Scenes without such a question are left out: of two planes none has *the* colour of the plane.
    """
    asked = []
    for place, scene in enumerate(scenes):
        questions = scene_questions(scene, classes, (task,))
        if questions:
            asked.append((scene, questions[place % len(questions)]))
    replies = _answers(
        engine, [Question(None, question.text).conversation([scene.image]) for scene, question in asked], 16
    )
    right = [reply.strip() == question.answer for reply, (_, question) in zip(replies, asked, strict=True)]
    most = Counter(question.answer for _, question in asked).most_common(1)[0]
    return Score(float(np.mean(right)), most[1] / len(asked), len(asked), f"always {most[0]!r}")


def score_grounding(engine: Engine, scenes: Sequence[Scene], classes: tuple[str, ...], *, least: int = 1) -> Score:
    """Measure Acc@0.5 of one referred object per scene with at least some objects, compared with the best constant box."""
    asked: list[tuple[Scene, SceneQuestion]] = []
    for scene in scenes:
        questions = scene_questions(scene, classes, ("grounding",)) if len(scene.objects) >= least else []
        if questions:
            asked.append((scene, questions[len(asked) % len(questions)]))
    dialect = dialect_of(engine)
    conversations = [
        grounding_question(dialect, question.phrase, kind="hbb").conversation([scene.image])
        for scene, question in asked
    ]
    replies = _answers(engine, conversations, 64)
    predictions, truths = [], []
    for reply, (scene, question) in zip(replies, asked, strict=True):
        truths.append(scene.objects[question.objects[0]].hbb)
        frame = seen_frame(scene.image, engine.budget)
        found = engine.codec.decode(reply, frame, kind="hbb").objects.to(Frame(*scene.image.size))
        predictions.append(found.boxes.coords[0] if len(found) else None)
    accuracy = grounding_accuracy(predictions, truths)["acc50"]
    return Score(accuracy, best_constant_box(np.stack(truths), scenes[0].image.size), len(asked), "best constant box")


def score_detection(engine: Engine, scenes: Sequence[Scene], classes: tuple[str, ...]) -> dict[str, Score]:
    """Measure detection of all classes with quadrilaterals: AP_nc50, recall, and "none" where there is nothing."""
    asked = detection_question(dialect_of(engine), classes, kind="quad")
    replies = _answers(engine, [asked.conversation([scene.image]) for scene in scenes], 256)
    predictions, truths, none = [], [], []
    for reply, scene in zip(replies, scenes, strict=True):
        decoded = engine.codec.decode(reply, seen_frame(scene.image, engine.budget), kind="quad", categories=classes)
        predictions.append(decoded.objects.to(Frame(*scene.image.size)))
        truths.append(scene_objects(scene))
        if not scene.objects:
            none.append(decoded.none)
    # Classes are those that occur: a made-up one must not be refused, and has no true box to average over.
    result = ap_nc(predictions, truths, iou_thresholds=(0.5,))
    trivial = "always none"
    scores = {
        "ap_nc50": Score(result["ap_nc50"]["mean"], 0.0, len(scenes), trivial),
        "recall": Score(result["recall"], 0.0, sum(len(scene.objects) for scene in scenes), trivial),
    }
    if none:
        scores["none"] = Score(float(np.mean(none)), 1.0, len(none), trivial)
    return scores


def score_zoom(
    engine: Engine, config: SceneConfig, *, count: int, rng: np.random.Generator, looks: int = 1, **scene: Any
) -> dict[str, Score]:
    """Measure questions that need a closer look: with the chain, without it, and with the true region given.

    Args:
        engine: Who answers.
        config: What the scenes hold besides the pad.
        count: Scenes.
        rng: Draws them.
        looks: Windows that the chain may show.
        scene: Further arguments of `make_zoom_scene`, such as ``marking``.
    """
    scenes = [make_zoom_scene(rng, config=config, **scene) for _ in range(count)]
    asked = [
        ZoomQuestion(
            scene.image, scene.question, scene.answer, Boxes(scene.pad.crop[None], "hbb", Frame(*scene.image.size))
        )
        for scene in scenes
    ]
    measured = report(ZoomChain(engine, max_steps=looks), asked)
    most = Counter(scene.answer for scene in scenes).most_common(1)[0]
    values = {"zoom_on": measured.with_zoom.accuracy, "zoom_off": measured.without.accuracy}
    if measured.oracle is not None:
        values["zoom_true_region"] = measured.oracle.accuracy
    return {name: Score(value, most[1] / count, count, f"always {most[0]!r}") for name, value in values.items()}


def best_constant_box(truths: np.ndarray[Any, Any], size: tuple[int, int]) -> float:
    """Return the Acc@0.5 of the one box that serves all items best, out of a grid of centres and of the true sizes.

    Args:
        truths: (n, 4) true boxes.
        size: Width and height of the images in pixels.
    """
    best = 0.0
    sizes = np.quantile(truths[:, 2:] - truths[:, :2], (0.25, 0.5, 0.75), axis=0)
    for cx in np.linspace(0.2, 0.8, 13) * size[0]:
        for cy in np.linspace(0.2, 0.8, 13) * size[1]:
            for w, h in sizes:
                box = np.array([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2])
                best = max(best, grounding_accuracy([box] * len(truths), list(truths))["acc50"])
    return best


def _answers(engine: Engine, conversations: Sequence[Conversation], most: int) -> list[str]:
    return [reply.text for reply in replies(engine, conversations, max_new_tokens=most)]


def markdown_table(scores: Mapping[str, Score]) -> str:
    """Return the scores as a Markdown table, each next to its trivial baseline."""
    lines = ["| task | score | trivial | which is | items |", "|---|---|---|---|---|"]
    lines += [
        f"| {name} | {score.value:.3f} | {score.baseline:.3f} | {score.trivial} | {score.items} |"
        for name, score in scores.items()
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure a checkpoint from the command line, print the table, and write the scores where ``--out`` says."""
    from rscovlm.engines import Transformers
    from rscovlm.experiments.embedded import STAGES, scene_config
    from rscovlm.loading import load

    parser = argparse.ArgumentParser(description="Measure a checkpoint on generated scenes it never saw.")
    parser.add_argument("folder", help="checkpoint folder")
    parser.add_argument("--count", type=int, default=192, help="scenes per task")
    parser.add_argument("--seed", type=int, default=4242, help="of the scenes")
    parser.add_argument("--out", type=Path, help="JSON file for the scores; nothing is written without it")
    options = parser.parse_args()
    engine = Transformers(*load(options.folder, device="cpu"), batch_size=48)
    scores = score_scenes(engine, scene_config(STAGES[-1]), count=options.count, seed=options.seed)
    if options.out is not None:
        kept = {
            "count": options.count,
            "seed": options.seed,
            "scores": {name: asdict(score) for name, score in scores.items()},
        }
        options.out.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(markdown_table(scores) + "\n")


if __name__ == "__main__":
    import rscovlm  # noqa: F401  registers the processor

    main()
