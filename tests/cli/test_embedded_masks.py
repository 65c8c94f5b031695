"""``predict --task segment`` as a person tries it first: the model and the segmenter in the package, on a drawn scene."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from rscovlm.cli import app
from rscovlm.geometry.masks import Mask
from rscovlm.predicting.latest_rows import LatestRows
from rscovlm.scenes import SceneConfig, make_scene

CONFIG = SceneConfig(min_objects=1, max_objects=1, classes=("plane",), covers=("airfield", "desert"), texture_seed=777)


def _best(row: dict[str, object], true: NDArray[np.bool_]) -> float:
    found = [Mask.from_rle(one).full() for one in row["masks"]]  # type: ignore[attr-defined]
    return max(((one & true).sum() / (one | true).sum() for one in found), default=0.0)


def test_the_models_in_the_package_draw_real_masks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    scenes = [make_scene(seed, CONFIG) for seed in range(3)]
    for number, scene in enumerate(scenes):
        scene.image.save(f"{number}.png")
    images = [f"{number}.png" for number in range(len(scenes))]
    asked = ["predict", *images, "--task", "segment", "--classes", "plane"]
    done = CliRunner().invoke(app, [*asked, "--masks", "masks"])
    assert done.exit_code == 0, done.output
    filled = CliRunner().invoke(app, [*asked, "--segmenter", "filled", "--out", "filled.jsonl"])
    assert filled.exit_code == 0, filled.output
    drawn, boxes = (LatestRows(Path(name)) for name in ("predictions.jsonl", "filled.jsonl"))
    ious = np.array(
        [
            [_best(rows[name], scene.mask(0)) for rows in (drawn, boxes)]
            for name, scene in zip(images, scenes, strict=True)
        ]
    )
    assert ious[:, 0].mean() > 0.6
    assert ious[:, 0].mean() > ious[:, 1].mean() + 0.15
    assert len(list(Path("masks").glob("*.tif"))) == 3
