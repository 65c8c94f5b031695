"""Scenes on disk as records, a tiny model, and a recipe that trains it."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from rscovlm.testing import tiny_scenes
from tests.training.courses import ROOT, Server, serving


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scenes on disk as records, and a tiny model."""
    return tiny_scenes(tmp_path_factory.mktemp("data"))


@pytest.fixture
def own_root(root: Path, tmp_path: Path) -> Path:
    """A copy of `root` for a test that adds records of its own: others may add some of the same name."""
    return Path(shutil.copytree(root, tmp_path / "root"))


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """What runs recipes in processes of their own."""
    with serving() as started:
        yield started


def recipe_of(root: Path, **changes: Any) -> dict[str, Any]:
    """Return the plain values of the tiny recipe that is shipped, four steps, with changes."""
    path = ROOT / "examples" / "recipes" / "tiny-cpu.yaml"
    return {**yaml.safe_load(path.read_text(encoding="utf-8")), "model": str(root / "model"), **changes}


def balanced_recipe(root: Path, **changes: Any) -> dict[str, Any]:
    """Return a recipe whose weights follow what is measured every second step, with changes."""
    lines = (root / "scenes.jsonl").read_text(encoding="utf-8").splitlines()
    for task in ("detection", "classification"):
        chosen = [line for line in lines if json.loads(line)["task"] == task]
        (root / f"{task}.jsonl").write_text("\n".join(chosen) + "\n", encoding="utf-8")
    recipe = recipe_of(root, packing={"tokens": 400, "lookahead": 8})
    subsets = [{"name": task, "records": f"{task}.jsonl"} for task in ("detection", "classification")]
    recipe["mixture"] |= {"subsets": subsets}
    recipe["evaluation"] = {"subsets": [subsets[0]], "count": 3, "every": 2, "max_new_tokens": 4}
    # A model that was trained for a few steps detects nothing.
    recipe["balance"] = {"targets": {"detection": {"detection/ap_nc50": 0.5}}, "every": 2}
    recipe["train"] |= {"per_device_train_batch_size": 2, "save_strategy": "steps", "save_steps": 1}
    return {**recipe, **changes}
