"""Places: in which city an image was taken, at which latitude and longitude."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from rscovlm.codec.dialect import Dialect
from rscovlm.codec.places import ReadPlace, check_coordinates, read_place, write_place
from rscovlm.codec.wording import plainest
from rscovlm.engines.engine import Finish, check_engine, dialect_of
from rscovlm.geometry import Frame
from rscovlm.metrics.places import great_circle, place_accuracy
from rscovlm.rasters import Raster
from rscovlm.rasters.world import to_map
from rscovlm.records import Record, Rejected
from rscovlm.tasks.task import Answered, Draw, Example, Question, Row, Shown, Task
from rscovlm.tasks.wanted import Wanted
from rscovlm.tasks.words import WordAnswer, in_words

if TYPE_CHECKING:
    from rscovlm.engines.engine import Engine


@dataclass(frozen=True)
class Located:
    """Where an image was taken, as a model says.

    Attributes:
        city: Name of the city; empty where the answer names none.
        latitude: Degrees; None where the answer holds no coordinates.
        longitude: Degrees; None where the answer holds no coordinates.
        text: The answer as the model wrote it.
        problems: Counts by reason of what could not be read or had to be settled, as `read_place` names them, and
            ``cut_off`` or ``repeat`` where the answer ended early.
        finish: How the answer ended.
    """

    city: str
    latitude: float | None
    longitude: float | None
    text: str
    problems: dict[str, int] = field(default_factory=dict)
    finish: Finish = "stop"

    @property
    def coordinates(self) -> tuple[float, float] | None:
        """Latitude and longitude; None where they could not be read."""
        return None if self.latitude is None or self.longitude is None else (self.latitude, self.longitude)


def question(dialect: Dialect, *, city: bool = True, pick: Callable[[int], int] = plainest) -> Question:
    """Return the text that asks where an image was taken.

    Args:
        dialect: Whose words.
        city: Ask for the city too, not for the coordinates alone.
        pick: Chooses one of several wordings.

    >>> question(Dialect.preset("rscovlm-v1")).user
    'Where on Earth is this? Answer as [city, (latitude, longitude)].'
    """
    asked = dialect.ask("locate" if city else "locate_coordinates", pick=pick)
    return Question(asked.system, asked.user, gsd=asked.gsd)


class Locate(Task):
    """The city and the coordinates of an image."""

    name = "locate"
    metric = "within_200km"

    def needs(self, record: Record) -> Iterable[tuple[bool, str]]:
        """Latitude and longitude in degrees, within their ranges."""
        stated = [record.extra.get(name, "").strip() for name in ("latitude", "longitude")]
        yield not all(stated), "no coordinates"
        yield all(stated) and coordinates_of(record) is None, "coordinates out of range"

    def example(self, record: Record, shown: Shown, draw: Draw) -> Example:
        """Ask for the city where it is known, else for the coordinates alone, and answer with them."""
        place = coordinates_of(record)
        if place is None:
            raise Rejected("coordinates out of range", f"record {record.id!r}: {dict(record.extra)!r:.200}")
        city = record.answer.strip()
        try:
            answer = write_place(*place, city)
        except ValueError as error:
            raise Rejected("city has no text form", f"record {record.id!r}: {error}") from error
        return Example.of(question(draw.dialect, city=bool(city), pick=draw.pick), answer, shown)

    def asks(self, record: Record, dialect: Dialect) -> Question:
        """Ask for the city where it is known, else for the coordinates alone."""
        return question(dialect, city=bool(record.answer.strip()))

    def rows(
        self, engine: Engine, rasters: Sequence[Raster], wanted: Sequence[Wanted], journal: Any = None
    ) -> list[Row]:
        """Ask about all images as one batch; of one with map coordinates, the true place and the distance stand too."""
        return [
            _row(one, raster.frame)
            for one, raster in zip(locate(engine, rasters, **wanted[0].limit), rasters, strict=True)
        ]

    def measure(self, answered: Sequence[Answered], dialect: Dialect) -> Mapping[str, float]:
        """Measure the shares of places within some distances of the true ones, and of cities that are right.

        Raises:
            ValueError: No expected answer holds coordinates.
        """
        found, true = [read_place(one.reply) for one in answered], [read_place(one.expected) for one in answered]
        pairs = [(mine, theirs, theirs.coordinates) for mine, theirs in zip(found, true, strict=True)]
        known = [(mine, theirs, place) for mine, theirs, place in pairs if place is not None]
        if not known:
            raise ValueError("no expected answer holds coordinates; give those that training writes")
        result = place_accuracy(
            [mine.coordinates for mine, _, _ in known],
            [place for _, _, place in known],
            cities=[mine.city for mine, _, _ in known],
            true_cities=[theirs.city for _, theirs, _ in known],
        )
        kept = [name for name in result if name.startswith("within_")] + ["city"] * bool(result["cities"])
        return {self.metric: float(result[self.metric])} | {name: float(result[name]) for name in kept}


TASK = Locate()


def locate(
    engine: Engine, images: Iterable[Any], *, city: bool = True, batch: int = 16, max_new_tokens: int = 96
) -> list[Located]:
    """Ask where each image was taken.

    Args:
        engine: Who answers.
        images: What ``open_image`` takes, any number; ``batch`` of them are held at a time. What the file says of its
            place is not shown to the model.
        city: Ask for the city too.
        batch: Images read and asked about at a time.
        max_new_tokens: Limit of an answer.

    Returns:
        One :class:`Located` an image.

    Raises:
        ValueError: An image cannot be read.
    """
    check_engine(engine)
    asked = question(dialect_of(engine), city=city)
    return [_located(said) for said in in_words(engine, images, asked, batch, max_new_tokens)]


def _located(said: WordAnswer) -> Located:
    read: ReadPlace = read_place(said.text)
    ended = {"length": "cut_off", "repeat": "repeat"}.get(said.finish)
    problems = {**read.problems, **({ended: 1} if ended else {})}
    return Located(read.city, read.latitude, read.longitude, said.text, problems, said.finish)


def coordinates_of(record: Record) -> tuple[float, float] | None:
    """Return the latitude and longitude that a record states; None where it states none or they are out of range."""
    try:
        latitude, longitude = (float(record.extra.get(name, "")) for name in ("latitude", "longitude"))
        check_coordinates(latitude, longitude)
    except ValueError:
        return None
    return latitude, longitude


def centre_of(frame: Frame) -> tuple[float, float] | None:
    """Return the latitude and longitude in the middle of an image; None where the file does not say where it lies.

    Raises:
        ValueError: The image's coordinates cannot be changed to latitude and longitude, or are none.
    """
    if frame.to_world() is None or frame.crs is None:
        return None
    ((longitude, latitude),) = to_map(np.array([[frame.width / 2, frame.height / 2]]), frame).tolist()
    longitude = (longitude + 180) % 360 - 180
    check_coordinates(latitude, longitude)
    return latitude, longitude


def _row(found: Located, frame: Frame) -> Row:
    # A server's client reads the first text of a row.
    row: Row = {"text": found.text, "city": found.city, "latitude": found.latitude, "longitude": found.longitude}
    row |= {"problems": dict(found.problems), "finish": found.finish}
    return row | dict(_compared(found, frame))


def _compared(found: Located, frame: Frame) -> Iterator[tuple[str, Any]]:
    """Yield what the file itself says of its place, and how far away the answer is."""
    try:
        true = centre_of(frame)
    except ValueError as error:
        yield "unplaced", str(error)
        return
    if true is None:
        return
    yield "true_latitude", round(true[0], 7)
    yield "true_longitude", round(true[1], 7)
    if found.coordinates is not None:
        yield "error_km", round(float(great_circle(found.coordinates, true)), 3)
