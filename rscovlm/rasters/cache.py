"""A reduced copy of a file without overviews: kept in memory, and on disk when asked."""

from __future__ import annotations

import hashlib
import json
import logging
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rscovlm.files import check_output, mark, replacing
from rscovlm.geometry.window import WindowLike
from rscovlm.rasters import sampling
from rscovlm.rasters.pixels import Pixels
from rscovlm.rasters.samples import Samples

_LOGGER = logging.getLogger(__name__)

COPY = "overview"
"""Kind of the file."""

KEPT = 48 * 2**20
"""Bytes a reduced copy may have."""


@dataclass(frozen=True)
class Base:
    """The whole image, averaged over squares of `factor` original pixels."""

    samples: Samples
    factor: float
    width: int
    height: int

    @classmethod
    def make(cls, pixels: Pixels, level: int) -> Base:
        """Read a level of a file in one pass, averaged by the smallest power of two that keeps it within `KEPT`."""
        root, grid = pixels.reader.levels[0], pixels.reader.levels[level]
        each = pixels.channels * (4 if pixels.weighted else pixels.dtype.itemsize) + (4 if pixels.weighted else 0)
        step = 1
        while grid.width * grid.height * each / step**2 > KEPT:
            step *= 2
        samples = sampling.read_reduced(pixels, level, (0, 0, grid.width, grid.height), (step, step))
        return cls(samples, step * root.width / grid.width, root.width, root.height)

    def sample(self, window: WindowLike, size: tuple[int, int]) -> Samples:
        """Return a window of the original grid at a size."""
        height, width = self.samples.values.shape[1:]
        x1, y1, x2, y2 = (side / self.factor for side in window)
        box = (x1, y1, min(x2, width), min(y2, height))
        return sampling.resize(self.samples, box, size)


class Cache:
    """Where reduced copies are stored: beside a file, or in a folder.

    A copy is used only while the file has the size and time of change it had; it is written whole or not at all.

    Args:
        path: The image file.
        folder: Folder for the copies; None puts them beside the file.
    """

    def __init__(self, path: Path, folder: Path | None = None) -> None:
        self._path = path
        self._folder = folder

    def load(self, pixels: Pixels) -> Base | None:
        """Return the stored copy, or None if there is none that fits the file as it is now."""
        file = self._file(pixels)
        try:
            with np.load(file, allow_pickle=False) as stored:
                if json.loads(str(stored["key"])) != self._key(pixels):
                    return None
                weight, valid = (stored[part] if stored[part].size else None for part in ("weight", "valid"))
                root = pixels.reader.levels[0]
                return Base(Samples(stored["values"], weight, valid), float(stored["factor"]), root.width, root.height)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            # A copy that is damaged or made by another version is made anew.
            return None

    def save(self, base: Base, pixels: Pixels) -> None:
        """Store a copy; where a file has its name that is none, that file stays and the log says so."""
        file = self._file(pixels)
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            check_output(file, COPY)
        except ValueError as error:
            _LOGGER.warning("the overview is not stored: %s", error)
            return
        none = np.empty(0, dtype=np.float32)
        key = json.dumps(self._key(pixels))
        with replacing(file, COPY) as part, part.open("wb") as out:
            # The mark is written first, as bytes, so that it stands near the beginning of the file.
            np.savez(
                out,
                allow_pickle=False,
                mark=np.array(mark(COPY).encode()),
                values=base.samples.values,
                weight=none if base.samples.weight is None else base.samples.weight,
                valid=none if base.samples.valid is None else base.samples.valid,
                factor=base.factor,
                key=key,
            )

    def _file(self, pixels: Pixels) -> Path:
        bands = "-".join(str(band + 1) for band in pixels.bands)
        if self._folder is None:
            return self._path.with_name(f"{self._path.name}.bands{bands}.overview.npz")
        name = hashlib.sha256(str(self._path.absolute()).encode()).hexdigest()[:16]
        return self._folder / f"{self._path.stem}.{name}.bands{bands}.overview.npz"

    def _key(self, pixels: Pixels) -> dict[str, Any]:
        stat = self._path.stat()
        root = pixels.reader.levels[0]
        return {
            "bytes": stat.st_size,
            "changed": stat.st_mtime_ns,
            "width": root.width,
            "height": root.height,
            "validity": pixels.validity,
            "v": 2,
        }
