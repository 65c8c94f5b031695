"""Any image a user may hand over, as 8-bit RGB: the documented conversions, and an error for what has none."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# Modes with more than 8 bits a band: which values are black and white is the sensor's business, not ours to guess.
_DEEP_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N", "I;16S", "I;16BS", "I;32", "I;32B")


def to_rgb(image: Any, *, channels_first: bool | None = None) -> Image.Image | NDArray[np.uint8]:
    """Convert one image to 8-bit RGB.

    ==========================================  ======================================================================
    given                                       conversion
    ==========================================  ======================================================================
    PIL RGB; uint8 array of 3 bands             none
    PIL 1, L; arrays of 1 band or (h, w)        the band repeated
    PIL P, CMYK, YCbCr, HSV, LAB                Pillow's own conversion (palette looked up, inks turned to light)
    transparency (RGBA, LA, P); 4-band arrays   laid on white, as the Qwen processors do
    float arrays with all values in [0, 1]      times 255, rounded
    other integers with all values in [0, 255]  as they are
    ==========================================  ======================================================================

    Args:
        image: A PIL image, or an array or torch tensor shaped (h, w), (h, w, bands) or (bands, h, w).
        channels_first: Whether the bands come first; when None, they do where the first axis can be the bands
            (1, 3 or 4 long), as in the Qwen processors.

    Returns:
        A PIL image in mode RGB, or a uint8 array (h, w, 3).

    Raises:
        ValueError: if the image is empty, holds NaN or infinity, has more than 8 bits, or a number of bands other than 1, 3 or 4.
    """
    if isinstance(image, Image.Image):
        return _from_pil(image)
    return _from_array(np.asarray(image), channels_first)


def _from_pil(image: Image.Image) -> Image.Image:
    if image.width < 1 or image.height < 1:
        raise ValueError(f"the image is empty ({image.width}x{image.height} pixels)")
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode in _DEEP_MODES:
        raise ValueError(
            f"the image has mode {image.mode!r}, more than 8 bits a pixel, and does not say which values are black and white; "
            "open the file with rscovlm.open_image, which stretches it, or scale it to 8 bits"
        )
    if "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def _from_array(array: NDArray[Any], channels_first: bool | None) -> NDArray[np.uint8]:
    if array.ndim == 2:
        array, channels_first = array[..., None], False
    if array.ndim != 3:
        raise ValueError(f"the image has shape {array.shape}; give (height, width) or (height, width, bands)")
    if array.size == 0:
        raise ValueError(f"the image is empty (shape {array.shape})")
    if channels_first is None:
        channels_first = array.shape[0] in (1, 3, 4)
    if channels_first:
        array = np.moveaxis(array, 0, -1)
    if array.shape[-1] not in (1, 3, 4):
        raise ValueError(f"the image has shape {array.shape}, {array.shape[-1]} bands; choose three of them (or one)")
    array = _eight_bits(array)
    if array.shape[-1] == 4:
        alpha = array[..., 3:].astype(np.uint16)
        laid = array[..., :3] * alpha + 255 * (255 - alpha)
        array = ((laid + 127) // 255).astype(np.uint8)
    return np.repeat(array, 3, axis=-1) if array.shape[-1] == 1 else array


def _eight_bits(array: NDArray[Any]) -> NDArray[np.uint8]:
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind not in "iuf":
        raise ValueError(f"the image holds {array.dtype} values; give uint8, or floats from 0 to 1")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"the image holds {int((~np.isfinite(array)).sum())} NaN or infinite values; fill them first")
    low, high, top = array.min(), array.max(), 1 if array.dtype.kind == "f" else 255
    if low < 0 or high > top:
        raise ValueError(
            f"the image holds {array.dtype} values from {low} to {high}; give uint8, or floats from 0 to 1: "
            "rscovlm.open_image stretches files of more than 8 bits"
        )
    return (np.rint(array * 255.0) if top == 1 else array).astype(np.uint8)
