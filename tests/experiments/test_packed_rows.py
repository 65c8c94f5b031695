"""Rows that are trained several times are drawn once, and come back from their files as they were."""

from collections import Counter
from pathlib import Path

import torch

from rscovlm.embedded import embedded_model
from rscovlm.experiments.embedded import STAGES, build_mixture
from rscovlm.experiments.packed_rows import KeptRowCollator, RepeatedRows
from rscovlm.loading import load_processor
from rscovlm.training.collator import PackedCollator
from rscovlm.training.encoding import Encoder
from rscovlm.training.packing import PackedMixture


def test_each_row_comes_about_so_often_and_no_row_before_its_time(tmp_path: Path) -> None:
    packed = PackedMixture([5] * 900, length=int, budget=10, rows=300)
    rows = RepeatedRows(lambda _: packed, tmp_path, times=3, recent=40, length=900, seed=4)
    numbers = [rows.number(position) for position in range(len(rows))]
    newest = 0
    for position, number in enumerate(numbers):
        if position % 3 == 0:
            assert number == position // 3
            newest = number
        assert newest - 40 < number <= newest
    assert len(set(numbers)) == 300
    assert max(Counter(numbers[:600]).values()) < 20
    again = RepeatedRows(lambda _: packed, tmp_path, times=3, recent=40, length=900, seed=4)
    assert [again.number(position) for position in range(900)] == numbers


def test_a_row_comes_back_from_its_file(tmp_path: Path) -> None:
    processor = load_processor(embedded_model())
    packed = PackedMixture(
        build_mixture(STAGES[1:], seed=2), length=Encoder(processor), budget=500, lookahead=8, rows=4
    )
    rows = RepeatedRows(lambda _: packed, tmp_path / "rows", times=2, recent=2, length=8, size=4)
    collator = KeptRowCollator(processor)
    row = rows[0]
    assert "samples" in row
    wanted = PackedCollator(processor, resizer="pillow")([row])
    for turn in range(2):  # written, then read
        batch = collator([rows[0]])
        assert ("samples" in rows[0]) is False, turn
        for name in ("input_ids", "labels", "position_ids", "image_grid_thw"):
            assert torch.equal(batch[name], wanted[name]), name
        assert batch["pixel_values"].shape == wanted["pixel_values"].shape
        # Half a grey level of 255, in units of the smallest deviation of a channel.
        assert (batch["pixel_values"] - wanted["pixel_values"]).abs().max() < 0.01
        assert torch.equal(batch["attention_mask"], torch.ones_like(batch["input_ids"]))


def test_a_row_depends_on_its_number_and_not_on_what_was_asked_before(tmp_path: Path) -> None:
    def shard(number: int) -> PackedMixture:
        return PackedMixture([{"n": 100 * number + k} for k in range(60)], length=lambda _: 5, budget=10, rows=20)

    rows = RepeatedRows(shard, tmp_path, times=1, recent=1, length=60, size=20)
    asked = {position: rows[position]["samples"] for position in (45, 3, 25, 44, 59, 0)}
    for position, samples in asked.items():
        fresh = RepeatedRows(shard, tmp_path, times=1, recent=1, length=60, size=20)
        assert fresh[position]["samples"] == samples
    assert {sample["n"] // 100 for sample in asked[45]} == {2}
