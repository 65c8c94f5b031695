"""The example runs as it stands, and what it learns from is what the environment and the rewards say."""

import json
import runpy
import warnings
from pathlib import Path

import pytest

from rscovlm.scenes import make_zoom_scene

ROOT = Path(__file__).parents[2]


def test_two_steps_on_the_embedded_model(tmp_path: Path) -> None:
    pytest.importorskip("trl", reason="trl is not installed")
    scene = make_zoom_scene(1, 336)
    scene.image.save(tmp_path / "scene.png")
    row = {"scene": str(tmp_path / "scene.png"), "question": scene.question, "answer": scene.answer}
    lines = [json.dumps({**row, "evidence": [float(side) for side in scene.pad.crop]})] * 4
    (tmp_path / "rows.jsonl").write_text("\n".join(lines), encoding="utf-8")
    example = runpy.run_path(str(ROOT / "examples" / "grpo.py"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = example["main"](
            ["--rows", str(tmp_path / "rows.jsonl"), "--output", str(tmp_path / "out"), "--steps", "2"]
            + ["--generations", "2", "--tokens", "24"]
        )
    logs = [entry for entry in trainer.state.log_history if "reward" in entry]
    assert len(logs) == 2
    for log in logs:
        means = [log[f"rewards/{name}_reward/mean"] for name in ("answer", "evidence", "format", "length")]
        assert all(0 <= mean <= 1 for mean in means) and means[3] == 1
        assert log["reward"] == pytest.approx(means[0] + 0.5 * means[1] + 0.2 * means[2] + 0.1 * means[3], abs=1e-5)
    assert (tmp_path / "out" / "model" / "model.safetensors").is_file()


def test_the_example_is_short() -> None:
    assert len((ROOT / "examples" / "grpo.py").read_text(encoding="utf-8").splitlines()) < 100
