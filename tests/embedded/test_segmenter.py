"""The embedded segmenter is a plain SAM 2 checkpoint, draws objects it never saw, and comes from the recipe that ships with it."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rscovlm.codec.point_objects import PointObject
from rscovlm.experiments.segmenting import recipe
from rscovlm.experiments.segmenting.ablation import measure, unseen_windows
from rscovlm.experiments.segmenting.windows import TEST_TEXTURES, TRAIN_TEXTURES, ObjectWindow, draw_window
from rscovlm.geometry import Frame
from rscovlm.geometry.masks import Mask
from rscovlm.points.close_ups import CloseUps
from rscovlm.points.keypoints import prompt_of
from rscovlm.points.loading import embedded_segmenter, load_segmenter
from rscovlm.points.sam2 import Sam2Segmenter
from rscovlm.points.segmenter import FilledShapes, Segmenter
from rscovlm.points.tiled import segment
from rscovlm.scenes import LayoutConfig, SceneLayout

FOLDER = Path(embedded_segmenter())


@cache
def windows() -> list[ObjectWindow]:
    return unseen_windows(20, 4)


def _ious(found: list[Mask], true: list[Mask]) -> list[float]:
    pairs = [(one.full(), two.full()) for one, two in zip(found, true, strict=True)]
    return [float((one & two).sum() / (one | two).sum()) for one, two in pairs]


def test_it_is_a_plain_checkpoint_of_two_megabytes() -> None:
    from transformers import Sam2Model

    model = Sam2Model.from_pretrained(FOLDER)
    assert type(model).__module__.startswith("transformers.")
    assert model.num_parameters() < 500_000
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 3_000_000
    assert {path.suffix for path in FOLDER.iterdir()} == {".safetensors", ".json", ".md"}
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert f"{model.num_parameters() / 1e6:.2f} million parameters" in card


def test_it_beats_the_filled_box_on_scenes_never_seen() -> None:
    segmenter = Sam2Segmenter.load(FOLDER)
    both, alone = measure(segmenter, windows(), seed=1, given=["box and 2 points", "box alone"])
    assert both.objects >= 30
    assert both.iou >= 0.8
    assert alone.iou >= 0.75
    assert both.iou > both.filled + 0.2
    assert [both] == measure(Sam2Segmenter.load(FOLDER), windows(), seed=1, given=["box and 2 points"])


def test_the_card_gives_what_a_fresh_sample_gives() -> None:
    kept = json.loads((FOLDER / "scores.json").read_text(encoding="utf-8"))
    card = {row["given"]: row for row in kept["scores"]}
    for one in measure(Sam2Segmenter.load(FOLDER), windows(), seed=2, given=["box and 2 points", "2 points alone"]):
        error = np.hypot(one.error, card[one.given]["error"])
        assert abs(one.iou - card[one.given]["iou"]) < 4 * error + 0.01
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    for name, row in card.items():
        assert f"| {name} | {row['iou']:.3f} | {row['error']:.3f} |" in text


def test_textures_of_tests_are_none_of_training() -> None:
    assert not set(TRAIN_TEXTURES) & set(TEST_TEXTURES)
    one, two = (draw_window(np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(one.image, two.image) and np.array_equal(one.masks, two.masks)


def test_masks_lie_on_what_is_drawn() -> None:
    """The truth of windows: pixels inside have changed where the object is taken away."""
    for window in windows():
        assert window.image.shape == (64, 64, 3) and window.masks.any(axis=(1, 2)).all()
        assert window.masks.sum(axis=0).max() == 1  # objects do not overlap


def test_it_draws_objects_of_large_scenes_by_its_name() -> None:
    segmenter = load_segmenter("embedded")
    assert isinstance(segmenter, CloseUps) and isinstance(segmenter, Segmenter)
    assert load_segmenter("embedded") is segmenter
    layout = SceneLayout(5, LayoutConfig(2048, 2048, texture_seed=TEST_TEXTURES[0]))
    left, top = max(((one.centre[0] // 512, one.centre[1] // 512) for one in layout.objects), key=_crowded(layout))
    x, y = int(left) * 512, int(top) * 512
    image = np.asarray(layout.render(x, y, x + 512, y + 512))
    here = [one.moved(-x, -y) for one in layout.objects]
    true = [Mask.of(one.mask(512, 512)) for one in here if _inside(one)]
    assert len(true) >= 3
    prompts = [prompt_of(mask, "object") for mask in true]
    found = segment(segmenter, image, prompts)
    filled = segment(FilledShapes(), image, prompts)
    assert np.mean(_ious(found, true)) >= 0.75
    assert np.mean(_ious(found, true)) > np.mean(_ious(filled, true)) + 0.1
    # A window of the grid or the whole image: each object is cut out alike.
    tiled = segment(segmenter, image, prompts, tile=256, overlap=64)
    assert np.mean(_ious(tiled, found)) > 0.95


def _crowded(layout: SceneLayout) -> Any:
    cells = [(one.centre[0] // 512, one.centre[1] // 512) for one in layout.objects if _inside(one, 512)]
    return cells.count


def _inside(one: Any, step: int | None = None) -> bool:
    low, high = one.polygon.min(axis=0) - 1, one.polygon.max(axis=0) + 1
    if step is not None:
        return bool((low // step == high // step).all())
    return bool((low >= 0).all() and (high <= 512).all())


def test_points_alone_and_boxes_alone_are_what_the_model_is_given() -> None:
    segmenter = Sam2Segmenter.load(FOLDER)
    prompts = [prompt_of(mask, "x") for mask in windows()[0].targets()]
    for given, names in {"boxes": {"input_boxes"}, "points": {"input_points", "input_labels"}}.items():
        assert set(Sam2Segmenter(segmenter.model, given=given).inputs(prompts, 64, 64)) == names  # type: ignore[arg-type]
    bare = PointObject.prompt("x", (1, 2, 30, 40), [], Frame(64, 64))
    with pytest.raises(ValueError, match="a prompt has no points"):
        Sam2Segmenter(segmenter.model, given="points").segment(windows()[0].image, [*prompts, bare])
    with pytest.raises(ValueError, match="given is 'text'"):
        Sam2Segmenter(segmenter.model, given="text")  # type: ignore[arg-type]


def test_the_recipe_learns_and_resumes_where_it_was_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(recipe, "BATCH", 4)
    monkeypatch.setattr(recipe, "BANK", 4)
    whole = recipe.train(tmp_path / "whole", steps=6, seed=3, save_every=3).state_dict()
    draw = recipe._Windows.batch

    def killed(self: Any, step: int) -> Any:
        if step == 4:
            raise KeyboardInterrupt
        return draw(self, step)

    monkeypatch.setattr(recipe._Windows, "batch", killed)
    with pytest.raises(KeyboardInterrupt):
        recipe.train(tmp_path / "parts", steps=6, seed=3, save_every=3)
    monkeypatch.setattr(recipe._Windows, "batch", draw)
    parts = recipe.train(tmp_path / "parts", steps=6, seed=3, save_every=3, resume=True).state_dict()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    start = recipe.build_model(3).state_dict()
    assert any(not torch.equal(whole[name], start[name]) for name in whole)
    assert not (tmp_path / "parts" / "state.safetensors").exists()
    assert isinstance(Sam2Segmenter.load(tmp_path / "parts"), Segmenter)
    assert [recipe._rate(step, 100) for step in (0, 9, 60, 80)] == pytest.approx([0.1, 1.0, 1.0, 0.5])
