"""A real tile with its tree crowns, small enough to travel: NEON's airborne camera, in the public domain (tile/README.md).

``python -m rscovlm.testing.real_tile FOLDER`` writes it in two halves, as a data set of one's own would lie there.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import numpy as np
from PIL import Image

from rscovlm.exports.geojson import to_geojson
from rscovlm.geometry import Boxes, Frame, Objects
from rscovlm.rasters import Raster, open_image
from rscovlm.scenes.geotiff import Render, write_geotiff

SOURCE = "NEON airborne camera, Ordway-Swisher Biological Station, Florida; 0.1 m a pixel; CC0 1.0"
"""Where the picture is from, and its licence."""

CROWNS = "tree crowns as annotated in DeepForest, (c) 2019 Ben Weinstein, MIT"
"""Where the boxes are from, and their licence."""

_FOLDER = files("rscovlm.testing") / "tile"


def real_tile() -> Raster:
    """Open the tile: 400 x 400 pixels in UTM zone 17 north; it needs rasterio (extra ``geo``).

    >>> real_tile().frame.crs
    'EPSG:32617'
    """
    return open_image(str(_FOLDER / "neon.tif"))


def crowns() -> Objects:
    """Return the 61 tree crowns on the tile as horizontal boxes.

    >>> len(crowns()), set(crowns().labels)
    (61, {'tree'})
    """
    rows = list(csv.DictReader((_FOLDER / "crowns.csv").read_text(encoding="utf-8").splitlines()))
    coords = [[float(row[side]) for side in ("xmin", "ymin", "xmax", "ymax")] for row in rows]
    with real_tile() as raster:
        return Objects(Boxes(coords, "hbb", raster.frame), tuple(row["label"].lower() for row in rows))


def write_halves(folder: str | Path) -> Path:
    """Write the western half of the tile to train on and the eastern one to measure on, each with its crowns.

    A crown goes to the half that holds its centre, cut off at the border between them.

    Args:
        folder: A new folder. Gets ``train/west.tif``, ``val/east.tif`` and beside each a ``.geojson`` in the tile's own
            coordinate system, as the source ``geojson`` reads them.

    Returns:
        The folder.

    Raises:
        ValueError: The folder holds a file of such a name that is not ours.

    >>> import tempfile
    >>> made = write_halves(Path(tempfile.mkdtemp()) / "crowns")
    >>> sorted(path.name for path in made.glob("*/*"))
    ['east.geojson', 'east.tif', 'west.geojson', 'west.tif']
    """
    root, truth = Path(folder), crowns()
    with real_tile() as raster:
        middle = raster.width // 2
        for split, name, left in (("train", "west", 0), ("val", "east", middle)):
            place = root / split
            place.mkdir(parents=True, exist_ok=True)
            view = raster.read((left, 0, left + middle, raster.height))
            frame = Frame(middle, raster.height, root_to_world=view.frame.to_world(), crs=view.frame.crs)
            write_geotiff(place / f"{name}.tif", frame, _part_of(view.image))
            centres = truth.boxes.coords[:, [0, 2]].mean(axis=1)
            here = truth[np.flatnonzero((centres >= left) & (centres < left + middle))]
            coords = np.clip(here.boxes.coords - [left, 0, left, 0], 0, [middle, raster.height] * 2)
            to_geojson(Objects(Boxes(coords, "hbb", frame), here.labels), place / f"{name}.geojson", crs=None)
    return root


def _part_of(picture: Image.Image) -> Render:
    return lambda x1, y1, x2, y2: picture.crop((x1, y1, x2, y2))


def main(arguments: Sequence[str]) -> None:
    """Write the halves into the folder that is named, ``crowns`` by default."""
    write_halves(arguments[0] if arguments else "crowns")


if __name__ == "__main__":
    main(sys.argv[1:])
