"""Scenes on disk as records, a tiny model, and a recipe that trains it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rscovlm.data.records import Annotation, ImageRef, Record
from rscovlm.data.scenes import SceneConfig, make_scene
from rscovlm.data.storage import write_jsonl
from rscovlm.testing import tiny_checkpoint
from tests.training.courses import Server, serving


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scenes on disk as records, and a tiny model."""
    folder = tmp_path_factory.mktemp("data")
    records: list[Record] = []
    for seed in range(12):
        scene = make_scene(seed, SceneConfig(size=112, min_objects=0, max_objects=3))
        scene.image.save(folder / f"{seed}.png")
        image = ImageRef(f"{seed}.png", width=112, height=112)
        objects = tuple(Annotation(tuple(map(float, thing.quad.ravel())), thing.label) for thing in scene.objects)
        classes = ("plane", "ship", "vehicle", "tank", "court")
        records.append(
            Record(f"d{seed}", "scenes", "train", "detection", (image,), objects=objects, categories=classes)
        )
        records.append(Record(f"c{seed}", "scenes", "train", "classification", (image,), classes=(scene.scene_class,)))
    write_jsonl(records, folder / "scenes.jsonl")
    tiny_checkpoint(folder / "tiny")
    return folder


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """What runs recipes in processes of their own."""
    with serving() as started:
        yield started


def recipe_of(root: Path, **changes: Any) -> dict[str, Any]:
    """Return the plain values of a recipe of four steps, with changes."""
    return {
        "model": str(root / "tiny"),
        "steps": 4,
        "dtype": "float32",
        "packing": {"tokens": 1024, "lookahead": 16},
        "train": {
            "learning_rate": 1e-3,
            "per_device_train_batch_size": 1,
            "use_cpu": True,
            "bf16": False,
            "activation_checkpointing": False,
            "save_strategy": "no",
            "logging_steps": 1,
            "disable_tqdm": True,
        },
        "mixture": {
            "budget": {"min_pixels": 56 * 56, "max_pixels": 112 * 112},
            "subsets": [
                {"name": "scenes", "records": "scenes.jsonl", "render": {"json_rate": 0.5, "resize_rate": 0.5}}
            ],
        },
        **changes,
    }
