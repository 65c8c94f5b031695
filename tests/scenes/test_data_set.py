"""Drawn scenes as files: what the converter of COCO reads is what was drawn, and all else of the folder fits its pictures."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import rscovlm
from rscovlm.data.sources import convert
from rscovlm.predicting.items import find_items
from rscovlm.scenes import SceneConfig, make_scene, write_data_set


def test_the_converter_reads_what_was_drawn(tmp_path: Path) -> None:
    root = write_data_set(tmp_path / "drawn", count=9, held=5, seed=3)
    config = SceneConfig(classes=("plane", "ship", "tank"))
    objects = 0
    for place, (split, number) in enumerate((("train", 9), ("val", 5))):
        records = list(convert("coco-json", root, split))
        assert len(records) == number
        for one, record in enumerate(records):
            scene = make_scene(np.random.default_rng([3, 47, place, one]), config)
            picture = Image.open(root / record.images[0].path)
            assert np.array_equal(np.asarray(picture.convert("RGB")), np.asarray(scene.image))
            assert [item.label for item in record.objects] == [thing.label for thing in scene.objects]
            for item, thing in zip(record.objects, scene.objects, strict=True):
                assert item.kind == "quad"
                np.testing.assert_allclose(item.box, thing.quad.ravel(), atol=0.006)
            objects += len(record.objects)
            assert rscovlm.open_image(root / record.images[0].path).frame.crs == "EPSG:32632"
    assert objects > 10


def test_held_scenes_are_no_training_scenes(tmp_path: Path) -> None:
    root = write_data_set(tmp_path / "drawn", count=9, held=9)
    seen = [Image.open(path).tobytes() for path in sorted(root.glob("images/*/*.tif"))]
    assert len(set(seen)) == 18


def test_the_manifest_and_the_pairs_name_pictures_that_are_there(tmp_path: Path) -> None:
    root = write_data_set(tmp_path / "drawn", count=1, held=6)
    asked, pairs = find_items([root / "manifest.jsonl"]), find_items([root / "pairs.jsonl"])
    assert len(asked) == 6 and all(item.question and item.expressions for item in asked)
    assert pairs and all(len(item.images) == 2 for item in pairs)
    assert all(path.is_file() for item in (*asked, *pairs) for path in item.images)


def test_the_same_seed_writes_the_same_bytes_and_files_of_others_stay(tmp_path: Path) -> None:
    first, again, other = (write_data_set(tmp_path / str(n), count=2, held=1, seed=n // 2) for n in range(3))
    names = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
    same = [(first / name).read_bytes() == (again / name).read_bytes() for name in names]
    assert all(same)
    assert (first / names[0]).read_bytes() != (other / names[0]).read_bytes()
    for taken in (first, tmp_path / "file"):
        taken.is_dir() or taken.write_text("mine")
        with pytest.raises(ValueError, match="new or an empty folder"):
            write_data_set(taken)
    with pytest.raises(ValueError, match="classes"):
        write_data_set(tmp_path / "new", classes=("lighthouse",))
    assert not (tmp_path / "new").exists()
    assert json.loads((first / "annotations/instances_val.json").read_text())["categories"][0]["name"] == "plane"
