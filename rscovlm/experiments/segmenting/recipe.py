"""The recipe of the embedded segmenter: transformers' SAM 2 in miniature, from random weights, on windows of generated scenes.

``python -m rscovlm.experiments.segmenting.recipe FOLDER`` runs it on one core of a CPU; `ablation` measures what it made.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import Sam2Config, Sam2Model
from transformers.models.sam2.configuration_sam2 import (
    Sam2HieraDetConfig,
    Sam2MaskDecoderConfig,
    Sam2PromptEncoderConfig,
    Sam2VisionConfig,
)

from rscovlm.experiments.segmenting.windows import SIDE, ObjectWindow, draw_window
from rscovlm.files import replacing, write_text
from rscovlm.geometry.masks import Mask
from rscovlm.points.keypoints import inside_points
from rscovlm.points.sam2 import IGNORED, MEAN, STD
from rscovlm.training.optimizer import MuonAdamW

BATCH, OBJECTS, POINTS = 16, 3, 4
"""Windows of a step, prompts of a window, and points of a prompt at most."""

STEPS = 1340
BANK = 2500
"""Windows that are drawn; later steps show them again, turned and in another light."""

_RATE, _MUON_RATE, _WARM_UP, _FALLING = 1e-3, 1e-2, 50, 0.4
_JITTER = 0.07
"""Standard deviation of a box's sides in half of the prompts, as a share of its width and height: models miss by some pixels."""
_FREE_RATE = 0.3
"""Share of points that lie anywhere inside; the others are deep inside, as answers of a model are trained to be."""


