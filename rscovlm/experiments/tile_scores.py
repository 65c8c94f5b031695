"""How well a model finds objects where `detect` looks: on single tiles of large scenes, and on whole parts once the tiles are merged."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rscovlm.data.tiles import LEAST, Foreground
from rscovlm.engines import Engine
from rscovlm.engines.engine import dialect_of, replies
from rscovlm.experiments.scenes import TEST_TEXTURES
from rscovlm.files import write_text
from rscovlm.geometry import Boxes, Frame, Objects
from rscovlm.metrics import ap_nc
from rscovlm.mixtures.scene_records import scene_objects, seen_frame
from rscovlm.mixtures.scene_tiles import SceneTiles
from rscovlm.rasters import Raster
from rscovlm.records import Annotation
from rscovlm.scenes import LayoutConfig, SceneConfig, SceneLayout, make_scene
from rscovlm.tasks import detect
from rscovlm.tasks.detect import question

TEST_SEED = 910_000
"""First seed of the large scenes that are measured on; training takes those from 5,000 on."""

SIDES = (84, 126, 168)
"""Sides of the tiles that are measured, in pixels of the scene."""


@dataclass(frozen=True)
class Found:
    """What was found in some pictures.

    Attributes:
        ap: AP_nc at IoU 0.5, mean over classes.
        precision: Share of the found objects that match a true one at IoU 0.5.
        recall: Share of the true objects that were found.
        none: Share of the pictures without objects that were answered with none; 1 without such pictures.
        true: Number of true objects.
        pictures: Number of pictures.
    """

    ap: float
    precision: float
    recall: float
    none: float
    true: int
    pictures: int


def score_tiles(engine: Engine, side: int, *, count: int = 96, seed: int = TEST_SEED) -> Found:
    """Measure detection on tiles of one side, a quarter of them without objects, with up to 12 objects on the others."""
    tiles = SceneTiles(
        dialect_of(engine),
        engine.budget,
        sides=(side,),
        parts=48,
        seed=seed,
        textures=(TEST_TEXTURES,),
        subsets=0.0,
        empty=0.25,
    )
    rng = np.random.default_rng([seed, side])
    records = [tiles.record(rng) for _ in range(count)]
    pictures = [Image.open(BytesIO(record.images[0].data or b"")) for record in records]
    truths = [_objects(record.objects, Frame(*picture.size)) for record, picture in zip(records, pictures, strict=True)]
    return _score(engine, pictures, truths, tiles.classes)


def score_crowded(engine: Engine, config: SceneConfig, *, count: int = 96, seed: int = TEST_SEED) -> Found:
    """Measure detection on scenes of a configuration, seen as a whole."""
    rng = np.random.default_rng([seed, 3])
    scenes = [make_scene(rng, replace(config, texture_seed=TEST_TEXTURES)) for _ in range(count)]
    return _score(engine, [scene.image for scene in scenes], [scene_objects(scene) for scene in scenes], config.classes)


def score_whole(
    engine: Engine, raster: Raster, truth: Sequence[Annotation], classes: Sequence[str], **options: Any
) -> Found:
    """Measure what `detect` finds in an image, tiles merged.

    Args:
        engine: Who answers.
        raster: The image.
        truth: Its objects in its pixels, those cut by its border too; what lies less than 0.7 inside counts neither way.
        classes: Classes looked for.
        options: For `detect`.
    """
    found = detect(engine, raster, classes, **options)
    wanted = [item for item in truth if item.label in classes]
    window = (0, 0, raster.width, raster.height)
    near, shares = Foreground(wanted).shares(window)
    kept = [wanted[row] for row in near]
    objects = _objects(kept, raster.frame)
    true = {"boxes": objects.boxes.coords, "labels": objects.labels, "difficult": (shares < LEAST).tolist()}
    return _found([found.objects], [true], [])


def harbour(
    seed: int, side: int, *, texture_seed: int = TEST_TEXTURES, part: int = 640
) -> tuple[Image.Image, list[Annotation]]:
    """Draw the harbour of a large scene, and return it with all objects that reach into it."""
    layout = SceneLayout(seed, LayoutConfig(side, side, texture_seed=texture_seed))
    x, y = (int(np.clip(value - part / 2, 0, side - part)) for value in layout.areas["harbour"])
    return layout.render(x, y, x + part, y + part), objects_in(layout, (x, y, x + part, y + part))


def objects_in(layout: SceneLayout, window: tuple[int, int, int, int]) -> list[Annotation]:
    """Return the objects of a layout that reach into a window, in the window's pixels."""
    items = [
        Annotation(tuple(thing.moved(-window[0], -window[1]).quad.ravel().tolist()), thing.label, "quad")
        for thing in layout.objects
    ]
    near, _ = Foreground(items).shares((0, 0, window[2] - window[0], window[3] - window[1]))
    return [items[row] for row in near]


