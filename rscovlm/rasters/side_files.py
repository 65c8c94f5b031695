"""Files beside an image that say more of it: which exist and are not read, and reading those that are data alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rscovlm.geometry.affine import Affine6
from rscovlm.geometry.window import WindowLike
from rscovlm.rasters.crs import stated_crs
from rscovlm.rasters.errors import RasterError
from rscovlm.rasters.georeference import beside, points_place, unread
from rscovlm.rasters.mosaic import gathered, nearest
from rscovlm.rasters.plain_xml import plain_xml
from rscovlm.rasters.reader import BandLayout, Level, Place, Reader

LARGEST = 2**22
"""Bytes of an .aux.xml or .prj file that are read."""
ASK = "side_files=True uses it"


@dataclass(frozen=True)
class Aux:
    """What an .aux.xml file states."""

    srs: str = ""
    transform: Affine6 | None = None
    points: tuple[tuple[float, float, float, float], ...] = ()
    nodata: tuple[tuple[int, float], ...] = ()


def with_side_files(
    reader: Reader, path: Path, kind: str, *, used: bool, crs: str | None, opener: Callable[[Path], Reader]
) -> tuple[Reader, tuple[str, ...]]:
    """Return a reader that uses the files beside an image, or the same one; and notes on those that are not used.

    Args:
        reader: The image, opened.
        path: Its path.
        kind: Its format.
        used: Whether mask, projection, and what an .aux.xml file states are used; in place of the image's own.
        crs: Coordinate reference system that the caller gives, which goes before all.
        opener: Opens a mask.
    """
    notes = list(_aux(reader, path, used))
    if reader.place.to_world is None:
        notes += unread(path)
    elif reader.place.crs is None and crs is None:
        notes += _projection(reader, path, used)
    mask = beside(path, f"{path.name}.msk")
    if mask is not None and not reader.layout.masked:
        if used:
            try:
                reader = Masked(reader, opener(mask))
            except RasterError as error:
                notes.append(f"{mask.name} beside it is not used: {error}")
        else:
            notes.append(f"{mask.name} beside it is a mask and is not read; {ASK}")
    overviews = beside(path, f"{path.name}.ovr")
    if kind == "tiff" and overviews is not None and not getattr(reader, "reads_overviews_beside", False):
        notes.append(f"{overviews.name} beside it is not read; install rscovlm[geo] to use its overviews")
    notes += _links(path)
    return reader, tuple(notes)


def _aux(reader: Reader, path: Path, used: bool) -> Iterator[str]:
    """Use what an .aux.xml file states, as GDAL does in place of what the image states; or say what it would change."""
    file = beside(path, f"{path.name}.aux.xml")
    if file is None:
        return
    aux = read_aux(file)
    if aux is None:
        yield f"{file.name} beside it is not read: it is no XML of GDAL's"
        return
    place, notes = _aux_place(aux, reader.place)
    values = dict(aux.nodata)
    own = reader.layout.nodata or (None,) * len(reader.layout.colours)
    nodata = tuple(values.get(band, value) for band, value in enumerate(own))
    changed = {
        "map coordinates": place.to_world != reader.place.to_world,
        "a coordinate system": place.crs != reader.place.crs,
        "a no-data value": not _same(nodata, own),
    }
    stated = [what for what, differs in changed.items() if differs]
    if not stated and not notes:
        return
    if used:
        reader.place, reader.layout = place, replace(reader.layout, nodata=nodata)
        yield from notes
    elif stated:
        yield f"{file.name} beside it is not read: it states {' and '.join(stated)} of its own; {ASK}"


def _aux_place(aux: Aux, place: Place) -> tuple[Place, tuple[str, ...]]:
    crs, why = stated_crs(aux.srs)
    if aux.transform is None and len(aux.points) >= 3:
        fitted = points_place(aux.points, crs)
        if fitted is not None:
            return replace(fitted, notes=place.notes), (*fitted.notes, *why)
    place = replace(place, crs=crs or place.crs)
    if aux.transform is None or (
        place.to_world is not None and np.allclose(aux.transform, place.to_world, rtol=1e-12, atol=0)
    ):
        return place, why
    return replace(place, to_world=aux.transform, control=None, accuracy=None), why


def _same(first: Sequence[float | None], second: Sequence[float | None]) -> bool:
    pairs = zip(first, second, strict=True)
    return all(a == b or (a is not None and b is not None and math.isnan(a) and math.isnan(b)) for a, b in pairs)


def _projection(reader: Reader, path: Path, used: bool) -> Iterator[str]:
    file = next((found for end in (".prj", ".PRJ") if (found := beside(path, f"{path.stem}{end}"))), None)
    if file is None:
        return
    if not used:
        yield f"{file.name} beside it is not read, so its coordinate system is not known"
        return
    crs, notes = stated_crs(file.read_bytes()[:LARGEST].decode("utf-8", "replace").strip("\ufeff\0 \r\n"), esri=True)
    reader.place = replace(reader.place, crs=crs)
    yield from (f"{file.name} beside it: {note}" for note in notes)


def _links(path: Path) -> Iterator[str]:
    for ending in (".ovr", ".msk", ".aux.xml"):
        link = path.with_name(f"{path.name}{ending}")
        if link.is_symlink() and link.is_file() and beside(path, link.name) is None:
            yield f"{link.name} beside it is a link to another folder and is not read"


def read_aux(file: Path) -> Aux | None:
    """Read an .aux.xml file; None where it is not one. Names of other files in it are left alone."""
    text = file.read_bytes() if file.stat().st_size <= LARGEST else b""
    try:
        root = plain_xml(text)
        if root.tag != "PAMDataset":
            return None
        gcps = root.find("GCPList")
        points = [tuple(float(p.get(key, "nan")) for key in ("Pixel", "Line", "X", "Y")) for p in gcps or ()]
        bands = [(int(band.get("band", 0)) - 1, band.findtext("NoDataValue")) for band in root.iter("PAMRasterBand")]
        return Aux(
            srs=root.findtext("SRS", "") or (gcps.get("Projection", "") if gcps is not None else ""),
            transform=_transform(root.findtext("GeoTransform")),
            points=tuple(p for p in points if all(map(math.isfinite, p))),  # type: ignore[misc]
            nodata=tuple((band, float(value)) for band, value in bands if value),
        )
    except ValueError:
        # Not XML, of an encoding that nobody knows, or numbers that are none.
        return None


def _transform(text: str | None) -> Affine6 | None:
    if not text:
        return None
    c, a, b, f, d, e = (float(part) for part in text.split(","))
    return (a, b, c, d, e, f) if all(map(math.isfinite, (a, b, c, d, e, f))) else None


class Masked:
    """An image with the mask of another file, which has its size.

    Args:
        reader: The image.
        mask: The mask: its first band is above 0 where pixels are valid.

    Raises:
        RasterError: The mask has another size.
    """

    def __init__(self, reader: Reader, mask: Reader) -> None:
        root, other = reader.levels[0], mask.levels[0]
        if (root.width, root.height) != (other.width, other.height):
            mask.close()
            raise RasterError(f"it has {other.width}x{other.height} pixels, the image {root.width}x{root.height}")
        self.name, self.place, self.notes = reader.name, reader.place, reader.notes
        self.front_to_back = reader.front_to_back
        self.layout: BandLayout = replace(reader.layout, masked=True)
        self._reader, self._mask = reader, mask

    @property
    def levels(self) -> Sequence[Level]:
        """Levels of the image."""
        return self._reader.levels

    def read(self, level: int, window: WindowLike, bands: Sequence[int]) -> NDArray[Any]:
        """Return (len(bands), h, w) stored numbers of a window of a level."""
        return self._reader.read(level, window, bands)

    def mask(self, level: int, window: WindowLike) -> NDArray[np.bool_]:
        """Return (h, w) True where the mask says valid."""
        grid, masks = self.levels[level], self._mask.levels
        fine = [k for k, other in enumerate(masks) if other.width >= grid.width and other.height >= grid.height]
        chosen = min(fine, key=lambda k: masks[k].width)
        x1, y1, x2, y2 = window
        u = nearest(np.arange(x1, x2) + 0.5, masks[chosen].width / grid.width)
        v = nearest(np.arange(y1, y2) + 0.5, masks[chosen].height / grid.height)
        rows = [self._mask.read(chosen, part, [0])[0][picked] > 0 for part, picked, _ in gathered(u, v)]
        return np.concatenate(rows)

    def blank(self, level: int, window: WindowLike) -> bool:
        """Tell whether a window of the image is known to hold nothing."""
        return self._reader.blank(level, window)

    def close(self) -> None:
        """Close both files."""
        self._reader.close()
        self._mask.close()
