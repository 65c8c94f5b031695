"""Packed training is unpacked training: same loss, same gradients, same course; and the rows are full."""

import copy
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rscovlm.experiments.embedded import STAGES, build_mixture, build_processor
from rscovlm.processing import PixelBudget, RSCoVLMImageProcessor, RSCoVLMProcessor
from rscovlm.records.pictures import loaded
from rscovlm.training.collator import Collator, PackedCollator
from rscovlm.training.encoding import Encoder
from rscovlm.training.packing import PackedMixture
from rscovlm.training.positions import multimodal_positions
from rscovlm.training.segments import isolate_samples
from rscovlm.training.sft import build_trainer
from rscovlm.training.tiny import Family, build_model
from tests.training import flash


def _text_only(words: str) -> dict[str, Any]:
    messages = [{"role": "user", "content": words}, {"role": "assistant", "content": [{"type": "text", "text": "yes"}]}]
    return {"messages": messages, "images": [], "tools": None, "task": "text"}


@pytest.fixture(scope="module")
def samples() -> list[dict[str, Any]]:
    mixture = build_mixture(STAGES, seed=5)
    made = [mixture[i] for i in [*range(4), *range(200_000, 200_008)]]
    # Other sizes, several images and none at all among them.
    made[0]["images"] = [loaded(made[0]["images"][0]).resize((300, 90))]
    return [*made, _text_only("is this text?"), _text_only("and this, with more words?")]


def _processor(samples: list[dict[str, Any]], family: Family) -> Any:
    made = build_processor(samples)
    factor = 28 if family == "qwen2_5_vl" else 32
    budget = PixelBudget(min_pixels=56 * 56, max_pixels=160 * 160, factor=factor)
    images = RSCoVLMImageProcessor.for_family(family, budget)
    return RSCoVLMProcessor(images, made.tokenizer, chat_template=made.chat_template, codec="rscovlm-v1")


@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl"])
def test_positions_are_those_of_the_model(samples: list[dict[str, Any]], family: Family) -> None:
    processor = _processor(samples, family)
    model = build_model(processor.tokenizer, family=family)
    for sample in samples:
        batch = Collator(processor)([sample])
        theirs, _ = model.model.get_rope_index(
            input_ids=batch["input_ids"],
            mm_token_type_ids=batch["mm_token_type_ids"],
            image_grid_thw=batch.get("image_grid_thw"),
            attention_mask=batch["attention_mask"],
        )
        grids = [tuple(grid) for grid in batch["image_grid_thw"].tolist()] if "image_grid_thw" in batch else []
        ours = multimodal_positions(batch["mm_token_type_ids"][0].bool().tolist(), grids, 2)
        assert ours.equal(theirs[-3:, 0])


