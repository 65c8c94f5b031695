"""The page about a mixture shows what would be trained."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from transformers import AutoProcessor
from typer.testing import CliRunner

from rscovlm.cli import app
from rscovlm.data.storage import write_jsonl
from rscovlm.mixtures.recipe import MixtureRecipe
from rscovlm.records.record import Annotation, ImageRef, Record, Turn
from rscovlm.scenes import SceneConfig, make_scene
from rscovlm.testing import tiny_checkpoint
from rscovlm.training.inspection import inspect

RECIPE = """
subsets:
  - {name: boxes, records: boxes.jsonl, weight: 3}
  - {name: words, records: words.jsonl, weight: 1}
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    boxes: list[Record] = []
    words: list[Record] = []
    names = ("plane", "ship", "vehicle", "tank", "court")
    for seed in range(8):
        scene = make_scene(seed, SceneConfig(size=112, min_objects=1, max_objects=3))
        scene.image.save(tmp_path / f"{seed}.png")
        image = (ImageRef(f"{seed}.png", width=112, height=112),)
        objects = tuple(Annotation(tuple(map(float, thing.quad.ravel())), thing.label) for thing in scene.objects)
        boxes.append(Record(f"b{seed}", "scenes", "train", "detection", image, objects=objects, categories=names))
        words.append(Record(f"w{seed}", "scenes", "train", "classification", image, classes=(scene.scene_class,)))
    write_jsonl(boxes, tmp_path / "boxes.jsonl")
    write_jsonl(words, tmp_path / "words.jsonl")
    (tmp_path / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    return tmp_path


def _run(root: Path, *more: str) -> Any:
    model = tiny_checkpoint(root / "tiny")
    arguments = ["data", "inspect", str(root / "recipe.yaml"), "--root", str(root), "--model", str(model)]
    return CliRunner().invoke(app, [*arguments, "--out", str(root / "page.html"), "--draws", "1000", *more])


def test_the_page_and_the_table_show_shares_and_trained_words(root: Path) -> None:
    done = _run(root)
    assert done.exit_code == 0, done.output
    assert "boxes" in done.output
    assert " 75.0%   75.0%" in done.output
    page = (root / "page.html").read_text(encoding="utf-8")
    assert page.count("<article>") == 12
    assert page.count("data:image/png") == 12
    assert 'src="http' not in page
    marked = [part.split("</mark>")[0] for part in page.split("<mark>")[2:]]
    assert len(marked) == 12
    assert all(text.endswith("&lt;|im_end|&gt;") for text in marked)
    assert not any("find the" in text for text in marked)


def test_boxes_that_sentences_mention_are_drawn_and_counted(own_root: Path) -> None:
    image = ImageRef("0.png", width=112, height=112)
    item = Annotation((10.0, 20.0, 60.0, 70.0), "", "hbb")
    turns = (Turn("user", "What is at <box:0>?"), Turn("assistant", "A court, built in [1999, 3]."))
    talk = Record("t", "talk", "train", "conversation", (image,), turns=turns, objects=(item,))
    write_jsonl([talk], own_root / "talk.jsonl")
    recipe = MixtureRecipe.from_dict({"subsets": [{"name": "talk", "records": "talk.jsonl"}]})
    processor = AutoProcessor.from_pretrained(tiny_checkpoint(own_root / "tiny"))
    mixture = recipe.build(own_root, length=1000, codec=processor.codec)
    found = inspect(mixture, processor, draws=2)
    assert [row.boxes for row in found.tasks] == [(1, 1.0, 1)]
    drawn = Image.open(io.BytesIO(base64.b64decode(found.shown[0].pictures[0].partition(",")[2])))
    # Pictures are brought to the page's size before boxes are drawn on them.
    plain = mixture[0]["images"][0].load().convert("RGB").resize(drawn.size, Image.Resampling.BICUBIC)
    assert max(drawn.size) == 420
    changed = np.abs(np.asarray(drawn, int) - np.asarray(plain, int)).sum(axis=2) > 0
    ys, xs = np.nonzero(changed)
    scale = plain.width / 112
    assert xs.min() == pytest.approx(10 * scale, abs=4)
    assert ys.max() == pytest.approx(70 * scale, abs=4)


def test_a_wrong_recipe_ends_with_a_message(root: Path) -> None:
    (root / "recipe.yaml").write_text(RECIPE.replace("weight: 3", "wieght: 3"), encoding="utf-8")
    done = _run(root)
    assert done.exit_code != 0
    assert "did you mean 'weight'" in done.output
