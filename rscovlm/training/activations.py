"""What a Qwen-VL model keeps of a row for the backward pass, counted from the lines of its forward pass.

What autograd keeps follows from three rules: a matrix product keeps its input where its weight learns, a pointwise
function keeps its input, and fused attention keeps queries, keys, values and its result. The counts below apply them to
`transformers.models.qwen2_5_vl` and `qwen3_vl` (5.23) with sdpa or FlashAttention, in bytes a token (language model) or
a patch (vision tower); `tests/training/test_memory.py` holds them against what autograd really keeps. Fused kernels
(Liger) keep less.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

SINGLE = 4
"""Bytes of a number in single precision, which norms compute in whatever the weights are."""


@dataclass(frozen=True)
class LargestBatch:
    """The most that a process takes through the model at once.

    Attributes:
        tokens: Tokens, visual ones and padding included.
        patches: Patches of images, ``merge_size ** 2`` for each visual token.
        trained: Tokens the loss falls on.
        padded_to: Length that samples side by side are padded to, whose mask attention keeps; 0 where there is no mask.
    """

    tokens: int
    patches: int
    trained: int
    padded_to: int = 0


@dataclass(frozen=True)
class Adapter:
    """A low-rank adapter on a matrix of the layers.

    Attributes:
        vision: It is in the vision tower.
        inputs: Width of what goes into the matrix.
        outputs: Width of what comes out.
        rank: Its rank.
    """

    vision: bool
    inputs: int
    outputs: int
    rank: int


@dataclass(frozen=True)
class Learning:
    """What learns, and in which numbers.

    Attributes:
        language: The layers of the language model learn.
        vision: The blocks of the vision tower learn.
        merger: What joins the two learns.
        adapters: Adapters that learn.
        dropout: Their inputs are dropped at random.
        dora: They scale whole columns too (DoRA).
        stream: Bytes of a number between layers: that of the weights.
        compute: Bytes of a number within: half precision under autocast.
        checkpointing: Layers keep their input alone and are computed again for the backward pass.
    """

    language: bool
    vision: bool
    merger: bool
    adapters: Sequence[Adapter] = ()
    dropout: bool = False
    dora: bool = False
    stream: int = 2
    compute: int = 2
    checkpointing: bool = True


@dataclass(frozen=True)
class Kept:
    """Bytes of activations.

    Attributes:
        language: Kept of the language model until the backward pass.
        vision: Kept of the vision tower and what joins it to the language model.
        again: Kept of the largest layer while it is computed again under checkpointing, otherwise 0.
    """

    language: int
    vision: int
    again: int


def kept(config: Any, row: LargestBatch, learning: Learning) -> Kept:
    """Count the bytes that are kept of a row.

    Args:
        config: Of a Qwen2.5-VL or Qwen3-VL model.
        row: What goes through the model.
        learning: What learns.
    """
    text, tower = config.get_text_config(), config.vision_config
    tokens, patches, stream, compute = row.tokens, row.patches, learning.stream, learning.compute
    in_tower = learning.vision or any(adapter.vision for adapter in learning.adapters)
    # Checkpointing asks for gradients of the embedded tokens, learning or not, and in Qwen2.5-VL of the embedded patches.
    through_tower = in_tower or (learning.checkpointing and _gated(tower))
    through_text = in_tower or learning.merger or learning.language or bool(learning.adapters) or learning.checkpointing
    layers, blocks = text.num_hidden_layers, tower.depth
    layer = tokens * _layer(text, learning) * through_text
    # The mask of padded rows is made anew for each layer, as numbers that are added to the scores.
    layer += tokens * row.padded_to * compute * through_text
    block = patches * _block(tower, learning) * through_tower
    adapted_text = sum(_adapter(one, learning) for one in learning.adapters if not one.vision) * tokens
    adapted_tower = sum(_adapter(one, learning) for one in learning.adapters if one.vision) * patches
    merged = learning.merger or through_tower
    # The last norm and what the loss reads; the pixels, and their copy in the type of the weights.
    ends_text = tokens * text.hidden_size * (SINGLE + stream * learning.language + compute) * through_text
    values = tower.in_channels * tower.temporal_patch_size * tower.patch_size**2
    ends_tower = patches * values * (SINGLE + (stream if stream < SINGLE and learning.vision else 0))
    ends_tower += patches * _merger(tower, learning) * merged
    if not learning.checkpointing:
        return Kept(layers * layer + adapted_text + ends_text, blocks * block + adapted_tower + ends_tower, 0)
    return Kept(
        layers * tokens * text.hidden_size * stream * through_text + ends_text,
        blocks * patches * tower.hidden_size * stream * through_tower + ends_tower,
        max(layer + adapted_text // max(layers, 1), block + adapted_tower // max(blocks, 1)),
    )


def _layer(text: Any, learning: Learning) -> int:
    """Count the bytes a layer of the language model keeps of a token."""
    width, inner, heads = text.hidden_size, text.intermediate_size, text.num_attention_heads
    head = getattr(text, "head_dim", None) or width // heads
    queries, keys = heads * head, text.num_key_value_heads * head
    compute, learns = learning.compute, learning.language
    mixed = learning.stream > compute  # then every product makes its own copy of its input
    norms = 2 * width * (SINGLE + (learning.stream if learns else 0))
    if text.model_type.startswith("qwen3"):  # norms of queries and keys
        norms += (queries + keys) * (SINGLE + (learning.stream if learns else 0))
    attention = compute * (2 * queries + 2 * keys) + SINGLE * heads
    gated = 3 * compute * inner
    products = compute * ((5 if mixed else 2) * width + queries + inner) if learns else 0
    return int(norms + attention + gated + products)


def _block(tower: Any, learning: Learning) -> int:
    """Count the bytes a block of the vision tower keeps of a patch."""
    width, inner, compute, learns = tower.hidden_size, tower.intermediate_size, learning.compute, learning.vision
    # Values stay in one piece with the queries and keys they were computed with.
    attention = compute * 6 * width + SINGLE * tower.num_heads
    if _gated(tower):
        mixed = learning.stream > compute
        norms = 2 * width * (SINGLE + (learning.stream if learns else 0))
        products = compute * ((4 if mixed else 3) * width + inner) if learns else 0
        return int(norms + attention + 3 * compute * inner + products)
    products = compute * (3 * width + inner) if learns else 0
    return int(2 * width * SINGLE + attention + compute * inner + products)


def _merger(tower: Any, learning: Learning) -> int:
    """Count the bytes that joining patches to visual tokens keeps of a patch: a norm, and two products."""
    width, learns = tower.hidden_size, learning.merger
    products = learning.compute * width * (3 if learns else 1)
    if _gated(tower):
        return int(width * (SINGLE + learning.stream * learns) + products)
    deep = len(getattr(tower, "deepstack_visual_indexes", ()))
    return int(width * SINGLE + products * (1 + deep))


def _gated(tower: Any) -> bool:
    """Tell whether blocks have gated layers and root-mean-square norms, as in Qwen2.5-VL."""
    return not hasattr(tower, "deepstack_visual_indexes")


def _adapter(adapter: Adapter, learning: Learning) -> int:
    """Count the bytes an adapter keeps of a token: its input in its own type, and what lies between its two matrices."""
    count = learning.compute * (adapter.inputs + adapter.rank)
    count += adapter.inputs if learning.dropout else 0  # a mask of one byte
    return count + (2 * learning.compute * adapter.outputs if learning.dora else 0)
