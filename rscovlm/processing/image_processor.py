"""Images to patches, as the Qwen-VL vision towers take them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from transformers.image_processing_utils import BatchFeature
from transformers.image_utils import SizeDict, make_flat_list_of_images
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import (
    Qwen2VLImageProcessorKwargs,
    Qwen2VLImageProcessorPil,
)

from rscovlm.processing.families import FAMILIES
from rscovlm.processing.patch_buffers import BUFFERS
from rscovlm.processing.pixels import to_rgb
from rscovlm.processing.resizing import Resizer, check_resizer, resized
from rscovlm.processing.resolution import Mode, PixelBudget, plan_size


class RSCoVLMImageProcessorKwargs(Qwen2VLImageProcessorKwargs, total=False):  # type: ignore[call-arg]
    """What may be set once or per call: everything the stock processor takes, ``mode`` (see `PixelBudget`) and ``resizer``."""

    mode: str
    resizer: str


class RSCoVLMImageProcessor(Qwen2VLImageProcessorPil):
    """Resize images to the planned grid and cut them into patches, several times as fast as the stock PIL class.

    The values equal the stock processor's; sizes follow `plan_size`, so a plan made from width and height alone
    is the grid the model gets. No torchvision. Images of every kind that `to_rgb` takes are taken; one that it
    refuses is named by its place in the call.

    ``resizer="torch"`` resizes in two thirds of the time, with values within one grey level of the stock ones (see
    `rscovlm.processing.resizing`). It is no property of a checkpoint, so it is not saved.

    Returns ``pixel_values`` float32 (patches, 3 * 2 * patch_size**2) and ``image_grid_thw`` int64 (images, 3), counted in
    patches; each visual token is merge_size x merge_size patches.
    """

    valid_kwargs = RSCoVLMImageProcessorKwargs
    mode: Mode = "native"
    resizer: Resizer = "pillow"
    min_pixels: int | None = None
    max_pixels: int | None = None
    size: Any = {"shortest_edge": 224 * 224, "longest_edge": 1008 * 1008}  # noqa: RUF012 - copied by the base class

    def __init__(self, **kwargs: Any) -> None:
        # Here and not in the stock class, which takes a lower maximum as it is and has none of our checks to satisfy.
        limits = kwargs.pop("min_pixels", None), kwargs.pop("max_pixels", None)
        size = kwargs.pop("size", None)
        super().__init__(size=_limited(self.size if size is None else size, *limits), **kwargs)

    @classmethod
    def for_family(cls, family: str, budget: PixelBudget | None = None) -> RSCoVLMImageProcessor:
        """Make the processor of a model family (`rscovlm.processing.families`), such as ``"qwen2_5_vl"``.

        Raises:
            ValueError: The family is unknown, or the budget is of another factor.
        """
        if family not in FAMILIES:
            raise ValueError(f"family {family!r} is unknown; choose one of {', '.join(FAMILIES)}")
        processor = cls(**FAMILIES[family].image_settings())
        if budget is not None:
            processor.budget = budget
        return processor

    @property
    def budget(self) -> PixelBudget:
        """The limits in force, as `plan_size` takes them."""
        return _budget(self._limits({}), self.patch_size * self.merge_size, self.mode)

    @budget.setter
    def budget(self, budget: PixelBudget) -> None:
        factor = self.patch_size * self.merge_size
        if budget.factor != factor:
            raise ValueError(
                f"the budget counts tokens of {budget.factor} pixels, this model's are {factor} "
                f"(patch {self.patch_size} x merge {self.merge_size}); make it with factor={factor}"
            )
        self.size = SizeDict(shortest_edge=budget.min_pixels, longest_edge=budget.max_pixels)
        self.min_pixels = self.max_pixels = None
        self.mode = budget.mode

    def to_dict(self) -> dict[str, Any]:
        """Return what is saved: all settings but ``resizer``."""
        saved: dict[str, Any] = super().to_dict()
        saved.pop("resizer", None)
        return saved

    def get_number_of_image_patches(self, height: int, width: int, images_kwargs: dict[str, Any] | None = None) -> int:
        """Return the number of patches of an image of this size (servers plan with it before any image exists)."""
        given = images_kwargs or {}
        merge = int(given.get("merge_size") or self.merge_size)
        factor = int(given.get("patch_size") or self.patch_size) * merge
        budget = _budget(self._limits(given), factor, given.get("mode") or self.mode)
        return budget.tokens(plan_size(width, height, budget)) * merge**2

    def _limits(self, given: Mapping[str, Any]) -> Any:
        """Return the size in force where some arguments of a call are given; attributes count as in the stock class."""
        one = {name: given.get(name) or getattr(self, name, None) for name in ("size", "min_pixels", "max_pixels")}
        return _limited(one["size"], one["min_pixels"], one["max_pixels"])

    def _standardize_kwargs(
        self, size: Any = None, min_pixels: int | None = None, max_pixels: int | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        if min_pixels is not None or max_pixels is not None:
            size = _limited(self.size if size is None else size, min_pixels, max_pixels)
        standard: dict[str, Any] = super()._standardize_kwargs(size=size, **kwargs)
        return standard

    def _prepare_image_like_inputs(
        self, images: Any, *args: Any, input_data_format: Any = None, **kwargs: Any
    ) -> list[Image.Image | NDArray[np.uint8]]:
        flat = _flat(self.fetch_images(images))
        first = None if input_data_format is None else str(getattr(input_data_format, "value", input_data_format))
        rgb = []
        for index, image in enumerate(flat):
            try:
                rgb.append(to_rgb(image, channels_first=None if first is None else first == "channels_first"))
            except ValueError as error:
                raise ValueError(f"image {index} of {len(flat)}: {error}") from None
        return rgb

    def _preprocess(
        self,
        images: list[Image.Image | NDArray[np.uint8]],
        do_resize: bool,
        size: SizeDict,
        resample: Any,
        do_rescale: bool,
        rescale_factor: float,
        do_normalize: bool,
        image_mean: Any,
        image_std: Any,
        patch_size: int,
        temporal_patch_size: int,
        merge_size: int,
        return_tensors: Any,
        mode: Mode | None = None,
        resizer: str | None = None,
        **_: Any,
    ) -> BatchFeature:
        by = check_resizer(resizer or "pillow")
        factor = patch_size * merge_size
        budget = _budget(size, factor, mode or "native")
        # One multiplication and one addition per value in place of a rescaling and a normalisation.
        scale = np.full(3, rescale_factor if do_rescale else 1.0)
        shift = np.zeros(3)
        if do_normalize:
            scale, shift = scale / np.asarray(image_std), -np.asarray(image_mean) / np.asarray(image_std)
        targets = []
        for index, image in enumerate(images):
            width, height = image.size if isinstance(image, Image.Image) else image.shape[1::-1]
            try:
                target = plan_size(width, height, budget) if do_resize else (width, height)
            except ValueError as error:
                raise ValueError(f"image {index} of {len(images)}: {error}") from None
            if target[0] % factor or target[1] % factor:
                raise ValueError(
                    f"image {index} of {len(images)}: {width}x{height} pixels is no multiple of {factor}; "
                    "leave do_resize on or resize it first"
                )
            targets.append((int(target[0]), int(target[1])))
        grids = [(1, height // patch_size, width // patch_size) for width, height in targets]
        ends = np.cumsum([rows * columns for _, rows, columns in grids])
        # All images are cut into one array: putting parts together would write a row of many images twice.
        shape, buffers = (int(ends[-1]), 3 * temporal_patch_size * patch_size**2), BUFFERS.get()
        values = np.empty(shape, dtype=np.float32) if buffers is None else buffers.take(*shape)
        for image, target, grid, end in zip(images, targets, grids, ends, strict=True):
            if target != (image.size if isinstance(image, Image.Image) else image.shape[1::-1]):
                picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
                image = resized(picture, target, resample, by)
            part = values[end - grid[1] * grid[2] : end]
            _patchify(np.asarray(image), scale, shift, patch_size, merge_size, temporal_patch_size, part)
        return BatchFeature(
            {"pixel_values": values, "image_grid_thw": np.array(grids, dtype=np.int64)}, tensor_type=return_tensors
        )


def _patchify(
    image: NDArray[np.uint8],
    scale: NDArray[Any],
    shift: NDArray[Any],
    patch: int,
    merge: int,
    frames: int,
    out: NDArray[np.float32],
) -> None:
    """Cut (h, w, 3) into ``out``, (patches, 3 * frames * patch**2): token by token, the patches of a token row by row.

    One row of tokens at a time, so that it stays in the cache; each patch row moves as a single item, which copies
    several times as fast as its floats would one by one.
    """
    side, item = patch * merge, np.dtype((np.void, 4 * patch))
    rows, columns = image.shape[0] // side, image.shape[1] // side
    scale, shift = scale.astype(np.float32).reshape(3, 1, 1), shift.astype(np.float32).reshape(3, 1, 1)
    cut = out.reshape(rows, columns, merge, merge, 3, frames, patch * patch)
    for row in range(rows):
        band = image[row * side : (row + 1) * side].transpose(2, 0, 1).astype(np.float32, order="C")
        band *= scale
        band += shift
        cells = band.view(item).reshape(3, merge, patch, columns, merge).transpose(3, 1, 4, 0, 2)
        cut[row].view(item)[...] = cells[..., None, :]


def _edges(size: Any) -> dict[str, Any]:
    """Return the limits that a size states, under the names of today; transformers before 4.49 saved the others."""
    stated = dict(size) if isinstance(size, Mapping | SizeDict) else {}
    return {
        "shortest_edge": stated.get("shortest_edge", stated.get("min_pixels")),
        "longest_edge": stated.get("longest_edge", stated.get("max_pixels")),
    }


def _limited(size: Any, min_pixels: int | None, max_pixels: int | None) -> Any:
    """Return a size with one or both limits changed; one that is changed alone takes the other along where they cross."""
    edges = _edges(size)
    least, most = edges.values()
    if min_pixels is None and max_pixels is None:
        return size if least is most is None else edges
    if min_pixels is None:
        min_pixels = max_pixels if least and max_pixels and least > max_pixels else least
    elif max_pixels is None:
        max_pixels = min_pixels if most and most < min_pixels else most
    return {"shortest_edge": min_pixels, "longest_edge": max_pixels}


def _budget(size: Any, factor: int, mode: Mode) -> PixelBudget:
    # A plain dict where somebody assigned one to `size`, as the stock class allows.
    least, most = _edges(size).values()
    if not least or not most:
        raise ValueError(f"size is {size}; give 'shortest_edge' and 'longest_edge', the limits of the area in pixels")
    return PixelBudget(least, most, factor, mode)


def _flat(images: Any) -> list[Any]:
    if isinstance(images, (list, tuple)) and all(isinstance(image, (list, tuple)) for image in images):
        images = [image for group in images for image in group]
    if isinstance(images, (list, tuple)):
        return list(images)
    if not isinstance(images, Image.Image) and np.ndim(images) == 2:
        return [images]
    return list(make_flat_list_of_images(images))
