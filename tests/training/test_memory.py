"""The memory estimate is held against what autograd keeps, what optimisers hold, and the most that a step allocates."""

import gc
import json
from pathlib import Path
from typing import Any
from weakref import WeakSet

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch.autograd.graph import saved_tensors_hooks
from torch.profiler import ProfilerActivity, profile
from transformers import (
    AttentionInterface,
    AttentionMaskInterface,
    AutoModelForImageTextToText,
    Qwen2_5_VLConfig,
    Qwen3VLConfig,
)
from trl.trainer.utils import add_fused_lm_head

from rscovlm.training.activations import LargestBatch
from rscovlm.training.memory import MemoryEstimate, Sharing, adapted, estimate, sharing_of
from rscovlm.training.parts import Part, freeze, part_of
from rscovlm.training.positions import multimodal_positions
from rscovlm.training.recipe import TrainingRecipe
from rscovlm.training.segments import isolate_samples
from rscovlm.training.stages import prepare
from rscovlm.training.tiny import Family
from tests.training.conftest import recipe_of

IMAGE, GRID = 5, (1, 12, 12)
LENGTHS = (110, 80, 100)
TARGETS = r".*language_model.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"


def config_of(family: Family) -> Any:
    """A model wide enough that constants count little, with fewer keys than queries and heads that are no share of the width."""
    rope: dict[str, Any] = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [8, 12, 12]}
    text: dict[str, Any] = {"vocab_size": 1000, "hidden_size": 256, "intermediate_size": 768, "num_hidden_layers": 4}
    text |= {"num_attention_heads": 4, "num_key_value_heads": 2, "rope_parameters": rope, "bos_token_id": 1}
    vision: dict[str, Any] = {
        "depth": 4,
        "hidden_size": 160,
        "intermediate_size": 480,
        "num_heads": 4,
        "out_hidden_size": 256,
    }
    ids = {"image_token_id": IMAGE, "video_token_id": 6, "vision_start_token_id": 7, "vision_end_token_id": 8}
    if family == "qwen2_5_vl":
        vision |= {"patch_size": 14, "window_size": 112, "fullatt_block_indexes": [1, 3]}
        return Qwen2_5_VLConfig(text_config=text | {"eos_token_id": 2}, vision_config=vision, **ids)
    rope |= {"mrope_interleaved": True, "mrope_section": [16, 16, 16]}
    vision |= {"patch_size": 16, "num_position_embeddings": 256, "deepstack_visual_indexes": [2]}
    return Qwen3VLConfig(text_config=text | {"eos_token_id": 2, "head_dim": 96}, vision_config=vision, **ids)


def build(
    family: Family, dtype: torch.dtype = torch.float32, *, packed: bool = True, frozen: tuple[Part, ...] = ()
) -> Any:
    torch.manual_seed(0)
    model: Any = AutoModelForImageTextToText.from_config(config_of(family)).to(dtype)
    if packed:
        isolate_samples(model)
    freeze(model, frozen)
    add_fused_lm_head(model, outputs=("log_probs", "entropy", "is_top1"))
    return model.train()


def batch_of(model: Any, packed: bool) -> dict[str, Any]:
    count = GRID[1] * GRID[2] // 4
    rows = [[7, *[IMAGE] * count, 8, *[20] * (length - count - 2)] for length in LENGTHS]
    config = model.config.vision_config
    pixels = torch.randn(len(rows) * GRID[1] * GRID[2], 6 * config.patch_size**2)
    batch: dict[str, Any] = {"pixel_values": pixels, "image_grid_thw": torch.tensor([GRID] * len(rows))}
    if packed:
        places = [multimodal_positions([token == IMAGE for token in row], [GRID], 2) for row in rows]
        positions = [torch.cat([torch.arange(place.shape[1])[None], place]) for place in places]
        batch |= {
            "input_ids": torch.tensor([[token for row in rows for token in row]]),
            "position_ids": torch.cat(positions, 1)[:, None],
        }
    else:
        longest = max(LENGTHS)
        batch["input_ids"] = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
        batch["attention_mask"] = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
        batch["mm_token_type_ids"] = (batch["input_ids"] == IMAGE).long()
    return batch | {"labels": batch["input_ids"].masked_fill(batch["input_ids"] == IMAGE, -100)}


def row_of(packed: bool) -> LargestBatch:
    tokens = sum(LENGTHS) if packed else len(LENGTHS) * max(LENGTHS)
    return LargestBatch(tokens, len(LENGTHS) * GRID[1] * GRID[2], tokens, 0 if packed else max(LENGTHS))


