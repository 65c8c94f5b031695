"""A picture is what its file says: other sizes in records are refused or rescaled, and EXIF turns a file for all alike."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image, ImageOps
from typer.testing import CliRunner

from rscovlm.cli import app
from rscovlm.data.storage import write_jsonl
from rscovlm.data.tiles import tile
from rscovlm.mixtures.recipe import MixtureRecipe
from rscovlm.quality.lint import lint
from rscovlm.records import Annotation, ImageRef, Record
from rscovlm.records.pictures import loaded
from rscovlm.records.sizes import OTHER_SIZE, FileRule, fitted, picture_size
from rscovlm.records.tally import Tally

RED = (40, 60, 140, 120)


def _saved(folder: Path, orientation: int = 1, name: str = "a.png") -> Image.Image:
    """Save a black picture with a red square; return what viewers show of it."""
    picture = Image.new("RGB", (400, 300))
    picture.paste((255, 0, 0), RED)
    exif = Image.Exif()
    exif[274] = orientation
    picture.save(folder / name, exif=exif)
    with Image.open(folder / name) as opened:
        return ImageOps.exif_transpose(opened).convert("RGB")


def _red(picture: Image.Image) -> tuple[int, int, int, int]:
    rows, columns = np.where(np.asarray(picture)[..., 0] > 128)
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


def _record(box: tuple[float, ...], width: int, height: int, name: str = "a.png") -> Record:
    objects = (Annotation(tuple(map(float, box)), "ship", "hbb"),)
    image = ImageRef(name, width=width, height=height)
    return Record("1", "mine", "train", "detection", (image,), objects=objects, categories=("ship",))


def _drawn(folder: Path, files: dict[str, str] | None = None, *, tolerate: float = 0.0) -> Any:
    subset: dict[str, Any] = {"name": "a", "records": "r.jsonl", "render": {"kinds": {"hbb": 1}}}
    if files:
        subset["files"] = files
    recipe = {"subsets": [subset], "tolerate": tolerate, "budget": {"min_pixels": 3136, "max_pixels": 80000}}
    return MixtureRecipe.from_dict(recipe).build(folder, length=100)


def _said(sample: Any) -> list[float]:
    frame = sample["truth"].boxes.frame.resized(*sample["images"][0].size)
    return [float(value) for value in sample["truth"].to(frame).boxes.coords[0]]


@pytest.mark.parametrize("size", [(800, 500), (401, 300), (200, 150)])
def test_a_record_of_another_size_is_refused_and_counted_or_rescaled(tmp_path: Path, size: tuple[int, int]) -> None:
    _saved(tmp_path)
    factors = np.tile(np.divide(size, (400, 300)), 2)
    write_jsonl([_record(tuple(np.multiply(RED, factors)), *size)], tmp_path / "r.jsonl")
    with pytest.raises(ValueError, match=r"400x300 pixels, the record says \d+x\d+; its boxes would be off.*'rescale'"):
        _drawn(tmp_path)[0]
    mixture = _drawn(tmp_path, tolerate=0.9)
    with pytest.raises(ValueError, match="rows one after another cannot be used"):
        mixture[0]
    assert set(mixture.dropped) == {OTHER_SIZE}
    sample = _drawn(tmp_path, {"sizes": "rescale"})[0]
    assert np.allclose(_said(sample), _red(loaded(sample["images"][0])), atol=1.5)


def test_training_says_so_before_the_first_step(tmp_path: Path) -> None:
    pytest.importorskip("trl", reason="trl is not installed")
    _saved(tmp_path)
    write_jsonl([_record(RED, 800, 500)], tmp_path / "r.jsonl")
    recipe = {
        "model": "embedded",
        "steps": 1,
        "dtype": "float32",
        "packing": {"tokens": 1024},
        "train": {"per_device_train_batch_size": 1, "use_cpu": True, "bf16": False, "save_strategy": "no"},
        "mixture": {
            "budget": {"min_pixels": 50176, "max_pixels": 80000},
            "subsets": [{"name": "a", "records": "r.jsonl", "render": {"kinds": {"hbb": 1}}}],
        },
    }
    (tmp_path / "t.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    arguments = [
        "train",
        str(tmp_path / "t.yaml"),
        "--root",
        str(tmp_path),
        "--output",
        str(tmp_path / "o"),
        "--dry-run",
    ]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code != 0
    assert OTHER_SIZE in done.output


def test_tiles_and_lint_say_so(tmp_path: Path) -> None:
    _saved(tmp_path)
    good, bad = _record(RED, 400, 300), _record(RED, 800, 500)
    tally = Tally(1.0)
    assert not list(tile([bad], size=200, overlap=0, root=tmp_path, tally=tally))
    assert tally.dropped == Counter({OTHER_SIZE: 1})
    assert len(list(tile([good], size=200, overlap=0, root=tmp_path, tally=Tally(1.0)))) == 4
    assert "size" in lint([bad], root=tmp_path).findings


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_file_is_turned_for_records_and_whoever_else_is_given_it(tmp_path: Path, orientation: int) -> None:
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    pytest.importorskip("torch", reason="torch is not installed")
    from rscovlm.processing import RSCoVLMImageProcessor

    shown = _saved(tmp_path, orientation)
    box = _red(shown)
    write_jsonl([_record(box, *shown.size)], tmp_path / "r.jsonl")
    sample = _drawn(tmp_path)[0]
    assert np.allclose(_said(sample), _red(loaded(sample["images"][0])), atol=1.5)
    rows = datasets.Dataset.from_dict({"image": [str(tmp_path / "a.png")]}).cast_column("image", datasets.Image())
    assert _red(rows[0]["image"]) == box
    processor = RSCoVLMImageProcessor.for_family("qwen2_5_vl")
    one, other = (processor(images=[image], return_tensors="pt") for image in (str(tmp_path / "a.png"), shown))
    assert one["image_grid_thw"].equal(other["image_grid_thw"])
    assert one["pixel_values"].equal(other["pixel_values"])


def test_boxes_on_stored_pixels_are_refused_or_taken_as_such(tmp_path: Path) -> None:
    _saved(tmp_path, 6)
    record = _record(RED, 400, 300)
    write_jsonl([record], tmp_path / "r.jsonl")
    for files in ({}, {"sizes": "rescale"}):
        with pytest.raises(ValueError, match="turned by its EXIF orientation.*set orientation to 'stored'"):
            _drawn(tmp_path, files)[0]
    sample = _drawn(tmp_path, {"orientation": "stored"})[0]
    assert np.allclose(_said(sample), _red(loaded(sample["images"][0])), atol=1.5)


def test_the_size_is_that_of_the_file_as_it_is_now(tmp_path: Path) -> None:
    _saved(tmp_path)
    image = ImageRef("a.png", width=1, height=1)
    assert picture_size(image, tmp_path) == (400, 300)
    Image.new("RGB", (50, 60)).save(tmp_path / "a.png")
    assert picture_size(image, tmp_path) == (50, 60)
    (tmp_path / "a.png").unlink()
    assert picture_size(image, tmp_path) == (1, 1)  # whoever reads its pixels is told that it is missing
    with pytest.raises(ValueError, match="no file 'a.png' below the data folder"):
        picture_size(ImageRef("a.png"), tmp_path)


def test_all_that_lies_on_an_image_is_rescaled(tmp_path: Path) -> None:
    _saved(tmp_path)
    objects = (
        Annotation((80, 40, 40, 20, 90), "a", "obb"),
        Annotation((0, 0, 8, 0, 8, 4, 0, 4), "b", polygons=((0, 0, 8, 0, 8, 4),)),
    )
    record = Record(
        "1", "mine", "train", "zoom", (ImageRef("a.png", width=200, height=100),), question="?", answer="!",
        objects=objects, regions=((10, 10, 20, 30),),
    )  # fmt: skip
    made = fitted(record, tmp_path, FileRule(sizes="rescale"))
    assert (made.images[0].width, made.images[0].height) == (400, 300)
    assert made.objects[0].kind == "quad"
    corners = np.reshape(made.objects[0].box, (4, 2))
    assert (corners.min(0).round(6).tolist(), corners.max(0).round(6).tolist()) == ([140.0, 60.0], [180.0, 180.0])
    assert made.objects[1].polygons == ((0, 0, 16, 0, 16, 12),)
    assert made.regions == ((20, 30, 40, 90),)
