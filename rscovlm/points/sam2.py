"""SAM 2 of transformers as a segmenter: its model alone, without a processor and without torchvision."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rscovlm.codec.point_objects import PointObject
from rscovlm.extras import optional
from rscovlm.geometry import Frame
from rscovlm.geometry.masks import Mask

if TYPE_CHECKING:
    import torch
    from transformers import Sam2Model

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
Given: TypeAlias = Literal["both", "boxes", "points"]
IGNORED = -10
"""Label of points that fill up a batch; the prompt encoder leaves them out."""


class Sam2Segmenter:
    """Asks a SAM 2 model for the mask of each box with points, several at a time; the image is looked at once.

    Args:
        model: A `transformers.Sam2Model`.
        batch_size: Prompts decoded together.
        mean: Of each colour, on a scale from 0 to 1, as the model was trained.
        std: Likewise.
        several: Let the model give several masks of which the one that it scores highest counts; by default only for prompts
            without a box, as SAM is meant to be used.
        given: What of each prompt the model is given: ``"both"``, or ``"boxes"`` or ``"points"`` alone, to see what each is worth.

    Raises:
        ValueError: ``batch_size`` is below 1, or ``given`` is something else.
    """

    def __init__(
        self,
        model: Sam2Model,
        *,
        batch_size: int = 16,
        mean: Sequence[float] = MEAN,
        std: Sequence[float] = STD,
        several: bool = False,
        given: Given = "both",
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; give 1 or more")
        if given not in get_args(Given):
            raise ValueError(f"given is {given!r}; choose one of {', '.join(get_args(Given))}")
        self.given = given
        self.model, self.batch_size, self.several = model.eval(), batch_size, several
        self._mean, self._std = np.array(mean, np.float32), np.array(std, np.float32)
        self.side = int(model.config.prompt_encoder_config.image_size)

    @classmethod
    def load(cls, name: str | Path, *, device: str | None = None, **options: Any) -> Sam2Segmenter:
        """Load a checkpoint from a folder or the Hub.

        Colours are scaled as its ``preprocessor_config.json`` says, where a folder has one.

        Args:
            name: Folder or name.
            device: Where the model runs; by default the CPU.
            options: Those of the class, and ``revision``.
        """
        with optional("sam"):
            from transformers import Sam2Model

        revision = {"revision": options.pop("revision")} if options.get("revision") else {}
        options.pop("revision", None)
        model = Sam2Model.from_pretrained(name, trust_remote_code=False, use_safetensors=True, **revision)
        return cls(model.to(device or "cpu"), **{**_colours(Path(name)), **options})

    def segment(self, image: NDArray[np.uint8], prompts: Sequence[PointObject]) -> list[Mask]:
        """Return a mask for each prompt, in their order.

        Args:
            image: (h, w, 3) RGB; shown to the model at its own size.
            prompts: Boxes with points on the image's grid; of polygons and corners the box is taken.

        Raises:
            ValueError: The image has another shape.
        """
        import torch

        if image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(f"the image has shape {image.shape}; give (h, w, 3) RGB")
        if not prompts:
            return []
        masks: list[Mask] = []
        with torch.inference_mode():
            embeddings = self.model.get_image_embeddings(self.pixels(image))
            for some in self._batches(prompts):
                masks += self._decoded(embeddings, some, image.shape[:2])
        return masks

    def pixels(self, image: NDArray[np.uint8]) -> torch.Tensor:
        """Return the image as the model takes it, (1, 3, side, side)."""
        import torch

        resized = Image.fromarray(image).resize((self.side, self.side), Image.Resampling.BILINEAR)
        scaled = (np.asarray(resized, np.float32) / 255 - self._mean) / self._std
        return torch.from_numpy(np.ascontiguousarray(scaled.transpose(2, 0, 1)[None])).to(
            self.model.device, self.model.dtype
        )

    def inputs(self, prompts: Sequence[PointObject], width: int, height: int) -> dict[str, torch.Tensor]:
        """Return boxes, points and labels as the model takes them; shorter lists of points are filled up.

        Raises:
            ValueError: Only points are given, and a prompt has none.
        """
        import torch

        scale = np.array([self.side / width, self.side / height], np.float32)
        boxes = np.stack([one.box.coords[0].reshape(2, 2) for one in prompts]) * scale
        listed = [_points(one) for one in prompts]
        longest = max(len(points) for points, _ in listed)
        # The model counts pixels from their middles; half a pixel of its own is added there.
        found = {"input_boxes": torch.from_numpy((boxes - 0.5).reshape(1, -1, 4).astype(np.float32))}
        if self.given == "points":
            if not all(len(points) for points, _ in listed):
                raise ValueError("a prompt has no points, and boxes are not given; give it points, or given='both'")
            found = {}
        if longest and self.given != "boxes":
            points = np.zeros((1, len(prompts), longest, 2), np.float32)
            labels = np.full((1, len(prompts), longest), IGNORED, np.int64)
            for row, (own, marks) in enumerate(listed):
                points[0, row, : len(own)] = own * scale - 0.5
                labels[0, row, : len(own)] = marks
            found |= {"input_points": torch.from_numpy(points), "input_labels": torch.from_numpy(labels)}
        return {name: values.to(self.model.device) for name, values in found.items()}

    def _batches(self, prompts: Sequence[PointObject]) -> Iterator[Sequence[PointObject]]:
        return (prompts[at : at + self.batch_size] for at in range(0, len(prompts), self.batch_size))

    def _decoded(self, embeddings: list[torch.Tensor], prompts: Sequence[PointObject], size: Any) -> list[Mask]:
        """Return masks of the image's size from what the model draws on a coarser grid."""
        import torch

        height, width = size
        out = self.model(
            image_embeddings=list(embeddings),
            multimask_output=self.several,
            **self.inputs(prompts, width, height),
        )
        best = out.iou_scores[0].argmax(dim=-1)
        drawn = out.pred_masks[0][torch.arange(len(prompts)), best].float()
        frame = Frame(width, height)
        large = torch.nn.functional.interpolate(drawn[:, None], (height, width), mode="bilinear", align_corners=False)
        return [Mask.of(one, frame) for one in (large[:, 0] > 0).cpu().numpy()]


def _points(one: PointObject) -> tuple[NDArray[np.float64], list[int]]:
    """Return keypoints, and 1 for each inside and 0 for each outside."""
    if one.form != "prompt" or len(one.sets) < 2:
        return np.empty((0, 2)), []
    sets = one.sets.points[1:]
    return np.concatenate(sets), [1 - number for number, points in enumerate(sets) for _ in points]


def _colours(folder: Path) -> dict[str, Any]:
    """Return how a checkpoint's folder says that colours are scaled."""
    file = folder / "preprocessor_config.json"
    if not file.is_file():
        return {}
    given = json.loads(file.read_text(encoding="utf-8"))
    names = {"mean": "image_mean", "std": "image_std"}
    return {ours: given[theirs] for ours, theirs in names.items() if given.get(theirs)}