class Held:
    """A tensor that autograd keeps; gone when autograd lets go of it."""

    def __init__(self, tensor: Any) -> None:
        self.tensor = tensor


class Keeping(saved_tensors_hooks):
    """What autograd keeps of all that is computed within, each storage once, weights aside."""

    def __init__(self, model: Any) -> None:
        self.alive: WeakSet[Held] = WeakSet()
        self.weights = {weight.untyped_storage()._cdata for weight in [*model.parameters(), *model.buffers()]}
        super().__init__(self._pack, lambda held: held.tensor)

    def _pack(self, tensor: Any) -> Held:
        held = Held(tensor)
        self.alive.add(held)
        return held

    def bytes(self, *others: Any) -> int:
        gc.collect()
        storages = [tensor.untyped_storage() for tensor in [*(held.tensor for held in self.alive), *others]]
        found = {storage._cdata: storage.nbytes() for storage in storages}
        return sum(count for place, count in found.items() if place not in self.weights)


def counted(model: Any, batch: dict[str, Any], autocast: bool = False) -> int:
    """Bytes of the batch and of all that autograd keeps of it."""
    keeping = Keeping(model)
    with keeping, torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        loss = -model(**batch, fused_lm_head=True).log_probs.sum()
    total = keeping.bytes(*batch.values())
    loss.backward()
    return total


def checkpointed(model: Any, wanted: bool) -> dict[str, Any]:
    if wanted:
        model.activation_checkpointing_enable({"use_reentrant": False})
    return {"activation_checkpointing": wanted, "bf16": False}


def kept_of(memory: MemoryEstimate) -> int:
    return memory.activations.language + memory.activations.vision


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize(("family", "dtype"), [("qwen2_5_vl", torch.bfloat16), ("qwen3_vl", torch.float32)])
def test_activations_are_what_autograd_keeps(
    family: Family, dtype: torch.dtype, packed: bool, checkpointing: bool
) -> None:
    model = build(family, dtype, packed=packed)
    settings = checkpointed(model, checkpointing)
    memory = estimate(model, row_of(packed), settings)
    assert kept_of(memory) == pytest.approx(counted(model, batch_of(model, packed)), rel=0.02)
    assert memory.gradients == sum(weight.grad.nbytes for weight in model.parameters() if weight.grad is not None)
    optimizer = torch.optim.AdamW(model.parameters())
    optimizer.step()
    states = sum(value.nbytes for state in optimizer.state.values() for value in state.values() if value.ndim)
    assert memory.states == states
    assert memory.weights == sum(weight.nbytes for weight in model.parameters())


@pytest.mark.parametrize(
    ("family", "frozen"),
    [
        ("qwen2_5_vl", ("vision", "merger")),
        ("qwen2_5_vl", ("language",)),
        ("qwen3_vl", ("vision",)),
        ("qwen3_vl", ("vision", "language")),
    ],
)
def test_frozen_parts_keep_less(family: Family, frozen: tuple[Part, ...]) -> None:
    model = build(family, torch.bfloat16, frozen=frozen)
    settings = checkpointed(model, False)
    memory = estimate(model, row_of(True), settings)
    assert estimate(build(family, torch.bfloat16), row_of(True), settings, frozen=frozen) == memory
    assert kept_of(memory) == pytest.approx(counted(model, batch_of(model, True)), rel=0.05)
    assert memory.gradients == sum(weight.grad.nbytes for weight in model.parameters() if weight.grad is not None)
    assert memory.states == 2 * memory.gradients


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl"])
def test_adapters_count_what_they_keep_and_learn(family: Family, checkpointing: bool) -> None:
    model = build(family, torch.bfloat16, frozen=("vision", "merger"))
    lora = LoraConfig(r=16, target_modules=TARGETS)
    settings = checkpointed(model, checkpointing) | {"bf16": True}
    memory = estimate(model, row_of(True), settings, adapter=lora)
    wrapped = get_peft_model(model, lora)
    if checkpointing:
        wrapped.enable_input_require_grads()
    batch = batch_of(model, True)
    assert kept_of(memory) == pytest.approx(counted(wrapped, batch, autocast=True), rel=0.05)
    learns = [weight for weight in wrapped.parameters() if weight.requires_grad]
    assert memory.gradients == sum(weight.nbytes for weight in learns)
    assert memory.weights == sum(weight.nbytes for weight in wrapped.parameters())


