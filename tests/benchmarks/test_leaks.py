"""Test images that were trained on are named: the same file, and the same picture stored otherwise."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from rscovlm.benchmarks.items import BenchmarkItem, load_items
from rscovlm.benchmarks.leaks import find_leaks, trained_images
from rscovlm.benchmarks.suite import load_suite
from rscovlm.cli import app
from rscovlm.data.storage import write_jsonl
from rscovlm.records import ImageRef, Record
from tests.benchmarks.stand_ins import scene, write_refgeo


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A benchmark of four images, of which training has one file, one picture as JPEG at another size, and others."""
    folder = tmp_path_factory.mktemp("leaks")
    rng = np.random.default_rng(21)
    write_refgeo(folder / "refGeo", rng, 4)
    tests = folder / "refGeo/images/rsvg"
    train = folder / "train"
    train.mkdir()
    (train / "copy.png").write_bytes((tests / "test_1.png").read_bytes())
    Image.open(tests / "test_3.png").resize((168, 168)).save(train / "other.jpg", quality=90)
    for number in range(3):
        scene(rng).image.save(train / f"own{number}.png")
    records = [
        Record(str(k), "mine", "train", "caption", (ImageRef(path.name, width=8, height=8),), captions=("x",))
        for k, path in enumerate(sorted(train.iterdir()))
    ]
    write_jsonl(records, train / "records.jsonl")
    mixture = {"subsets": [{"name": "a", "records": "train/records.jsonl", "weight": 1}]}
    (folder / "mixture.yaml").write_text(json.dumps(mixture))
    (folder / "run.yaml").write_text(json.dumps({"model": "m", "steps": 1, "mixture": mixture}))
    return folder


@pytest.fixture(scope="module")
def items(root: Path) -> list[BenchmarkItem]:
    return load_items(load_suite("rsvg-test"), root)


@pytest.mark.parametrize("source", ["train/records.jsonl", "mixture.yaml", "run.yaml"])
def test_files_and_looks_are_found_and_nothing_else(source: str, root: Path, items: list[BenchmarkItem]) -> None:
    images = list(trained_images(root / source))
    assert len(images) == 5
    found = {leak.image.rpartition("/")[2]: leak for leak in find_leaks(items, images)}
    assert {name: leak.how for name, leak in found.items()} == {
        "test_1.png": "same file",
        "test_3.png": "looks the same",
    }
    assert found["test_3.png"].trained == "other.jpg" and found["test_1.png"].items == 1
    assert [leak.how for leak in find_leaks(items, images, looks=False)] == ["same file"]


def test_eval_names_or_refuses_them(root: Path, tmp_path: Path) -> None:
    words = ["eval", "--suite", "rsvg-test", "--data", str(root), "--trained", str(root / "run.yaml"), "--no-controls"]
    refused = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "a"), "--refuse-leaks"])
    assert refused.exit_code == 2 and "2 test images were trained on" in refused.output
    assert not (tmp_path / "a").exists()
    done = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "b"), "--repeats", "0"])
    assert done.exit_code == 0, done.output
    assert "rsvg-test: 2 test images were trained on, 2 questions" in done.output
    assert len(json.loads((tmp_path / "b/leaks.json").read_text())["leaks"]["rsvg-test"]) == 2
    assert (tmp_path / "b/worst.rsvg-test.native.html").read_text().count("<figure>") == 4