def _score(engine: Engine, pictures: Sequence[Image.Image], truths: Sequence[Objects], classes: Sequence[str]) -> Found:
    asked = question(dialect_of(engine), classes, kind="quad")
    answers = replies(engine, [asked.conversation([picture]) for picture in pictures], max_new_tokens=400)
    found, none = [], []
    for reply, picture, truth in zip(answers, pictures, truths, strict=True):
        decoded = engine.codec.decode(reply.text, seen_frame(picture, engine.budget), kind="quad", categories=classes)
        found.append(decoded.objects.to(Frame(*picture.size)))
        if not len(truth):
            none.append(decoded.none)
    return _found(found, list(truths), none)


def _found(found: Sequence[Any], truths: Sequence[Any], none: Sequence[bool]) -> Found:
    result = ap_nc(found, truths, iou_thresholds=(0.5,))
    (counts,) = result["thresholds"].values()
    right, wrong = counts["right"], counts["wrong"]
    true = result["counts"]["true"] - result["counts"]["difficult"]
    return Found(
        result["ap_nc50"]["mean"],
        right / max(right + wrong, 1),
        right / max(true, 1),
        float(np.mean(none)) if none else 1.0,
        true,
        len(found),
    )


def _objects(items: Sequence[Annotation], frame: Frame) -> Objects:
    if not items:
        return Objects(Boxes.empty("quad", frame), ())
    return Objects(Boxes(np.array([item.box for item in items]), "quad", frame), tuple(item.label for item in items))


def markdown_table(scores: dict[str, Found]) -> str:
    """Return the scores as a Markdown table."""
    lines = ["| where | AP_nc50 | precision | recall | none | objects | pictures |", "|---|---|---|---|---|---|---|"]
    lines += [
        f"| {name} | {one.ap:.3f} | {one.precision:.3f} | {one.recall:.3f} | {one.none:.3f} | {one.true} | {one.pictures} |"
        for name, one in scores.items()
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure a checkpoint from the command line, print the table, and write the scores where ``--out`` says."""
    from rscovlm.engines import Transformers
    from rscovlm.experiments.embedded_tiles import crowded_scenes
    from rscovlm.loading import load
    from rscovlm.rasters import open_image

    parser = argparse.ArgumentParser(description="Measure a checkpoint on tiles of large scenes it never saw.")
    parser.add_argument("folder", help="checkpoint folder")
    parser.add_argument("--count", type=int, default=96, help="tiles of each side")
    parser.add_argument("--harbours", type=int, default=4, help="harbours searched whole")
    parser.add_argument("--out", type=Path, help="JSON file for the scores; nothing is written without it")
    options = parser.parse_args()
    engine = Transformers(*load(options.folder, device="cpu"), batch_size=48)
    scores = {f"tiles of {side}": score_tiles(engine, side, count=options.count) for side in SIDES}
    scores["up to 12 objects in 168 x 168"] = score_crowded(engine, crowded_scenes(), count=options.count)
    for number in range(options.harbours):
        image, truth = harbour(TEST_SEED + number, 8192)
        with open_image(image) as raster:
            scores[f"harbour {number}"] = score_whole(
                engine, raster, truth, ("plane", "ship", "tank"), tile=84, overlap=42, batch=48, max_new_tokens=200
            )
    if options.out is not None:
        kept = {name: asdict(one) for name, one in scores.items()}
        write_text(options.out, json.dumps(kept, indent=2) + "\n")
    sys.stdout.write(markdown_table(scores) + "\n")


if __name__ == "__main__":
    import rscovlm  # noqa: F401  registers the processor

    main()
