"""Two steps of distilling the chain into one look, and the loss against its definition."""

from __future__ import annotations

import re
import runpy
import warnings
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("trl", reason="trl is not installed")
EXAMPLE = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "distil.py"))


def test_two_steps_on_the_embedded_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        arguments = ["--output", str(tmp_path), "--steps", "2", "--scenes", "4", "--held-out", "6"]
        trainer = EXAMPLE["main"](arguments)
    # The embedded model zooms and cannot read the overview: what there is to gain.
    shares = re.search(r"one look ([\d.]+) -> [\d.]+, the chain ([\d.]+)", capsys.readouterr().out)
    assert shares is not None and float(shares[1]) < float(shares[2]) and float(shares[2]) > 0.8
    assert not {path.name for path in (tmp_path / "held-out").iterdir()} & {
        path.name for path in (tmp_path / "scenes").iterdir()
    }
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert len(losses) == 2 and all(loss > 0 for loss in losses)
    assert (tmp_path / "model" / "model.safetensors").is_file()
    frozen = dict(trainer.teacher.named_parameters())
    moved = [not torch.equal(value, frozen[name]) for name, value in trainer.model.named_parameters()]
    assert any(moved) and not any(value.requires_grad for value in frozen.values())


def test_the_teacher_is_shown_more_than_the_student(tmp_path: Path) -> None:
    (row,) = EXAMPLE["generated"](tmp_path, range(1))
    context, tight = EXAMPLE["looks"](row)
    assert context[2] - context[0] == pytest.approx(2 * (tight[2] - tight[0]))
    assert (context[0] + context[2]) / 2 == pytest.approx((tight[0] + tight[2]) / 2)


def test_logits_are_those_of_a_look_at_the_whole_text() -> None:
    """The token that an answer continues with stands one place before it."""

    class Echo:
        def __call__(self, input_ids: object, attention_mask: object, kept: object) -> object:
            assert input_ids.shape == attention_mask.shape == (1, 5) and kept.shape == (7,)  # type: ignore[attr-defined]
            return type("Out", (), {"logits": torch.nn.functional.one_hot(input_ids, 9).float()})

    views = {"input_ids": torch.tensor([[1, 2, 3]]), "attention_mask": torch.ones(1, 3), "kept": torch.zeros(7)}
    out = EXAMPLE["logits"](Echo(), views, torch.tensor([[4, 5]]))
    assert out.argmax(-1).tolist() == [[3, 4]]