@pytest.mark.parametrize(
    "options",
    [
        {"init_lora_weights": "pissa"},
        {"rank_pattern": {"q_proj": 4}, "modules_to_save": ["lm_head"]},
        {"target_modules": "all-linear", "use_dora": True},
    ],
)
def test_every_weight_of_an_adapter_is_counted(options: dict[str, Any]) -> None:
    model = build("qwen3_vl", torch.bfloat16)
    lora = LoraConfig(**{"r": 8, "target_modules": TARGETS, **options})
    memory = estimate(model, row_of(True), {}, adapter=lora)
    frozen = estimate(model, row_of(True), {}, adapter=lora, frozen=("vision", "merger"))
    wrapped = get_peft_model(model.float() if "init_lora_weights" in options else model, lora)
    learns = {name: weight for name, weight in wrapped.named_parameters() if weight.requires_grad}
    assert memory.gradients == sum(weight.nbytes for weight in learns.values())
    assert frozen.gradients == sum(weight.nbytes for name, weight in learns.items() if part_of(name) == "language")


@pytest.mark.parametrize("options", [{"use_dora": True}, {"lora_dropout": 0.1}])
def test_dora_and_dropout_keep_more(options: dict[str, Any]) -> None:
    model = build("qwen2_5_vl", torch.bfloat16, frozen=("vision", "merger"))
    lora = LoraConfig(r=16, target_modules=TARGETS, **options)
    memory = estimate(model, row_of(True), checkpointed(model, False) | {"bf16": True}, adapter=lora)
    _, adapters = adapted(model, lora)
    found = counted(get_peft_model(model, lora), batch_of(model, True), autocast=True)
    if "lora_dropout" in options:
        # On the CPU the mask is of the input's type; on a GPU, which is counted, it takes one byte.
        found -= sum(one.inputs for one in adapters) * 3 * row_of(True).tokens
    assert kept_of(memory) == pytest.approx(found, rel=0.05)


def test_half_precision_beside_weights_in_single_precision() -> None:
    model = build("qwen2_5_vl", torch.float32)
    memory = estimate(model, row_of(True), checkpointed(model, False) | {"bf16": True})
    copies = memory.weights - sum(weight.nbytes for weight in model.parameters())
    assert copies == 2 * sum(weight.numel() for weight in model.parameters())
    found = counted(model, batch_of(model, True), autocast=True)
    assert kept_of(memory) + copies == pytest.approx(found, rel=0.1)


@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_the_most_that_a_step_allocates(family: Family, checkpointing: bool) -> None:
    model = build(family, torch.bfloat16)
    memory = estimate(model, row_of(True), checkpointed(model, checkpointing))
    batch = {name: value for name, value in batch_of(model, True).items() if name != "labels"}

    def step() -> None:
        # Without the loss, which TRL computes otherwise on a CPU than on a GPU.
        model.model(**batch, use_cache=False).last_hidden_state.sum().backward()

    step()  # gradients are there from now on
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        step()
    events: Any = profiled.profiler
    changes = [
        (event.start_ns(), event.nbytes()) for event in events.kineto_results.events() if event.name() == "[memory]"
    ]
    most = now = 0
    for _, change in sorted(changes):
        now += change
        most = max(most, now)
    most += sum(value.nbytes for value in batch.values())
    assert kept_of(memory) + memory.activations.again == pytest.approx(most, rel=0.1)


def test_a_run_reports_what_its_optimiser_comes_to_hold(root: Path, tmp_path: Path) -> None:
    lora = {"r": 4, "target_modules": r".*language_model.*\.(q_proj|v_proj)"}
    for changes in ({"freeze": ["vision"]}, {"lora": lora}):
        run = prepare(TrainingRecipe.from_dict(recipe_of(root, **changes)), root=root, output=tmp_path)
        run.trainer.train()
        held = run.trainer.optimizer.state.values()
        memory = run.report.memory
        assert memory is not None
        assert memory.states == sum(value.nbytes for state in held for value in state.values() if value.ndim)
        assert memory.gradients * 2 == memory.states
        assert memory.weights == sum(weight.nbytes for weight in run.trainer.model.parameters())
        assert "memory a process (one process): weights " in run.report.text()


ZERO = {"zero_optimization": {"stage": 1}}


