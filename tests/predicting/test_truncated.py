"""One limit of generated tokens for every task, and answers that met it are counted."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from rscovlm.cli import app
from rscovlm.engines.engine import Conversation, Reply
from rscovlm.predicting.items import Item
from rscovlm.predicting.latest_rows import LatestRows
from rscovlm.predicting.prediction import DefaultQuestion, predict
from rscovlm.tasks.served import truncated_answers
from rscovlm.tasks.table import asked_tasks, task_named
from tests.zoom.scripted import Scripted


class Endless(Scripted):
    """Never ends by itself, and keeps the limits that it was given."""

    def __init__(self) -> None:
        super().__init__([])
        self.limits: set[int] = set()

    def generate(
        self, conversations: Sequence[Conversation], *, max_new_tokens: int = 1024, logprobs: bool = False
    ) -> list[Reply]:
        self.limits.add(max_new_tokens)
        return [Reply("1" * max_new_tokens, max_new_tokens, finish="length") for _ in conversations]


@pytest.mark.parametrize("task", asked_tasks())
def test_every_task_has_the_limit_that_is_asked_and_its_cut_answers_are_counted(task: str, tmp_path: Path) -> None:
    images = [tmp_path / f"{name}.png" for name in "ab"]
    for seed, image in enumerate(images):
        Image.fromarray(np.random.default_rng(seed).integers(0, 255, (48, 64, 3), dtype=np.uint8)).save(image)
    engine = Endless()
    pointed = None if task == "change" else ("all planes",)  # change takes either
    asked = DefaultQuestion(task, "How many?", pointed, ("plane",), zoom=False, max_new_tokens=7)
    number = task_named(task).images
    items = [Item(image.name, image, further=tuple(set(images) - {image})[: number - 1]) for image in images]
    counts = predict(engine, items, asked, tmp_path / "out.jsonl")
    assert engine.limits == {7}
    assert counts == {"done": 2, "before": 0, "errors": 0, "truncated": 2}
    assert all(truncated_answers(row) for row in LatestRows(tmp_path / "out.jsonl").values())


def test_the_command_takes_the_limit_and_names_it(tmp_path: Path) -> None:
    Image.new("RGB", (112, 112), (90, 120, 80)).save(tmp_path / "a.png")
    arguments: list[Any] = ["predict", tmp_path / "a.png", "--task", "caption", "--out", tmp_path / "o.jsonl"]
    done = CliRunner().invoke(app, [*map(str, arguments), "--max-new-tokens", "1"])
    assert done.exit_code == 0, done.output
    assert "1 done (1 truncated: raise --max-new-tokens), 0 before" in done.output
    refused = CliRunner().invoke(app, [*map(str, arguments), "--max-new-tokens", "2"])
    assert refused.exit_code == 2 and "(max_new_tokens)" in refused.output
    assert CliRunner().invoke(app, [*map(str, arguments), "--max-new-tokens", "0"]).exit_code == 2


def test_rows_of_before_there_was_a_limit_still_count() -> None:
    assert DefaultQuestion("caption").digest == "4f9dd0adb5c1"
    assert DefaultQuestion("caption", max_new_tokens=9).digest != DefaultQuestion("caption").digest
    with pytest.raises(ValueError, match="max_new_tokens is 0"):
        DefaultQuestion("caption", max_new_tokens=0)
