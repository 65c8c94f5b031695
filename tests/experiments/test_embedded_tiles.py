"""The recipe with tiles trains, resumes where it stopped, and asks for what was known beside them."""

from collections import Counter
from pathlib import Path
from typing import Any

import torch

from rscovlm.embedded import embedded_model
from rscovlm.experiments.embedded_tiles import tile_subsets, train_tiles
from rscovlm.loading import load_model
from rscovlm.mixtures.mixture import Mixture


def test_most_tiles_are_empty_at_the_end() -> None:
    for watchful, share in ((False, 5.0), (True, 8.0)):
        mixture = Mixture(tile_subsets(watchful=watchful), seed=3, length=100_000)
        names = Counter(mixture.draw_at(position)[0] for position in range(2000))
        assert abs(names["tiles"] / 2000 - share / (share + 9.2)) < 0.02
        assert set(names) == {subset.name for subset in mixture.subsets}
        tiles = next(subset.source for subset in mixture.subsets if subset.name == "tiles")
        assert getattr(tiles, "empty", None) == (0.75 if watchful else 0.5)


def test_it_trains_and_resumes(tmp_path: Path) -> None:
    options: dict[str, Any] = {"falling": 2, "row": 300, "workers": 0, "save_steps": 2, "logging_steps": 1}
    trainer = train_tiles(Path(embedded_model()), tmp_path, steps=2, **options)
    assert trainer.state.global_step == 2
    resumed = train_tiles(Path(embedded_model()), tmp_path, steps=4, resume=True, **options)
    assert resumed.state.global_step == 4
    assert [entry["step"] for entry in resumed.state.log_history if "loss" in entry] == [1, 2, 3, 4]
    losses = [entry["loss"] for entry in resumed.state.log_history if "loss" in entry]
    assert max(losses) < 4  # a model that begins anew has a loss of 6
    before = load_model(embedded_model(), dtype="float32").state_dict()
    after = load_model(tmp_path, dtype="float32").state_dict()
    assert not all(torch.equal(before[name], after[name]) for name in before)
    assert min(path.name for path in (tmp_path / "rows").iterdir()) == "000000.safetensors"
