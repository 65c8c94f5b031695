"""A stock `trl.SFTTrainer` trains packed rows of an ordinary data set as one would train its samples one by one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset, Image, List
from PIL import Image as Pillow
from transformers import AutoModelForImageTextToText, AutoProcessor
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from trl import SFTConfig, SFTTrainer

from rscovlm.testing import tiny_checkpoint
from rscovlm.training.collator import PackedCollator
from rscovlm.training.encoding import Encoder
from rscovlm.training.packing import PackedMixture
from rscovlm.training.segments import isolate_samples
from rscovlm.training.sft import SFT_ARGUMENTS, as_dataset


def _dataset(count: int) -> Dataset:
    rng = np.random.default_rng(0)

    def row(number: int) -> dict[str, Any]:
        sides = rng.integers(60, 200, (number % 3, 2))
        images = [Pillow.fromarray(rng.integers(0, 255, (*side, 3), dtype=np.uint8)) for side in sides]
        asked = [{"type": "image", "text": None} for _ in images] + [{"type": "text", "text": f"what is {number}?"}]
        answer = [{"type": "text", "text": "It is " + "very " * int(rng.integers(0, 9)) + f"{number}."}]
        messages = [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
        return {"messages": messages, "images": images}

    rows = [row(number) for number in range(count)]
    columns = {name: [one[name] for one in rows] for name in ("messages", "images")}
    return Dataset.from_dict(columns).cast_column("images", List(Image()))


def _loss(processor: Any, model: Any, sample: Any) -> tuple[torch.Tensor, int]:
    """The stock processor call and the model's own logits, on one sample by itself."""
    inputs = processor.apply_chat_template(
        [_with_images(sample)], tokenize=True, return_dict=True, return_tensors="pt", return_assistant_tokens_mask=True
    )
    trained = inputs.pop("assistant_masks")[:, 1:].bool()
    logits = model(**inputs).logits[:, :-1]
    return torch.nn.functional.cross_entropy(
        logits[trained], inputs["input_ids"][:, 1:][trained], reduction="sum"
    ), int(trained.sum())


def _with_images(sample: Any) -> Any:
    images = iter(sample["images"])
    return [
        {
            **turn,
            "content": [
                {**part, "image": next(images)} if part["type"] == "image" else part for part in turn["content"]
            ],
        }
        for turn in sample["messages"]
    ]


def test_a_stock_trainer_trains_an_ordinary_data_set_packed(tmp_path: Path) -> None:
    tiny_checkpoint(tmp_path / "start")
    processor: Any = AutoProcessor.from_pretrained(tmp_path / "start")
    model = AutoModelForImageTextToText.from_pretrained(tmp_path / "start", dtype="float32")
    other = AutoModelForImageTextToText.from_pretrained(tmp_path / "start", dtype="float32")
    data = _dataset(30)
    packed = PackedMixture(data, length=Encoder(processor), budget=400, lookahead=16)
    packs = [packed.pack(row).positions for row in range(len(packed))]
    assert sorted(position for pack in packs for position in pack) == list(range(30))
    assert len(packs) < 15
    isolate_samples(model)
    settings = {"learning_rate": 1e-3, "lr_scheduler_type": "constant", "max_grad_norm": 0.0, "optim": "sgd"}
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(
            output_dir=str(tmp_path / "run"), num_train_epochs=2, per_device_train_batch_size=1, logging_steps=1,
            use_cpu=True, bf16=False, activation_checkpointing=False, report_to="none", save_strategy="no",
            disable_tqdm=True, logging_strategy="steps", **settings, **SFT_ARGUMENTS,
        ),
        train_dataset=as_dataset(packed),
        data_collator=PackedCollator(processor),
        processing_class=processor,
    )  # fmt: skip
    trainer.train()
    logged = [log["loss"] for log in trainer.state.log_history if "loss" in log]
    assert len(logged) == 2 * len(packs)
    assert logged == pytest.approx(_course(processor, other, data, packs * 2, rate=1e-3), rel=1e-4)
    counted = [log["num_tokens"] for log in trainer.state.log_history if "loss" in log]
    rows = [sum(len(Encoder(processor)(data[position])) for position in pack) for pack in packs]
    assert counted[-1] == 2 * sum(rows)
    assert sorted(np.diff([0, *counted[: len(packs)]]).tolist()) == sorted(rows)


def test_a_stock_trainer_evaluates_rows_within_the_budget(tmp_path: Path) -> None:
    tiny_checkpoint(tmp_path / "start")
    processor: Any = AutoProcessor.from_pretrained(tmp_path / "start")
    model = AutoModelForImageTextToText.from_pretrained(tmp_path / "start", dtype="float32")
    isolate_samples(model)
    packed = PackedMixture(_dataset(40), length=Encoder(processor), budget=400, lookahead=16)
    lengths = []

    class Watched(PackedCollator):
        def __call__(self, rows: Any) -> dict[str, Any]:
            batch = super().__call__(rows)
            lengths.append(batch["input_ids"].shape[1])
            return batch

    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(
            output_dir=str(tmp_path / "run"), max_steps=1, per_device_train_batch_size=1, use_cpu=True, bf16=False,
            activation_checkpointing=False, report_to="none", save_strategy="no", disable_tqdm=True, **SFT_ARGUMENTS,
        ),
        train_dataset=as_dataset(packed),
        eval_dataset=as_dataset(packed),
        data_collator=Watched(processor),
        processing_class=processor,
    )  # fmt: skip
    trainer.evaluate()
    assert lengths == [packed.pack(row).tokens for row in range(len(packed))]
    assert max(lengths) <= 400


def test_the_size_may_be_set_as_a_plain_mapping(tmp_path: Path) -> None:
    tiny_checkpoint(tmp_path / "start")
    processor: Any = AutoProcessor.from_pretrained(tmp_path / "start")
    size = {"shortest_edge": 3136, "longest_edge": 50_176}
    stock = Qwen2VLImageProcessorPil(patch_size=processor.image_processor.patch_size, size=size)
    processor.image_processor.size = size
    picture = Pillow.fromarray(np.zeros((500, 700, 3), dtype=np.uint8))
    grid = stock(images=[picture], return_tensors="pt")["image_grid_thw"]
    assert processor.image_processor(images=[picture], return_tensors="pt")["image_grid_thw"].equal(grid)
    sample = {**_dataset(2)[1], "images": [picture]}
    assert [list(one) for one in Encoder(processor)(sample).grids] == grid.tolist()
    assert PackedCollator(processor)([{"samples": [sample]}])["image_grid_thw"].equal(grid)


def _course(processor: Any, model: Any, data: Any, packs: Sequence[Sequence[int]], *, rate: float) -> list[float]:
    losses = []
    for pack in packs:
        model.zero_grad()
        alone = [_loss(processor, model, data[position]) for position in pack]
        count = sum(trained for _, trained in alone)
        for loss, _ in alone:
            (loss / count).backward()
        losses.append(sum(float(loss.detach()) for loss, _ in alone) / count)
        with torch.no_grad():
            for weight in model.parameters():
                if weight.grad is not None:
                    weight -= rate * weight.grad
    return losses
