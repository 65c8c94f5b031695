"""The files that an agent may read and write: images under one folder, results into another."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

from rscovlm.rasters import PixelLimits, Raster, open_image
from rscovlm.rasters.formats import PICTURE_ENDINGS
from rscovlm.records.paths import resolve, within

LISTED = 500
"""Names of images that one listing gives."""


class Workspace:
    """Images below a folder, opened within limits, and a folder that results are written to.

    Args:
        root: Folder that images are read from; nothing outside is reached, by links neither.
        out: Folder that files are written to; None writes none.
        pixels: Pixels of the largest image, by its header.

    Raises:
        ValueError: A folder does not exist.
    """

    def __init__(self, root: str | os.PathLike[str], out: str | os.PathLike[str] | None = None, *, pixels: int) -> None:
        for option, folder in (("--root", root), ("--out", out)):
            if folder is not None and not Path(folder).is_dir():
                raise ValueError(f"{option} is {os.fspath(folder)!r}, which is no folder; give one that exists")
        self.root, self.out, self.pixels = Path(root), None if out is None else Path(out), pixels

    def images(self, folder: str = "") -> list[str]:
        """Return the names of images in a folder below the root and in the folders below it, in order, at most `LISTED`.

        Raises:
            ValueError: The path leads out of the root, or is no folder.
        """
        start = within(self.root, folder) if folder not in ("", ".") else self.root
        if not start.is_dir():
            raise ValueError(f"{folder!r} is no folder below the root; leave it out for the root")
        # Folders are visited in order and links not followed, so a listing is bounded by what it names.
        found = (
            Path(place, name).relative_to(self.root).as_posix()
            for place, folders, names in os.walk(start)
            for name in (folders.sort(), sorted(names))[1]
            if Path(name).suffix.lower() in PICTURE_ENDINGS
        )
        return list(islice(found, LISTED))

    def open(self, path: str, bands: list[int] | None = None) -> Raster:
        """Open an image below the root.

        Raises:
            FileNotFoundError: No such file exists.
            ValueError: The path leads out of the root, or the file is no image or larger than allowed.
        """
        raster = open_image(resolve(self.root, path), bands=bands, cache=False, limits=PixelLimits())
        if raster.width * raster.height > self.pixels:
            raster.close()
            raise ValueError(
                f"{path} has {raster.width}x{raster.height} pixels; {self.pixels} are allowed (--max-pixels), so cut it"
            )
        return raster

    def output(self, name: str) -> Path:
        """Return where a file of that name is written.

        Raises:
            ValueError: No folder for results was given, or the name is not that of a file in it.
        """
        if self.out is None:
            raise ValueError("nothing can be written here; restart the server with --out FOLDER")
        if "/" in name:
            raise ValueError(f"file name is {name!r}; give a plain name, such as ships.geojson")
        return within(self.out, name)

    def without_root(self, text: str) -> str:
        """Return a text, such as an error's, with paths below the root as the agent knows them."""
        for folder in {str(self.root.resolve()), str(self.root)} - {"."}:
            text = text.replace(f"{folder}{os.sep}", "")
        return text
