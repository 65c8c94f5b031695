"""The example runs as it stands, and its rewards give a right answer all and the model's own words what they are worth."""

import runpy
import warnings
from pathlib import Path

import numpy as np
import pytest

from rscovlm.codec.point_objects import PointObject
from rscovlm.codec.set_of_points import SetOfPoints
from rscovlm.geometry import Frame

ROOT = Path(__file__).parents[2]


def test_two_steps_on_the_embedded_model(tmp_path: Path) -> None:
    pytest.importorskip("trl", reason="trl is not installed")
    example = runpy.run_path(str(ROOT / "examples" / "grpo_points.py"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = example["main"](
            ["--output", str(tmp_path / "out"), "--steps", "2", "--generations", "2", "--tokens", "16"]
        )
    logs = [entry for entry in trainer.state.log_history if "reward" in entry]
    assert len(logs) == 2
    for log in logs:
        means = [log[f"rewards/{name}/mean"] or 0.0 for name in ("mask_iou", "evidence", "points_format")]
        assert log["reward"] == pytest.approx(means[0] + 0.5 * means[1] + 0.2 * means[2], abs=1e-5)
    assert (tmp_path / "out" / "model" / "model.safetensors").is_file()
    # The trainer's own functions, given the columns of its own rows and the answer that training would write.
    functions = dict(zip(("mask_iou", "evidence", "points_format"), trainer.reward_funcs, strict=True))
    for row in trainer.train_dataset.select(range(4)):
        frame = Frame(*row["size"])
        rings = [[np.reshape(ring, (-1, 2)) for ring in one] for one in row["truth"]]
        right = SetOfPoints(trainer.processing_class.codec).encode(
            [PointObject.polygon("x", one, frame) for one in rings], frame
        )
        completion = [{"role": "assistant", "content": right}]
        (overlap,), (evidence,), (form,) = (
            function(completions=[completion], truth=[row["truth"]], size=[row["size"]], prompts=[row["prompt"]])
            for function in functions.values()
        )
        assert overlap > 0.9 and evidence == form == 1.0  # rounded to whole pixels
