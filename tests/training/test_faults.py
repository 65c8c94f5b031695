"""Files that turn out unreadable once their row is planned: counted, blank in place, and too many of them stop the run."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from rscovlm.codec import Codec
from rscovlm.mixtures.renderer import RecordRenderer
from rscovlm.processing import PixelBudget
from rscovlm.records.pictures import Picture
from rscovlm.records.record import ImageRef, Record
from rscovlm.records.tally import TooManyRejected
from rscovlm.records.views import PADDING
from rscovlm.tasks.options import RenderOptions
from rscovlm.training.checkpoints import last_complete
from rscovlm.training.collator import Collator, PackedCollator
from rscovlm.training.encoding import IGNORED
from rscovlm.training.provenance import RUN_FILE
from rscovlm.training.recipe import TrainingRecipe
from rscovlm.training.stages import prepare
from rscovlm.training.trainer import TaskTrainer
from tests.training.conftest import recipe_of


@pytest.fixture(scope="module")
def processor(root: Path) -> Any:
    from transformers import AutoProcessor

    made: Any = AutoProcessor.from_pretrained(root / "model")
    made.image_processor.budget = PixelBudget(min_pixels=56 * 56, max_pixels=112 * 112)
    return made


def _samples(root: Path, paths: list[str]) -> list[dict[str, Any]]:
    renderer = RecordRenderer(
        Codec.preset("rscovlm-v1"), PixelBudget(min_pixels=56 * 56, max_pixels=112 * 112), root, RenderOptions()
    )
    made = []
    for place, path in enumerate(paths):
        image = ImageRef(path, width=112, height=112)
        record = Record(str(place), "s", "train", "classification", (image,), classes=("airfield",) * (place + 1))
        made.append({**renderer(record, np.random.default_rng(place)), "position": 40 + place})
    return made


@pytest.fixture(scope="module")
def broken(root: Path) -> dict[str, str]:
    """Paths of files that cannot be read, and the reason each is counted by."""
    whole = (root / "1.png").read_bytes()
    (root / "cut.png").write_bytes(whole[: len(whole) // 2])
    flipped = bytearray(whole)
    flipped[60:90] = bytes(30)
    (root / "flipped.png").write_bytes(bytes(flipped))
    Image.open(root / "1.png").convert("RGB").save(root / "whole.jpg")
    (root / "cut.jpg").write_bytes((root / "whole.jpg").read_bytes()[:300])
    (root / "empty.png").write_bytes(b"")
    (root / "text.png").write_text("no image")
    names = ("cut.png", "flipped.png", "cut.jpg", "empty.png", "text.png")
    return {"absent.png": "image missing", **dict.fromkeys(names, "image unreadable")}


def test_a_row_with_an_unreadable_image_keeps_its_shape_and_trains_the_others(
    root: Path, processor: Any, broken: dict[str, str]
) -> None:
    whole = _samples(root, ["0.png", "1.png", "2.png"])
    pictures: list[tuple[Any, str]] = [
        (Picture(ImageRef(path), root, (112, 112)), reason) for path, reason in broken.items()
    ]
    for image, reason in [*pictures, (Image.new("I;16", (112, 112)), "image unreadable")]:
        faulty = [whole[0], {**whole[1], "images": [image]}, whole[2]]
        for made, good in (
            (PackedCollator(processor, notes=True)([{"samples": faulty, "positions": [40, 41, 42]}]),
             PackedCollator(processor, notes=True)([{"samples": whole, "positions": [40, 41, 42]}])),
            (Collator(processor, notes=True)(faulty), Collator(processor, notes=True)(whole)),
        ):  # fmt: skip
            notes = made["notes"]
            assert dict(notes.dropped) == {reason: 1}
            assert set(notes.faults) == {1}
            assert notes.positions == (40, 41, 42)
            for name in ("input_ids", "position_ids", "attention_mask", "image_grid_thw"):
                assert (name in made) == (name in good)
                assert name not in made or made[name].equal(good[name])
            samples = notes.samples_of(made["labels"])
            before, after = good["labels"][:, 1:], made["labels"][:, 1:]
            assert (after[samples == 1] == IGNORED).all()
            assert (before[samples == 1] != IGNORED).any()
            assert after[samples != 1].equal(before[samples != 1])
            patches = int(made["image_grid_thw"][0].prod())
            assert made["pixel_values"][:patches].equal(good["pixel_values"][:patches])
            assert made["pixel_values"][2 * patches :].equal(good["pixel_values"][2 * patches :])


def test_all_pictures_of_a_sample_with_an_unreadable_one_are_blank(root: Path, processor: Any) -> None:
    """Blank is what pads a batch elsewhere, in the size that was planned; pictures of other samples stay where they are."""
    sizes = [(112, 84), (84, 140), (56, 112), (140, 84)]
    colours = ["red", "green", "blue", "white"]
    images: list[Any] = [Image.new("RGB", size, colour) for size, colour in zip(sizes, colours, strict=True)]
    lost = Picture(ImageRef("absent.png"), root, sizes[2])

    def rows(first: Any, second: Any) -> list[dict[str, Any]]:
        shown = [[images[0]], [first, second], [images[3]]]
        return [
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image"}] * len(some) + [{"type": "text", "text": "What?"}]},
                    {"role": "assistant", "content": [{"type": "text", "text": "A ship."}]},
                ],
                "images": some,
            }
            for some in shown
        ]

    blank = [Image.new("RGB", size, PADDING) for size in sizes[1:3]]
    for collate in (
        Collator(processor, notes=True, resizer="pillow"),
        lambda some: PackedCollator(processor, notes=True, resizer="pillow")([{"samples": some}]),
    ):
        made, wanted = collate(rows(images[1], lost)), collate(rows(*blank))
        assert dict(made["notes"].dropped) == {"image missing": 1} and set(made["notes"].faults) == {1}
        for name in ("input_ids", "image_grid_thw", "pixel_values"):
            assert made[name].equal(wanted[name]), name
        assert made["image_grid_thw"].tolist() == [[1, height // 14, width // 14] for width, height in sizes]


def test_where_nobody_counts_an_unreadable_image_is_an_error(root: Path, processor: Any) -> None:
    samples = _samples(root, ["0.png", "absent.png"])
    for collate in (Collator(processor), lambda rows: PackedCollator(processor)([{"samples": rows}])):
        with pytest.raises(ValueError, match=r"image of sample 1: .*absent\.png"):
            collate(samples)


def _recipe(root: Path, kept: float, tolerate: float, **changes: Any) -> dict[str, Any]:
    lines = [json.loads(line) for line in (root / "scenes.jsonl").read_text(encoding="utf-8").splitlines()]
    for place, line in enumerate(lines):
        if place >= kept * len(lines):
            line["images"][0]["image"]["path"] = f"gone{place}.png"
    name = f"gone{kept}.jsonl"
    (root / name).write_text("\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8")
    recipe = recipe_of(root, **changes)
    recipe["mixture"] |= {"subsets": [{"name": "scenes", "records": name}], "tolerate": tolerate}
    return recipe


def test_too_many_of_them_stop_the_run_with_the_table(root: Path, tmp_path: Path) -> None:
    run = prepare(TrainingRecipe.from_dict(_recipe(root, 0.5, 0.005)), root=root, output=tmp_path)
    assert run.report.left_out["image missing"] > 0
    with pytest.raises(TooManyRejected, match=r"cannot be used, more than 0\.50%") as stopped:
        run.trainer.train()
    table = str(stopped.value)
    assert "image missing" in table
    assert "position" in table
    assert "gone" in table


def test_what_was_lost_before_a_checkpoint_counts_after_it(root: Path, tmp_path: Path) -> None:
    # Every fourth record has no image; more than five lost of the first thousand are too many.
    recipe = _recipe(root, 0.75, 0.005, steps=30, packing={"tokens": 256, "lookahead": 2})
    recipe["train"] |= {"save_strategy": "steps", "save_steps": 3, "logging_steps": 1}

    def stopped(**options: Any) -> tuple[int, str]:
        run = prepare(TrainingRecipe.from_dict(recipe), root=root, output=tmp_path, **options)
        with pytest.raises(TooManyRejected) as error:
            run.train()
        assert run.trainer.tally.dropped.total() > 5
        return run.trainer.state.global_step, str(error.value)

    step, table = stopped()
    last = last_complete(tmp_path)
    assert last is not None
    counts = json.loads((last / RUN_FILE).read_text(encoding="utf-8"))["samples"]
    assert 0 < counts["dropped"]["image missing"] <= 5
    assert stopped(resume=True) == (step, table)
    # Counts decide no sample: a higher limit is the same recipe.
    recipe["mixture"]["tolerate"] = 1.0
    more = prepare(TrainingRecipe.from_dict(recipe), root=root, output=tmp_path, resume=True)
    more.train()
    assert more.checkpoint == last
    assert more.trainer.tally.dropped.total() > 6
    assert more.trainer.tally.table().splitlines()[2:4] == table.splitlines()[3:5]


@pytest.mark.parametrize("packing", [{"tokens": 400, "lookahead": 4}, None], ids=["packed", "padded"])
def test_logs_go_on_although_nothing_was_to_be_logged_where_it_was_saved(
    root: Path, tmp_path: Path, packing: Any
) -> None:
    recipe = recipe_of(root, steps=7, packing=packing)
    recipe["train"] |= {"save_strategy": "steps", "save_steps": 2, "logging_steps": 3}
    logs = []
    for resume in (False, True):
        run = prepare(TrainingRecipe.from_dict(recipe), root=root, output=tmp_path, resume=resume)
        run.train()
        timed = ("train_", "total_flos")
        logs.append(
            [{k: v for k, v in entry.items() if not k.startswith(timed)} for entry in run.trainer.state.log_history]
        )
        shutil.rmtree(tmp_path / "checkpoint-6")
        shutil.rmtree(tmp_path / "checkpoint-7")
    assert [entry["step"] for entry in logs[0] if "loss" in entry] == [2, 3, 4, 6, 7]
    assert run.checkpoint == tmp_path / "checkpoint-4"
    assert logs[1] == logs[0]


def test_what_is_used_and_what_is_not_add_up(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = 0
    step = TaskTrainer.compute_loss

    def watched(self: TaskTrainer, model: Any, inputs: Any, *rest: Any, **options: Any) -> Any:
        nonlocal seen
        seen += len(inputs["notes"].tasks)
        return step(self, model, inputs, *rest, **options)

    monkeypatch.setattr(TaskTrainer, "compute_loss", watched)
    for kept in (0.5, 0):
        seen = 0
        recipe = TrainingRecipe.from_dict(_recipe(root, kept, 1.0))
        run = prepare(replace(recipe, steps=2), root=root, output=tmp_path)
        run.trainer.train()
        logged = [entry for entry in run.trainer.state.log_history if "loss" in entry]
        used = sum(v for entry in logged for k, v in entry.items() if k.startswith("samples/"))
        lost = sum(entry.get("dropped/image_missing", 0) for entry in logged)
        assert used + lost == seen
        assert lost > 0
        assert (run.trainer.tally.kept, run.trainer.tally.dropped.total()) == (used, lost)
        # Where nothing can be read, nothing is trained, and that is no error either.
        assert (used > 0) == (kept > 0)
        if not kept:
            assert [entry["loss"] for entry in logged] == [0.0, 0.0]
            assert all(torch.isfinite(weight).all() for weight in run.trainer.model.parameters())
