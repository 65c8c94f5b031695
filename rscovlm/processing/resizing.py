"""Resizing of pictures: by Pillow, whose values are the reference, or half by torch, within one grey level of it."""

from __future__ import annotations

import functools
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Resizer = Literal["pillow", "torch"]
RESIZERS: tuple[Resizer, ...] = get_args(Resizer)


def fast_resizer() -> Resizer:
    """Return the faster resizer on this processor: torch where its kernel for 8 bits is vectorised (AVX2), else Pillow.

    >>> fast_resizer() in RESIZERS
    True
    """
    import torch

    # Its generic kernel takes 1.5 to 2 times as long as Pillow (measured with ATEN_CPU_CAPABILITY=default).
    return "torch" if torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512") else "pillow"


def check_resizer(name: str) -> Resizer:
    """Return the name of a resizer.

    Raises:
        ValueError: It is none.
    """
    for known in RESIZERS:
        if name == known:
            return known
    raise ValueError(f"resizer is {name!r}; choose one of {', '.join(RESIZERS)}")


def resized(
    picture: Image.Image, size: tuple[int, int], resample: Any = None, resizer: Resizer = "pillow"
) -> NDArray[np.uint8]:
    """Resize an RGB picture.

    Both resizers make one pass a side. ``"torch"`` leaves the first to Pillow and takes torch's antialiased bicubic for the
    second: two passes of torch would be faster yet, but where it rounds the first one differently, the second can make two
    grey levels of it (one value in a million). So no value is more than one grey level off, and 0.1 to 0.4 % of them are,
    because torch's weights have 15 bits and Pillow's 22.

    Args:
        picture: What to resize.
        size: Width and height in pixels.
        resample: One of `PIL.Image.Resampling`, bicubic where None. Filters other than bicubic are Pillow's.
        resizer: ``"pillow"`` or ``"torch"``.

    Returns:
        (height, width, 3) uint8. Its memory may hold one band after the other.

    >>> resized(Image.new("RGB", (30, 20), (9, 8, 7)), (15, 40), resizer="torch")[0, 0].tolist()
    [9, 8, 7]
    """
    filter_ = Image.Resampling.BICUBIC if resample is None else resample
    if resizer == "pillow" or filter_ != Image.Resampling.BICUBIC:
        return np.asarray(picture.resize(size, resample=filter_))
    rows, columns = picture.height - size[1], picture.width - size[0]
    lowers = rows > 0 and rows > 2 * columns and _lowers_first()
    first = (picture.width, size[1]) if lowers else (size[0], picture.height)
    if first not in (picture.size, size):  # torch makes the only pass where one side stays as it is
        picture = picture.resize(first, resample=filter_)
    return _last_pass(picture, size)


def _last_pass(picture: Image.Image, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize one side of a picture by torch."""
    import torch

    if picture.size == size:
        return np.asarray(picture)
    # A copy, since torch wants memory that may be written; bands last, as its fastest kernel reads them.
    bands = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None]
    made = torch.nn.functional.interpolate(bands, size=size[::-1], mode="bicubic", antialias=True)
    return made[0].permute(1, 2, 0).numpy()  # type: ignore[no-any-return]


@functools.cache
def _lowers_first() -> bool:
    """Tell whether this Pillow removes rows before columns where it removes more than twice as many of them.

    Pillow 13 does; older ones always begin with the columns. The order matters, since values are clipped between the passes.
    """
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 2, (24, 16, 3), dtype=np.uint8) * np.uint8(255))
    lowered = noise.resize((16, 12), Image.Resampling.BICUBIC).resize((20, 12), Image.Resampling.BICUBIC)
    return lowered == noise.resize((20, 12), Image.Resampling.BICUBIC)
