"""The families of checkpoints that are read: what their vision towers were trained on, and what published ones write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

FamilyName = Literal["qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_5"]


@dataclass(frozen=True)
class Family:
    """A family of checkpoints.

    Attributes:
        name: ``model_type`` of its dense models.
        patch_size: Side of a patch in pixels; a visual token is two by two of them.
        image_mean: Mean by which pixel values are normalised; the same for all bands where it is one number.
        image_std: Standard deviation, likewise.
        dialect: Preset in which its published checkpoints write boxes.
        processor: Class name of its stock processor.
        video_processor: Class name of its stock video processor.
        min_pixels: Smallest area of an image by the published ``preprocessor_config.json``.
        max_pixels: Largest area, likewise.
    """

    name: FamilyName
    patch_size: int
    image_mean: tuple[float, float, float]
    image_std: tuple[float, float, float]
    dialect: str
    processor: str
    video_processor: str
    min_pixels: int
    max_pixels: int

    def image_settings(self) -> dict[str, Any]:
        """Return what an image processor of the family is made with."""
        return {
            "patch_size": self.patch_size,
            "image_mean": list(self.image_mean),
            "image_std": list(self.image_std),
        }


_CLIP = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
_HALF = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)

FAMILIES: Mapping[str, Family] = {
    family.name: family
    for family in (
        Family(
            "qwen2_vl", 14, *_CLIP, "qwen2-vl", "Qwen2VLProcessor", "Qwen2VLVideoProcessor", 56 * 56, 16384 * 28 * 28
        ),
        Family(
            "qwen2_5_vl",
            14,
            *_CLIP,
            "qwen2.5-vl",
            "Qwen2_5_VLProcessor",
            "Qwen2VLVideoProcessor",
            56 * 56,
            16384 * 28 * 28,
        ),
        Family(
            "qwen3_vl", 16, *_HALF, "qwen3-vl", "Qwen3VLProcessor", "Qwen3VLVideoProcessor", 256 * 256, 16384 * 32 * 32
        ),
        Family(
            "qwen3_5", 16, *_HALF, "qwen3-vl", "Qwen3VLProcessor", "Qwen3VLVideoProcessor", 256 * 256, 16384 * 32 * 32
        ),
    )
}
"""The families by the ``model_type`` of their dense models."""

_MIXTURES = {"qwen3_vl_moe": "qwen3_vl", "qwen3_5_moe": "qwen3_5"}

MODEL_TYPES: Mapping[str, Family] = {**FAMILIES, **{name: FAMILIES[dense] for name, dense in _MIXTURES.items()}}
"""The families by the ``model_type`` of ``config.json``, mixtures of experts included."""


def family_of_patch(patch_size: int) -> Family:
    """Return the family that an image processor alone belongs to: its patch tells Qwen2.5-VL from Qwen3-VL."""
    return FAMILIES["qwen3_vl" if patch_size == 16 else "qwen2_5_vl"]