@pytest.mark.parametrize(
    ("settings", "environment", "said"),
    [
        ({}, {}, "one process"),
        ({}, {"WORLD_SIZE": "4"}, "4 processes, each with all of it"),
        ({"deepspeed": ZERO}, {"WORLD_SIZE": "8"}, "8 processes, ZeRO-1"),
        ({}, {"WORLD_SIZE": "2", "ACCELERATE_USE_DEEPSPEED": "true"}, "2 processes, ZeRO-2"),
        ({}, {"WORLD_SIZE": "2", "ACCELERATE_USE_FSDP": "true"}, "2 processes, FSDP"),
    ],
)
def test_how_memory_is_shared_is_read_from_recipe_and_launcher(
    settings: dict[str, Any], environment: dict[str, str], said: str
) -> None:
    assert str(sharing_of(settings, environment, width=64)) == said


def test_a_file_of_deepspeed_is_read_or_named(tmp_path: Path) -> None:
    path = tmp_path / "zero.json"
    zero = {"stage": 3, "reduce_bucket_size": "auto", "overlap_comm": False, "stage3_max_live_parameters": 2e6}
    path.write_text(
        json.dumps({"zero_optimization": zero | {"offload_optimizer": {"device": "cpu"}}}), encoding="utf-8"
    )
    shared = sharing_of({"deepspeed": str(path)}, {"WORLD_SIZE": "2"}, width=64)
    assert shared == Sharing("zero", 2, 3, bucket=64 * 64, live=2_000_000, on_host=True)
    with pytest.raises(ValueError, match="nowhere.json', which cannot be read"):
        sharing_of({"deepspeed": "nowhere.json"}, {}, width=64)
    path.write_text("[]", encoding="utf-8")
    with pytest.raises(ValueError, match="holds no settings"):
        sharing_of({"deepspeed": str(path)}, {}, width=64)


@pytest.mark.parametrize(
    ("train", "kinds", "half"),
    [
        ({}, {}, False),
        ({}, {"bf16": {"enabled": "auto"}}, True),
        ({"bf16": False}, {"bf16": {"enabled": "auto"}}, False),
        ({"fp16": True}, {"bf16": {"enabled": "auto"}, "fp16": {"enabled": "auto"}}, True),
        ({"bf16": False}, {"bf16": {"enabled": True}}, True),
    ],
)
def test_deepspeed_brings_weights_to_half_precision_where_it_is_told(
    train: dict[str, Any], kinds: dict[str, Any], half: bool
) -> None:
    settings = train | {"deepspeed": ZERO | kinds}
    assert sharing_of(settings, {}, width=64).half == half
    model = build("qwen2_5_vl", torch.float32)
    numbers = sum(weight.numel() for weight in model.parameters())
    memory = estimate(model, row_of(True), settings)
    assert memory.weights == (2 if half else 4) * numbers
    assert memory.states == 12 * numbers


def test_flash_attention_takes_no_mask() -> None:
    model = build("qwen2_5_vl", torch.bfloat16, packed=False)
    padded = estimate(model, row_of(False), {"activation_checkpointing": False})
    model.config.text_config._attn_implementation = "flash_attention_2"
    without = estimate(model, row_of(False), {"activation_checkpointing": False})
    masks = 4 * 2 * row_of(False).tokens * max(LENGTHS)
    assert kept_of(padded) - kept_of(without) == masks