def build_model(seed: int = 0) -> Sam2Model:
    """Build a SAM 2 with random weights that sees 64 by 64 pixels and draws masks on half as many.

    The encoder is a Hiera of four stages that begins with patches of 2 by 2 pixels, where the published ones begin with 4 by 4.
    """
    torch.manual_seed(seed)
    half = SIDE // 2
    backbone = Sam2HieraDetConfig(
        hidden_size=16,
        num_attention_heads=1,
        image_size=[SIDE, SIDE],
        patch_kernel_size=[5, 5],
        patch_stride=[2, 2],
        patch_padding=[2, 2],
        blocks_per_stage=[1, 2, 3, 1],
        embed_dim_per_stage=[16, 32, 64, 96],
        num_attention_heads_per_stage=[1, 2, 4, 4],
        window_size_per_stage=[8, 8, 8, 4],
        global_attention_blocks=[4, 5],
        window_positional_embedding_background_size=[4, 4],
    )
    vision = Sam2VisionConfig(
        backbone_config=backbone,
        backbone_channel_list=[96, 64, 32, 16],
        backbone_feature_sizes=[[half, half], [half // 2, half // 2], [half // 4, half // 4]],
        fpn_hidden_size=64,
    )
    config = Sam2Config(
        vision_config=vision,
        prompt_encoder_config=Sam2PromptEncoderConfig(hidden_size=64, image_size=SIDE, patch_size=8),
        # Only the single mask is trained, so nothing may fall back to one of the three.
        mask_decoder_config=Sam2MaskDecoderConfig(
            hidden_size=64,
            mlp_dim=128,
            num_attention_heads=4,
            iou_head_hidden_dim=32,
            dynamic_multimask_via_stability=False,
        ),
    )
    model = Sam2Model(config)
    # Places in the picture and places of prompts are encoded by the same random waves; the class draws them twice.
    model.prompt_encoder.shared_embedding.positional_embedding.copy_(model.shared_image_embedding.positional_embedding)
    return model


def train(
    folder: Path, *, steps: int = STEPS, seed: int = 0, resume: bool = False, save_every: int = 100, say: Any = None
) -> Sam2Model:
    """Train the segmenter and save it as a checkpoint that `Sam2Segmenter.load` takes.

    Args:
        folder: Where the model goes; the state of an unfinished run is kept there as ``state.safetensors``.
        steps: Optimiser steps.
        seed: Of weights, windows and prompts.
        resume: Resume from the state in the folder, if there is one.
        save_every: Steps between two states.
        say: Called with a line every fifty steps.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model = build_model(seed).train()
    optimizer = MuonAdamW(model.named_parameters(), lr=_RATE, muon_lr=_MUON_RATE)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, steps))
    state, first = folder / "state.safetensors", 0
    if resume and state.is_file():
        first = _read_state(state, model, optimizer)
        schedule.last_epoch = first
    windows = _Windows(seed)
    started, shown = time.perf_counter(), []
    for step in range(first, steps):
        loss, overlap = _losses(model, windows.batch(step), step)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        shown.append((float(loss.detach()), overlap))
        if say is not None and (step + 1) % 50 == 0:
            mean, iou = np.mean(shown, axis=0)
            say(f"step {step + 1}: loss {mean:.3f}, IoU {iou:.3f}, {time.perf_counter() - started:.0f} s")
            shown.clear()
        if (step + 1) % save_every == 0:
            _write_state(state, model, optimizer, step + 1)
    save(model, folder)
    state.unlink(missing_ok=True)
    return model.eval()


def save(model: Sam2Model, folder: Path) -> None:
    """Save a model with how its pictures are scaled."""
    model.eval().save_pretrained(folder)
    colours = {"image_mean": list(MEAN), "image_std": list(STD), "size": {"height": SIDE, "width": SIDE}}
    write_text(folder / "preprocessor_config.json", json.dumps(colours, indent=2) + "\n", overwrite=True)


def _write_state(path: Path, model: Sam2Model, optimizer: MuonAdamW, step: int) -> None:
    """Write weights and the optimiser's state after so many steps, as tensors and JSON."""
    tensors: dict[str, torch.Tensor] = {}
    kept = {"model": dict(model.state_dict()), "optimizer": optimizer.state_dict(), "step": step}
    plain = json.dumps(_plain(kept, tensors))
    with replacing(path, overwrite=True) as file:
        save_file(tensors, file, metadata={"state": plain})


def _read_state(path: Path, model: Sam2Model, optimizer: MuonAdamW) -> int:
    """Load what `_write_state` wrote; return the number of steps."""
    with safe_open(path, framework="pt") as file:
        kept = _whole(json.loads(file.metadata()["state"]), file)
    model.load_state_dict(kept["model"])
    optimizer.load_state_dict(kept["optimizer"])
    return int(kept["step"])


def _plain(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """Return a state as JSON has it, its tensors by number; pairs stand for mappings, whose keys may be numbers."""
    if isinstance(value, torch.Tensor):
        tensors[str(len(tensors))] = value.detach().clone().contiguous()
        return {"tensor": str(len(tensors) - 1)}
    if isinstance(value, dict):
        return {"pairs": [[key, _plain(one, tensors)] for key, one in value.items()]}
    return [_plain(one, tensors) for one in value] if isinstance(value, (list, tuple)) else value


def _whole(value: Any, file: Any) -> Any:
    """Return the state that `_plain` made plain."""
    if isinstance(value, dict):
        return (
            file.get_tensor(value["tensor"])
            if "tensor" in value
            else {key: _whole(one, file) for key, one in value["pairs"]}
        )
    return [_whole(one, file) for one in value] if isinstance(value, list) else value


def _rate(step: int, steps: int) -> float:
    """Return the share of the learning rates: up at once, constant, then down to nothing along a line.

    A run may be resumed with fewer steps as long as it has not begun to fall, and is then the run of so many steps.
    """
    warm = min(_WARM_UP, max(steps // 10, 1))
    return min((step + 1) / warm, 1.0, (steps - step) / (_FALLING * steps))


class _Windows:
    """The windows of each step with their prompts, drawn from the step's number alone, so that a run can be resumed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._bank: dict[int, ObjectWindow] = {}

    def batch(self, step: int) -> dict[str, torch.Tensor]:
        """Return pictures, boxes, points, labels and masks of a step."""
        rows = [self._row(step * BATCH + number) for number in range(BATCH)]
        return {name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in rows[0]}

    def _row(self, position: int) -> dict[str, NDArray[Any]]:
        place = position % BANK
        if place not in self._bank:
            self._bank[place] = draw_window(np.random.default_rng([self.seed, 1, place]))
        window, rng = self._bank[place], np.random.default_rng([self.seed, 2, position])
        turns, mirrored = int(rng.integers(4)), bool(rng.integers(2))
        image, masks = (_turned(values, turns, mirrored) for values in (window.image, window.masks.transpose(1, 2, 0)))
        chosen = rng.integers(masks.shape[2], size=OBJECTS)
        prompts = [prompt_arrays(Mask.of(masks[..., one]), rng) for one in chosen]
        boxes, points, labels = (np.stack(parts) for parts in zip(*prompts, strict=True))
        truth = np.ascontiguousarray(masks[..., chosen].transpose(2, 0, 1), np.float32)
        return {"pixels": _shown(image, rng), "boxes": boxes, "points": points, "labels": labels, "truth": truth}


def _turned(values: NDArray[Any], turns: int, mirrored: bool) -> NDArray[Any]:
    turned = np.rot90(values, turns)
    return turned[:, ::-1] if mirrored else turned


def _shown(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return a picture as the model takes it, in another light and with grain."""
    values = image / 255 * rng.uniform(0.85, 1.15) + rng.uniform(-0.05, 0.05, 3) + rng.normal(0, 0.01, image.shape)
    scaled = (np.clip(values, 0, 1) - MEAN) / STD
    return np.ascontiguousarray(scaled.transpose(2, 0, 1), np.float32)


def prompt_arrays(mask: Mask, rng: np.random.Generator) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return a box (4,), points (n, 2) and labels (n,) for an object, as inexact as a model's answers are."""
    x1, y1, x2, y2 = mask.window
    box = np.array([x1, y1, x2, y2], np.float64)
    if rng.random() < 0.5:
        box += rng.normal(0, _JITTER, 4) * np.array([x2 - x1, y2 - y1] * 2)
        box = np.concatenate([np.minimum(box[:2], box[2:] - 2), np.maximum(box[2:], box[:2] + 2)])
    count = int(rng.integers(1, POINTS + 1))
    found = inside_points(mask, count, rng)
    inside = np.argwhere(mask.pixels)[:, ::-1] + (x1 + 0.5, y1 + 0.5)
    free = rng.random(len(found)) < _FREE_RATE
    found[free] = inside[rng.integers(len(inside), size=int(free.sum()))]
    points, labels = np.zeros((POINTS, 2)), np.full(POINTS, IGNORED)
    points[: len(found)], labels[: len(found)] = found, 1
    return (box - 0.5).astype(np.float32), (points - 0.5).astype(np.float32), labels


def _losses(model: Sam2Model, batch: dict[str, torch.Tensor], step: int) -> tuple[torch.Tensor, float]:
    """Return the loss and the mean IoU of a step: of boxes with points every other time, else of either alone in turn."""
    points = {"input_points": batch["points"], "input_labels": batch["labels"]}
    boxes = {"input_boxes": batch["boxes"]}
    shown = [boxes | points, boxes, boxes | points, points][step % 4]
    out = model(pixel_values=batch["pixels"], multimask_output=False, **shown)
    return _loss(out, batch["truth"])


def _loss(out: Any, truth: torch.Tensor) -> tuple[torch.Tensor, float]:
    """Return dice and binary cross entropy of masks at the picture's size, and the error of the scores that the model gives itself."""
    drawn = torch.nn.functional.interpolate(out.pred_masks[:, :, 0], truth.shape[-2:], mode="bilinear")
    cross = torch.nn.functional.binary_cross_entropy_with_logits(drawn, truth)
    share = drawn.sigmoid()
    both = (share * truth).sum((-2, -1))
    dice = 1 - (2 * both + 1) / (share.sum((-2, -1)) + truth.sum((-2, -1)) + 1)
    with torch.no_grad():
        cut = (drawn > 0).float()
        common = (cut * truth).sum((-2, -1))
        overlap = common / (cut.sum((-2, -1)) + truth.sum((-2, -1)) - common)
    own = (out.iou_scores[..., 0] - overlap).square().mean()
    return 5 * cross + dice.mean() + 0.2 * own, float(overlap.mean())


def main() -> None:
    """Run the recipe from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the model goes")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true", help="resume from the last state in the folder")
    options = parser.parse_args()
    train(options.folder, steps=options.steps, seed=options.seed, resume=options.resume, say=_say)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
