"""Generated scenes as a data set of files, to try commands on: COCO, a manifest, pairs of one place."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rscovlm.files import write_text
from rscovlm.scenes.change import make_change
from rscovlm.scenes.geotiff import write_geotiff
from rscovlm.scenes.large import map_frame
from rscovlm.scenes.questions import Task, questions
from rscovlm.scenes.scene import Scene, SceneConfig, make_scene

CLASSES = ("plane", "ship", "tank")
"""What the embedded model knows."""

_PAIRS = 2


def write_data_set(
    folder: str | Path,
    *,
    count: int = 12,
    held: int = 4,
    classes: Sequence[str] = CLASSES,
    seed: int = 0,
) -> Path:
    """Draw scenes and write them as small GeoTIFFs with their truth.

    Args:
        folder: A new or an empty folder. Gets ``images/train`` and ``images/val``, ``annotations/instances_train.json`` and ``instances_val.json`` (COCO, with
            the four corners of each object as its polygon), ``manifest.jsonl`` (a question and expressions for each held picture) and
            ``pairs.jsonl`` with ``pairs/`` (two pictures of one place each).
        count: Scenes to train on.
        held: Scenes to measure on.
        classes: What the scenes hold.
        seed: Other seeds give other scenes.

    Returns:
        The folder.

    Raises:
        ValueError: A number is below 1, a class is unknown, or the folder holds files.

    >>> import tempfile
    >>> made = write_data_set(Path(tempfile.mkdtemp()) / "drawn", count=1, held=1)
    >>> sorted(path.name for path in made.glob("*"))
    ['annotations', 'images', 'manifest.jsonl', 'pairs', 'pairs.jsonl']
    """
    if min(count, held) < 1:
        raise ValueError(f"{count} scenes to train on and {held} held: give at least one of each")
    config = SceneConfig(classes=tuple(classes))
    root = Path(folder)
    if os.path.lexists(root) and (not root.is_dir() or any(root.iterdir())):
        raise ValueError(f"{folder} holds files or is one; give a new or an empty folder")
    root.mkdir(parents=True, exist_ok=True)
    for place, (split, number) in enumerate((("train", count), ("val", held))):
        scenes = (make_scene(_seed(seed, place, one), config) for one in range(number))
        _write_split(root, split, scenes, config.classes)
    pairs = []
    for one in range(_PAIRS):
        change = make_change(_seed(seed, 2, one), config)
        names = [f"pairs/{one}-{when}.tif" for when in ("before", "after")]
        for name, scene in zip(names, (change.before, change.after), strict=True):
            _write_picture(root / name, scene, one)
        pairs.append({"id": str(one), "images": names})
    write_text(root / "pairs.jsonl", _lines(pairs))
    return root


def _seed(seed: int, place: int, one: int) -> np.random.Generator:
    """Return a generator that no other scene of the folder has."""
    return np.random.default_rng([seed, 47, place, one])


def _write_split(root: Path, split: str, scenes: Iterator[Scene], classes: tuple[str, ...]) -> None:
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    asked: list[dict[str, Any]] = []
    for number, scene in enumerate(scenes):
        name = f"{number:04d}.tif"
        _write_picture(root / "images" / split / name, scene, number)
        side = scene.image.width
        images.append({"id": number, "file_name": name, "width": side, "height": scene.image.height})
        for thing in scene.objects:
            corners = [round(float(value), 2) for value in thing.quad.ravel()]
            left, right = min(corners[::2]), max(corners[::2])
            top, bottom = min(corners[1::2]), max(corners[1::2])
            box = [round(value, 2) for value in (left, top, right - left, bottom - top)]
            about = {"id": len(annotations), "image_id": number, "category_id": classes.index(thing.label) + 1}
            annotations.append({**about, "bbox": box, "segmentation": [corners], "area": box[2] * box[3], "iscrowd": 0})
        asked.append({"image": f"images/{split}/{name}", **_asked(scene, classes)})
    categories = [{"id": place + 1, "name": name} for place, name in enumerate(classes)]
    truth = {"images": images, "annotations": annotations, "categories": categories}
    (root / "annotations").mkdir(exist_ok=True)
    write_text(root / "annotations" / f"instances_{split}.json", json.dumps(truth))
    if split == "val":
        write_text(root / "manifest.jsonl", _lines(asked))


def _asked(scene: Scene, classes: tuple[str, ...]) -> dict[str, Any]:
    """Return what a line of the manifest asks about a scene."""
    kinds: tuple[Task, ...] = ("count", "grounding")
    counts, places = (questions(scene.scene_class, scene.objects, classes=classes, tasks=(kind,)) for kind in kinds)
    phrases = [one.phrase for one in places]
    return {"question": counts[0].text, "expressions": phrases or [f"the {classes[0]}"]}


def _write_picture(path: Path, scene: Scene, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    frame = map_frame(number, *scene.image.size)
    write_geotiff(path, frame, lambda x1, y1, x2, y2: scene.image.crop((x1, y1, x2, y2)))


def _lines(rows: Sequence[dict[str, Any]]) -> str:
    return "".join(f"{json.dumps(row)}\n" for row in rows)
