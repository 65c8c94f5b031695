"""What each task reaches on scenes it never saw, compared with what the same questions reach without their image.

``python -m rscovlm.experiments.set_of_points.scores FOLDER FOLDER FOLDER --out scores.json`` measures a checkpoint a seed and prints the table.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rscovlm.codec import Codec
from rscovlm.engines import Engine
from rscovlm.experiments.embedded import STAGES, scene_config
from rscovlm.experiments.scenes import TEST_TEXTURES
from rscovlm.files import write_text
from rscovlm.mixtures.renderer import Sample
from rscovlm.mixtures.scene_records import image_of
from rscovlm.mixtures.scene_tasks import SCENE_TASKS, SceneTaskTurns
from rscovlm.processing.resolution import PixelBudget
from rscovlm.rasters import open_image
from rscovlm.records.pictures import Picture
from rscovlm.scenes import make_zoom_scene
from rscovlm.tasks.table import task_named
from rscovlm.tasks.wanted import Wanted
from rscovlm.training.evaluation import ask, score

SHOWN = ("its image", "another image", "a grey image")
"""What an item is asked about: the image it is true of, that of another item of its task, and nothing but grey."""

REASONING = "object reasoning"
"""Name of the task whose scenes are larger, so that the model has to look closer."""


@dataclass(frozen=True)
class ControlledScore:
    """One row of a seed.

    Attributes:
        metric: What is measured, of the task's own measures the first.
        values: Its values by what was shown, in the order of `SHOWN`.
        items: Number of items.
    """

    metric: str
    values: tuple[float, ...]
    items: int

    @property
    def above(self) -> bool:
        """Whether the image brings more than both controls."""
        return self.values[0] > max(self.values[1:])


def task_samples(kind: str, budget: PixelBudget, *, count: int, seed: int) -> list[Sample]:
    """Draw items of a kind of task, one question a scene, with textures that no training scene has.

    Args:
        kind: A name of `SCENE_TASKS`.
        budget: Pixels the model sees.
        count: Items.
        seed: Of the scenes.
    """
    config = scene_config(STAGES[-1], TEST_TEXTURES)
    turns = SceneTaskTurns((kind,), config, Codec.preset("rscovlm-v1"), budget)
    rng, renderer = np.random.default_rng([seed, sorted(SCENE_TASKS).index(kind)]), turns.renderer()
    return [renderer(turns.records(rng)[0], rng) for _ in range(count)]


def score_task(
    engine: Engine, samples: Sequence[Sample], *, shown: int = len(SHOWN), max_new_tokens: int = 220
) -> ControlledScore:
    """Measure items of one kind of task three times: with their images, with those of the next item, and with grey ones.

    Args:
        engine: Who answers.
        samples: What `task_samples` drew.
        shown: How many of `SHOWN`, from the first; 1 leaves the controls out.
        max_new_tokens: Limit of an answer.
    """
    values, metric = [], ""
    for what in SHOWN[:shown]:
        asked = [_showing(one, samples[(place + 1) % len(samples)], what) for place, one in enumerate(samples)]
        answers = ask(engine, asked, max_new_tokens=max_new_tokens)
        figures = score(list(zip(answers, samples, strict=True)), engine)
        name, value = next(iter(figures.items()))
        metric = name.partition("/")[2]
        values.append(value)
    return ControlledScore(metric, tuple(values), len(samples))


def score_reasoning(engine: Engine, *, count: int, seed: int) -> ControlledScore:
    """Measure questions about a small marking, whose answer needs a closer look, as `score_task` does."""
    rng = np.random.default_rng([seed, 999])
    scenes = [make_zoom_scene(rng, config=scene_config(STAGES[-1], TEST_TEXTURES)) for _ in range(count)]
    others = [*scenes[1:], scenes[0]]
    pictures = (
        [scene.image for scene in scenes],
        [scene.image for scene in others],
        [_grey(scene.image.size) for scene in scenes],
    )
    asks, values = task_named("ask"), []
    for shown in pictures:
        wanted = [Wanted(question=scene.question) for scene in scenes]
        rows = asks.rows(engine, [open_image(image) for image in shown], wanted)
        right = [row["answer"].strip() == scene.answer for row, scene in zip(rows, scenes, strict=True)]
        values.append(float(np.mean(right)))
    return ControlledScore("accuracy", tuple(values), count)


def score_tasks(engine: Engine, *, count: int = 96, seed: int = 90018) -> dict[str, ControlledScore]:
    """Measure all kinds of task.

    Args:
        engine: Who answers.
        count: Items of each.
        seed: Of the scenes.
    """
    scores = {
        kind: score_task(engine, task_samples(kind, engine.budget, count=count, seed=seed)) for kind in SCENE_TASKS
    }
    return scores | {REASONING: score_reasoning(engine, count=count, seed=seed)}


def table(seeds: Sequence[Mapping[str, ControlledScore]]) -> str:
    """Return the scores of several seeds as a Markdown table: mean and standard deviation between seeds.

    Args:
        seeds: Scores by task, of a model each.
    """
    lines = [
        f"| task | measure | {' | '.join(SHOWN)} | items | above both |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in seeds[0]:
        rows = [one[name] for one in seeds]
        cells = [_cell([row.values[place] for row in rows]) for place in range(len(SHOWN))]
        above = f"{sum(row.above for row in rows)} of {len(rows)} seeds"
        lines.append(f"| {name} | {rows[0].metric} | {' | '.join(cells)} | {rows[0].items} | {above} |")
    return "\n".join(lines)


def _cell(values: Sequence[float]) -> str:
    spread = f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
    return f"{np.mean(values):.3f}{spread}"


def _showing(sample: Sample, other: Sample, shown: str) -> Sample:
    """Return a sample with other pictures in its conversation; what is true of it stays."""
    if shown == SHOWN[0]:
        return sample
    pictures: Sequence[Picture] = sample["images"]
    if shown == SHOWN[1]:
        return {**sample, "images": list(other["images"])}
    grey = [
        replace(one, image=image_of(_grey((one.image.width, one.image.height))), window=one.window) for one in pictures
    ]
    return {**sample, "images": grey}


def _grey(size: tuple[int, int]) -> Image.Image:
    return Image.new("RGB", size, (127, 127, 127))


def _read(path: Path) -> dict[str, Any]:
    kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return kept


def main() -> None:
    """Measure checkpoints from the command line and print the table; those that the file of scores holds are not measured again."""
    from rscovlm.engines import Transformers
    from rscovlm.loading import load

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", help="checkpoint folders, one a seed")
    parser.add_argument("--count", type=int, default=96, help="items of each task")
    parser.add_argument("--seed", type=int, default=90018, help="of the scenes")
    parser.add_argument("--out", type=Path, required=True, help="JSON file for the scores")
    options = parser.parse_args()
    kept = _read(options.out)
    for folder in options.folders:
        if folder in kept:
            continue
        engine = Transformers(*load(folder, device="cpu"), batch_size=48)
        found = score_tasks(engine, count=options.count, seed=options.seed)
        kept[folder] = {name: asdict(one) for name, one in found.items()}
        write_text(options.out, json.dumps(kept, indent=2) + "\n", overwrite=True)
    seeds = [
        {name: ControlledScore(one["metric"], tuple(one["values"]), one["items"]) for name, one in kept[folder].items()}
        for folder in options.folders
    ]
    sys.stdout.write(table(seeds) + "\n")


if __name__ == "__main__":
    import rscovlm  # noqa: F401  registers the processor

    main()
