"""The report says where training shows objects at another size than predict does."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rscovlm.codec import Codec
from rscovlm.mixtures.renderer import RecordRenderer
from rscovlm.processing import PixelBudget
from rscovlm.records import Annotation, ImageRef, Record
from rscovlm.training.shown_scale import scale_lines

BUDGET = PixelBudget(min_pixels=3136, max_pixels=504 * 504)


@pytest.mark.parametrize(("side", "tile"), [(504, None), (512, None), (300, None), (1008, 1008), (2016, 2016)])
def test_large_images_shown_whole_are_told(tmp_path: Path, side: int, tile: int | None) -> None:
    Image.new("RGB", (side, side)).save(tmp_path / "a.png")
    record = Record(
        "1", "mine", "train", "detection", (ImageRef("a.png", width=side, height=side),),
        objects=(Annotation((10, 10, 60, 60), "ship", "hbb"),), categories=("ship",),
    )  # fmt: skip
    sample = RecordRenderer(Codec.preset("rscovlm-v1"), BUDGET, tmp_path)(record, np.random.default_rng(0))
    lines = scale_lines([sample, {"task": "vqa"}], BUDGET.max_pixels)
    assert lines[0].startswith(f"detections are shown at {min(1, 504 / side) if side >= 504 else 308 / 300:.2f}")
    assert (len(lines) == 2) == (tile is not None)
    if tile is not None:
        assert f"predict with --tile {tile}" in lines[1]
