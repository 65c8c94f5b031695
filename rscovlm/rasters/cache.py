"""A reduced copy of a file without overviews: kept in memory, and on disk when asked."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rscovlm.files import check_output, mark, replacing
from rscovlm.geometry.window import WindowLike
from rscovlm.rasters import sampling
from rscovlm.rasters.pixels import Pixels
from rscovlm.rasters.samples import Samples
from rscovlm.rasters.user_cache import make_room

_LOGGER = logging.getLogger(__name__)

COPY = "overview"
"""Kind of the file."""

ENDING = ".overview.npz"

HEAD = 2**16
"""Bytes at the beginning and at the end of a file that its copy depends on, besides its size and time of change."""

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

    A copy is used only while the file has the size, the time of change, and the first and last bytes it had; it is
    written whole or not at all.

    Args:
        path: The image file.
        folder: Folder for the copies; None puts them beside the file.
        opened: How the file was opened, where that changes its pixels.
        bounded: Whether old copies in the folder are removed to make room, and a full disk only logged.
    """

    def __init__(self, path: Path, folder: Path | None = None, *, opened: str = "", bounded: bool = False) -> None:
        self._path, self._folder, self._opened, self._bounded = path, folder, opened, bounded

    def load(self, pixels: Pixels) -> Base | None:
        """Return the stored copy, or None if there is none that fits the file as it is now."""
        file = self._file(pixels)
        try:
            _check_size(file)
            with np.load(file, allow_pickle=False) as stored:
                if json.loads(str(stored["key"])) != self._key(pixels):
                    return None
                weight, valid = (stored[part] if stored[part].size else None for part in ("weight", "valid"))
                root = pixels.reader.levels[0]
                base = Base(Samples(stored["values"], weight, valid), float(stored["factor"]), root.width, root.height)
                _check_shape(base, pixels)
            if self._bounded:
                os.utime(file)  # used last now
            return base
        except (OSError, ValueError, KeyError, TypeError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error):
            # A copy that is damaged or made by another version is made anew.
            return None

    def save(self, base: Base, pixels: Pixels) -> str | None:
        """Store a copy and say where; where a file has its name that is none, that file stays and the log says so."""
        file = self._file(pixels)
        if not self._bounded:
            self._write(file, base, pixels)
            return None
        try:
            self._write(file, base, pixels)
            make_room(file.parent, ENDING, keep=file)
        except OSError as error:
            _LOGGER.warning("the overview is not stored in %s: %s", file.parent, error)
            return None
        return f"it has no overviews; a reduced copy is kept in {file.parent} (cache=False keeps none)"

    def _write(self, file: Path, base: Base, pixels: Pixels) -> None:
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
            return self._path.with_name(f"{self._path.name}.bands{bands}{ENDING}")
        name = hashlib.sha256(str(self._path.absolute()).encode()).hexdigest()[:16]
        return self._folder / f"{self._path.stem}.{name}.bands{bands}{ENDING}"

    def _key(self, pixels: Pixels) -> dict[str, Any]:
        root = pixels.reader.levels[0]
        return {
            **file_key(self._path),
            "width": root.width,
            "height": root.height,
            "validity": pixels.validity,
            "opened": self._opened,
            "v": 3,
        }


def file_key(path: Path) -> dict[str, Any]:
    """Return what a copy of a file depends on: its size, its time of change, and a digest of its first and last bytes."""
    stat = path.stat()
    with path.open("rb") as file:
        found = hashlib.sha256(file.read(HEAD))
        file.seek(max(stat.st_size - HEAD, 0))
        found.update(file.read(HEAD))
    return {"bytes": stat.st_size, "changed": stat.st_mtime_ns, "ends": found.hexdigest()}


def _check_size(file: Path) -> None:
    """Refuse a file that would become more numbers than a copy has, before it is read.

    Raises:
        ValueError: It would.
    """
    with zipfile.ZipFile(file) as archive:
        size = sum(member.file_size for member in archive.infolist())
    # Shares of validity take up to four bytes for each byte shown, and those of all bands as much again.
    if size > 12 * KEPT + HEAD:
        raise ValueError(f"it unpacks to {size:,} bytes")


def _check_shape(base: Base, pixels: Pixels) -> None:
    """Refuse numbers that are no reduced copy of an image.

    Raises:
        ValueError: They are not.
    """
    values = base.samples.values
    if values.ndim != 3 or len(values) != pixels.channels or values.dtype not in (np.uint8, np.float32):
        raise ValueError(f"it holds {values.dtype} numbers of shape {values.shape}")
    if not math.isfinite(base.factor) or base.factor < 1:
        raise ValueError(f"its factor is {base.factor}")
    wanted = (math.ceil(base.height / base.factor), math.ceil(base.width / base.factor))
    if any(abs(side - near) > 1 for side, near in zip(values.shape[1:], wanted, strict=True)):
        raise ValueError(f"it has {values.shape[1:]} pixels, not {wanted}")
    for shares in (base.samples.weight, base.samples.valid):
        if shares is not None and shares.shape[-2:] != values.shape[1:]:
            raise ValueError(f"it holds shares of shape {shares.shape}")
