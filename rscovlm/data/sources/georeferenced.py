"""Places from the coordinates of pictures themselves: any folder of GeoTIFFs, with or without a list of cities."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from rscovlm.codec.places import check_coordinates
from rscovlm.data.sources.folder import PICTURES, Folder
from rscovlm.data.sources.registry import source
from rscovlm.data.sources.scene_folders import split_folder
from rscovlm.geometry.affine import Floats
from rscovlm.metrics.places import great_circle
from rscovlm.rasters import open_image
from rscovlm.records.record import Record
from rscovlm.records.tally import Rejected
from rscovlm.tasks.locate import centre_of

CITIES = "cities.csv"
NEAREST = 50.0
"""Kilometres from the middle of a picture within which a city gives it its name."""


@dataclass(frozen=True)
class Gazetteer:
    """Cities and their places.

    Attributes:
        names: Their names.
        places: (n, 2) latitudes and longitudes in degrees.
    """

    names: tuple[str, ...]
    places: Floats

    def nearest(self, latitude: float, longitude: float) -> str:
        """Return the name of the nearest city; empty where none is near.

        >>> towns = Gazetteer(("Porto", "Braga"), np.array([[41.15, -8.61], [41.55, -8.42]]))
        >>> towns.nearest(41.5, -8.4), towns.nearest(0.0, 0.0)
        ('Braga', '')
        """
        if not self.names:
            return ""
        away = great_circle(self.places, (latitude, longitude))
        best = int(np.argmin(away))
        return self.names[best] if away[best] <= NEAREST else ""


@source(
    "georeferenced",
    splits=["train", "val", "test"],
    tasks=["geolocation"],
    licence="your own",
    layout="""<split>/**/<picture> (or all at the top for 'train'): GeoTIFFs, or pictures with a world file whose coordinate
    system is stated; optionally cities.csv with the columns name, latitude, longitude. The place is the middle of the picture, the city
    the nearest of the list within 50 km.""",
)
def georeferenced(folder: Folder, split: str) -> Iterator[Record]:
    """Yield a geolocation record a picture that knows its place; the others are counted.

    Raises:
        FileNotFoundError: There is no picture.
    """
    cities = _cities(folder)
    files = folder.tree(split_folder(folder, ".", split), *PICTURES)
    if not files:
        raise FileNotFoundError(f"no picture is below {str(folder.root)!r}; give a folder with GeoTIFFs")
    for file in files:
        with folder.row(file):
            image = folder.image(file)
            with open_image(folder.path(file)) as raster:
                frame = raster.frame
            try:
                place = centre_of(frame)
            except ValueError as error:
                raise Rejected("coordinates out of range", f"{file}: {error}") from error
            if place is None:
                reason = "no map coordinates" if frame.to_world() is None else "unknown coordinate system"
                raise Rejected(reason, f"{file} does not say where on Earth it lies")
            stated = {"latitude": f"{place[0]:.7f}", "longitude": f"{place[1]:.7f}"}
            city = cities.nearest(*place)
            yield Record(file, "georeferenced", split, "geolocation", (image,), answer=city, extra=stated)


def _cities(folder: Folder) -> Gazetteer:
    """Read the list of cities; a line that cannot be used is counted."""
    names: list[str] = []
    places: list[tuple[float, float]] = []
    if not (folder.root / CITIES).is_file():
        return Gazetteer((), np.empty((0, 2)))
    for number, row in enumerate(csv.DictReader(folder.lines(CITIES)), 2):
        with folder.row(f"{CITIES}, line {number}"):
            name = (row.get("name") or "").strip()
            try:
                latitude, longitude = (float(row.get(field) or "") for field in ("latitude", "longitude"))
                check_coordinates(latitude, longitude)
            except ValueError as error:
                raise Rejected("malformed city", f"{CITIES}, line {number}: {error}") from error
            if not name:
                raise Rejected("malformed city", f"{CITIES}, line {number} has no name")
            names.append(name)
            places.append((latitude, longitude))
    return Gazetteer(tuple(names), np.asarray(places, dtype=np.float64).reshape(-1, 2))