def _loss_and_gradients(model: Any, batch: dict[str, torch.Tensor]) -> tuple[float, dict[str, torch.Tensor]]:
    model.zero_grad()
    labels = batch["labels"]
    logits = model(**{key: value for key, value in batch.items() if key != "labels"}, use_cache=False).logits
    loss = torch.nn.functional.cross_entropy(
        logits[:, :-1].flatten(0, 1).float(), labels[:, 1:].flatten(), ignore_index=-100, reduction="sum"
    )
    loss.backward()
    return float(loss.detach()), {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("attention", ["rscovlm_segments", "sdpa", "flash_reference"])
@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl"])
def test_loss_and_gradients_are_those_of_the_samples_alone(
    samples: list[dict[str, Any]], family: Family, attention: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    processor = _processor(samples, family)
    model = build_model(processor.tokenizer, family=family)
    alone = [_loss_and_gradients(model, Collator(processor)([sample])) for sample in samples]
    total = sum(loss for loss, _ in alone)
    names = set().union(*(gradients for _, gradients in alone))
    summed = {name: sum(g[name] for _, g in alone if name in g) for name in names}
    if attention == "flash_reference":
        flash.install(monkeypatch, attention)
        model.set_attn_implementation(attention)
    if attention != "sdpa":
        assert isolate_samples(model) == attention
    loss, gradients = _loss_and_gradients(model, PackedCollator(processor)([{"samples": samples}]))
    assert loss == pytest.approx(total, rel=1e-5)
    assert set(gradients) == names
    for name, gradient in gradients.items():
        scale = float(torch.as_tensor(summed[name]).abs().max())
        assert torch.allclose(gradient, torch.as_tensor(summed[name]), rtol=1e-4, atol=1e-5 * scale), name


_ON_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
_FLASH = pytest.mark.skipif(
    not torch.cuda.is_available() or find_spec("flash_attn") is None, reason="there is no GPU, or no flash_attn, here"
)


@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl"])
@pytest.mark.parametrize(
    ("device", "attention"),
    [
        ("cpu", "rscovlm_segments"),
        pytest.param("cuda", "rscovlm_segments", marks=_ON_GPU),
        pytest.param("cuda", "sdpa", marks=_ON_GPU),
        pytest.param("cuda", "flash_attention_2", marks=_FLASH),
    ],
)
def test_bfloat16_gives_the_same_to_its_precision(
    samples: list[dict[str, Any]], family: Family, device: str, attention: str
) -> None:
    processor = _processor(samples, family)
    exact = build_model(processor.tokenizer, family=family, width=128, heads=2).to(device)
    model = copy.deepcopy(exact).to(torch.bfloat16)
    batches = [_on(device, Collator(processor)([sample])) for sample in samples]
    references = [_loss_and_gradients(exact, batch)[1] for batch in batches]
    alone = [_loss_and_gradients(model, batch) for batch in batches]
    if attention == "rscovlm_segments":
        assert isolate_samples(model) == attention
    else:
        model.set_attn_implementation({"text_config": attention})
    loss, gradients = _loss_and_gradients(model, _on(device, PackedCollator(processor)([{"samples": samples}])))
    assert loss == pytest.approx(sum(loss for loss, _ in alone), rel=1e-3)
    for name, gradient in gradients.items():
        # Rounding makes gradients of bfloat16 differ by percents from one order of adding up to another, so what packing
        # may add is held against what bfloat16 itself is off; norms add up over a whole row, on a CPU in bfloat16 too.
        reference = _summed(references, name)
        scale = float(reference.norm())
        off = float((_summed([one for _, one in alone], name) - reference).norm())
        assert float((gradient.float() - reference).norm()) <= 2 * off + 0.05 * scale, name


def _on(device: str, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value.to(device) for name, value in batch.items()}


def _summed(gradients: list[dict[str, torch.Tensor]], name: str) -> torch.Tensor:
    return torch.stack([one[name].float() for one in gradients if name in one]).sum(0)


@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl"])
def test_thirty_steps_take_the_course_of_the_samples_unpacked(
    samples: list[dict[str, Any]], family: Family, tmp_path: Path
) -> None:
    processor = _processor(samples, family)
    courses = []
    for together in (True, False):
        model = build_model(processor.tokenizer, family=family)
        packed = PackedMixture(samples * 40, length=Encoder(processor), budget=300, lookahead=8, rows=30)
        join, pad = PackedCollator(processor, notes=True), Collator(processor, notes=True)
        if together:
            isolate_samples(model)
        trainer = build_trainer(
            model,
            processor,
            packed,
            collator=join if together else lambda rows, pad=pad: pad(rows[0]["samples"]),
            output_dir=str(tmp_path),
            max_steps=30,
            per_device_train_batch_size=1,
            learning_rate=1e-3,
            weight_decay=0.1,
            lr_scheduler_type="cosine",
            warmup_steps=0.05,
            use_cpu=True,
            bf16=False,
            activation_checkpointing=False,
            save_strategy="no",
            logging_steps=1,
            disable_tqdm=True,
        )
        trainer.train()
        logs = [entry for entry in trainer.state.log_history if "loss" in entry]
        courses.append([(entry["loss"], entry["grad_norm"]) for entry in logs])
    assert len(courses[0]) == 30
    assert courses[0][-1][0] < courses[0][0][0] / 2
    for one, other in zip(*courses, strict=True):
        assert one == pytest.approx(other, rel=1e-3)
    assert courses[0][0] == pytest.approx(courses[1][0], rel=1e-5)


def test_a_sample_does_not_see_its_neighbours(samples: list[dict[str, Any]]) -> None:
    processor = _processor(samples, "qwen2_5_vl")
    model = build_model(processor.tokenizer).eval()
    isolate_samples(model)
    one = PackedCollator(processor)([{"samples": [samples[1], samples[2]]}])
    other = PackedCollator(processor)([{"samples": [samples[3], samples[2]]}])
    length = len(PackedCollator(processor).encoder(samples[2]))
    with torch.no_grad():
        first = model(**one, use_cache=False).logits[0, -length:]
        second = model(**other, use_cache=False).logits[0, -length:]
    assert torch.allclose(first, second, atol=1e-5)


def test_rows_are_full_and_lose_nothing() -> None:
    rng = np.random.default_rng(0)
    # Lengths like the paper's mixture: captions and questions of a few hundred tokens, detection of up to thousands.
    lengths = np.concatenate(
        [rng.integers(150, 700, 12_000), rng.integers(400, 1800, 6000), rng.integers(1000, 6300, 2000)]
    )
    rng.shuffle(lengths)
    for lookahead, least in ((256, 0.975), (1024, 0.99)):
        packed = PackedMixture(list(lengths), length=int, budget=6144, lookahead=lookahead, rows=1500)
        assert packed.fill(1500) >= least
        used = [position for row in range(1500) for position in packed.pack(row).positions]
        assert len(used) == len(set(used))
        assert all(packed.pack(row).tokens == sum(lengths[list(packed.pack(row).positions)]) for row in range(1500))
        # Nothing waits for ever: all but the window's worth of what was read is used or counted as dropped.
        assert len(used) + packed.dropped["longer than the token budget"] + lookahead >= max(used)
        assert packed.dropped["longer than the token budget"] > 0


def test_a_row_is_the_same_however_one_gets_to_it(samples: list[dict[str, Any]]) -> None:
    processor = _processor(samples, "qwen2_5_vl")
    encoder = PackedCollator(processor).encoder

    def packed() -> PackedMixture:
        return PackedMixture(samples * 20, length=lambda s: len(encoder(s)), budget=512, lookahead=16, rows=30)

    forward = packed()
    rows = [forward[row] for row in range(30)]
    assert packed()[17] == rows[17]
    assert all(sum(len(encoder(s)) for s in row["samples"]) <= 512 for row in rows)


def test_no_pack_is_made_of_nothing() -> None:
    with pytest.raises(ValueError, match="budget 0"):
        PackedMixture([1], length=int, budget=0, rows=1)
    with pytest.raises(IndexError, match="the mixture ends after 1 samples"):
        PackedMixture([1], length=int, budget=5, rows=2).pack(1)


def test_one_pass_over_a_mixture_takes_everything_once_or_says_why_nothing() -> None:
    lengths = [int(length) for length in np.random.default_rng(0).integers(1, 60, 200)]
    packed = PackedMixture(lengths, length=int, budget=50, lookahead=8)
    places = [place for row in range(len(packed)) for place in packed.pack(row).positions]
    assert sorted(places) == [place for place, length in enumerate(lengths) if length <= 50]
    with pytest.raises(IndexError, match="is not one of"):
        packed[len(packed)]
    with pytest.raises(
        ValueError, match=r"none of 200 samples goes into a row of 1 tokens \(\d+ longer than the token"
    ):
        PackedMixture([length + 1 for length in lengths], length=int, budget=1)
    with pytest.raises(ValueError, match="2 lanes may end with different numbers of rows"):
        PackedMixture(lengths, length=int, budget=50, lanes=2)