def test_shares_of_many_processes() -> None:
    model = build("qwen2_5_vl", torch.bfloat16)
    numbers = sum(weight.numel() for weight in model.parameters())
    row = row_of(True)

    def of(sharing: Sharing) -> MemoryEstimate:
        return estimate(model, row, {}, sharing=sharing)

    alone, many = of(Sharing()), of(Sharing("none", 8))
    assert (alone.weights, alone.gradients, alone.states) == (2 * numbers, 2 * numbers, 4 * numbers)
    assert (many.weights, many.gradients, many.states) == (2 * numbers, 4 * numbers, 4 * numbers)
    first, second, third = (of(Sharing("zero", 8, stage)) for stage in (1, 2, 3))
    assert (first.weights, first.gradients, first.states) == (2 * numbers, 2 * numbers, 12 * -(-numbers // 8))
    assert second.gradients == -(-2 * numbers // 8)
    assert third.weights == -(-2 * numbers // 8)
    fsdp = of(Sharing("fsdp", 8))
    assert fsdp.weights + fsdp.gradients + fsdp.states < 16 * numbers // 8 + 2 * numbers
    assert of(Sharing("zero", 8, 1, on_host=True)).states == 0


class _Kept(torch.autograd.Function):
    """Attention that computes nothing and keeps what FlashAttention and sdpa keep."""

    @staticmethod
    def forward(context: Any, *given: Any) -> Any:
        queries = given[0]
        made, sums = torch.empty_like(queries), torch.empty(queries.shape[:3], device="meta")
        context.save_for_backward(*given, made, sums)
        return made


def _attend(module: Any, queries: Any, keys: Any, values: Any, attention_mask: Any = None, **_: Any) -> Any:
    # One sample a row, put together as those of packed rows are.
    return torch.cat([_Kept.apply(queries, keys, values)], dim=2).transpose(1, 2).contiguous(), None


class _Angles(torch.nn.Module):
    def forward(self, hidden: Any, position_ids: Any) -> Any:
        made = torch.empty(PAPER.patches, 80, device="meta")
        return made, made


def seven_billion(layers: int = 28, blocks: int = 32) -> Any:
    vision: dict[str, Any] = {"depth": blocks, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16}
    text: dict[str, Any] = {"vocab_size": 152064, "hidden_size": 3584, "intermediate_size": 18944}
    text |= {"num_hidden_layers": layers, "num_attention_heads": 28, "num_key_value_heads": 4}
    with torch.device("meta"):
        config = Qwen2_5_VLConfig(text_config=text, vision_config=vision | {"out_hidden_size": 3584})
        model: Any = AutoModelForImageTextToText.from_config(config).to(torch.bfloat16)
    return model.train()


PAPER = LargestBatch(6144, 4 * 72 * 72, 960)
"""Four images of 1008 pixels a side in a row of 6,144 tokens."""


@pytest.mark.parametrize("checkpointing", [False, True])
def test_layers_at_the_width_of_seven_billion(checkpointing: bool) -> None:
    model = seven_billion(layers=2, blocks=2)
    AttentionInterface.register("kept_alone", _attend)
    AttentionMaskInterface.register("kept_alone", lambda *_, **__: None)
    model.set_attn_implementation("kept_alone")
    model.model.visual.rotary_pos_emb = _Angles()
    memory = estimate(model, PAPER, checkpointed(model, checkpointing))
    keeping = Keeping(model)
    pixels = torch.empty(PAPER.patches, 1176, dtype=torch.bfloat16, device="meta")
    hidden = torch.empty(1, PAPER.tokens, 3584, dtype=torch.bfloat16, device="meta", requires_grad=True)
    with keeping:
        seen = model.model.visual(pixels, grid_thw=torch.tensor([[1, 72, 72]] * 4))
        vision = keeping.bytes()
        positions = torch.zeros(4, 1, PAPER.tokens, dtype=torch.long, device="meta")
        read = model.model.language_model(
            inputs_embeds=hidden, position_ids=positions, attention_mask={"full_attention": None}, use_cache=False
        )
    language = keeping.bytes() - vision
    assert seen.pooler_output.requires_grad and read.last_hidden_state.requires_grad
    # The loss, which is not computed here, reads the hidden states; pixels come in single precision.
    assert memory.activations.language - hidden.nbytes == pytest.approx(language, rel=0.01)
    assert memory.activations.vision - 2 * pixels.nbytes == pytest.approx(vision, rel=0.02)


def test_the_recipe_of_the_paper_is_plausible() -> None:
    model = seven_billion()
    memory = estimate(model, PAPER, {}, sharing=Sharing("zero", 8, 1, bucket=500_000_000))
    assert memory.weights == pytest.approx(16.6e9, rel=0.01)
    assert memory.states == pytest.approx(12 * 8.29e9 / 8, rel=0.01)
    # It trains on cards of 80 GB with layers computed again, and not without.
    assert 45e9 < memory.together < 60e9
    assert estimate(model, PAPER, {"activation_checkpointing": False}).together > 120e9


def test_what_does_not_fit_is_said_with_what_to_lower() -> None:
    model = build("qwen2_5_vl", torch.bfloat16)
    large = LargestBatch(100_000, 400_000, 100_000)
    short = estimate(model, large, {"activation_checkpointing": False}, device=10**9)
    assert not short.fits
    assert (
        "the GPU has 1.0 GB, a tenth of it not for use: this does not fit; set train.activation_checkpointing to true, or lower packing.tokens"
        in short.text()
    )
    assert estimate(model, row_of(True), {}, device=10**12).fits
    assert "does not fit" not in estimate(model, row_of(True), {}, device=10**12).text()
