"""What an agent can do with images: look at one, ask, detect, ground, segment, and write the results as GeoJSON."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rscovlm.agents.deadline import DeadlineEngine
from rscovlm.agents.workspace import Workspace
from rscovlm.engines.unstated import check_stated
from rscovlm.exports.geojson import to_geojson
from rscovlm.geometry import Boxes, Frame, Objects
from rscovlm.points.segmenter import Segmenter
from rscovlm.predicting.placed_rows import write_objects
from rscovlm.rasters import Raster
from rscovlm.rasters.ground import ground_sample_distance
from rscovlm.serving.answering import check_tiles
from rscovlm.serving.batching import Batched
from rscovlm.serving.budget import MemoryBudget
from rscovlm.serving.metering import Metered
from rscovlm.serving.refusals import RequestLimits
from rscovlm.serving.rewrite_boxes import SENT, moved
from rscovlm.tasks.answer import answer, chain_row
from rscovlm.tasks.boxes import frame_row, object_rows
from rscovlm.tasks.table import task_named
from rscovlm.tasks.wanted import Wanted

if TYPE_CHECKING:
    from rscovlm.engines import Engine

SHOWN = 100
"""Objects of a result that a reply lists; all of them are counted and exported."""

KEPT = 64
"""Results that are kept for `export_geojson`; older ones are forgotten."""

_NAMES = 1000
_VIEWS = 16


class ImageTools:
    """The tools of one server; each method that does not begin with `_` is one, and its docstring is what agents read.

    Results of `detect`, `ground` and `segment` are kept by name until `KEPT` newer ones exist.

    Args:
        engine: Who answers; called from one thread.
        files: What may be read and written.
        limits: What one call may ask for: text, tiles, looks, tokens, time, and memory of all calls together.
        segmenter: Who draws masks; None refuses `segment`.

    Raises:
        ValueError: The engine asks a server of which nobody says how its model sees images and writes boxes.
    """

    def __init__(
        self,
        engine: Engine,
        files: Workspace,
        *,
        limits: RequestLimits | None = None,
        segmenter: Segmenter | None = None,
    ) -> None:
        check_stated(engine, "mcp")
        self._engine, self._files, self._segmenter = Batched(engine), files, segmenter
        self._layout = getattr(engine, "layout", None)  # of a server that publishes it
        self._limits = limits or RequestLimits()
        self._memory = MemoryBudget(self._limits.memory)
        self._results: dict[str, tuple[str, dict[str, Any]]] = {}
        self._number, self._lock = 0, threading.Lock()

    def list_images(self, folder: str = "") -> dict[str, Any]:
        """List the images that can be opened, by their paths below the root; folder narrows it to one folder."""
        return {"images": self._files.images(folder)}

    def open_image(self, path: str, bands: list[int] | None = None) -> dict[str, Any]:
        """Describe an image: width and height in pixels, CRS, place, ground sample distance in metres, bands shown, notes.

        path is relative to the root; bands are one or three numbers counted from 1. No pixel is sent.
        """
        with self._files.open(path, bands) as raster:
            frame = raster.frame
            about: dict[str, Any] = {"path": path, "width": raster.width, "height": raster.height}
            about |= {"crs": frame.crs, "bands": list(raster.bands), "notes": list(raster.notes)}
            about["ground_sample_distance"] = ground_sample_distance(frame)
            about["outline_longitude_latitude"] = _outline(frame)
        return about

    def ask(self, path: str, question: str, zoom: bool = True) -> dict[str, Any]:
        """Answer a question about an image in words; with zoom the model looks closer at windows of the original.

        Boxes in the answer are in pixels of the original image; windows are those that were looked into.

        Raises:
            ValueError: The question is empty, or above a limit, or the image cannot be read.
        """
        if not question.strip():
            raise ValueError("question is empty; say what you want to know about the image")
        self._check_text(question)
        limits = self._limits
        options: dict[str, Any] = {"max_steps": limits.steps, "max_visual_tokens": limits.visual_tokens}
        options["layout"] = self._layout
        with self._files.open(path) as raster, self._call(raster, 1 + limits.steps) as engine:
            task_named("ask").check(engine, Wanted(question=question, zoom=zoom))
            (result,) = answer(engine, raster, [question], zoom=zoom, max_new_tokens=limits.tokens, **options)
            about = {"image": path} | chain_row(result)
            if result.seen is not None:
                about["answer"], found = moved(result.answer, engine.codec, result.seen.frame, SENT, raster.frame)
                if found is not None:
                    row = {"objects": object_rows(found), "frame": frame_row(raster.frame)}
                    about |= self._kept(path, row)
        return about

    def detect(self, path: str, classes: list[str], kind: str | None = None) -> dict[str, Any]:
        """Find every object of some classes in an image of any size, tile by tile.

        Boxes are in pixels of the original. kind is hbb (x1, y1, x2, y2), obb (centre x, y, width, height, angle) or quad.
        The result's name goes to export_geojson.
        """
        return self._boxes("detect", path, Wanted(classes=tuple(classes), kind=_kind(kind)))

    def ground(self, path: str, expressions: list[str], kind: str | None = None) -> dict[str, Any]:
        """Point at what referring expressions describe, such as "the red-roofed hangar"; boxes in pixels of the original.

        The result's name goes to export_geojson.
        """
        return self._boxes("ground", path, Wanted(expressions=tuple(expressions), kind=_kind(kind)))

    def segment(
        self, path: str, classes: list[str] | None = None, expressions: list[str] | None = None
    ) -> dict[str, Any]:
        """Outline objects of some classes, or what expressions describe; rings of polygons in pixels of the original.

        The result's name goes to export_geojson.

        Raises:
            ValueError: There is no segmenter, nothing to find, something above a limit, or an image that cannot be read.
        """
        if self._segmenter is None:
            raise ValueError(
                "no segmenter is loaded; use detect or ground for boxes, or restart the server with --segmenter and a SAM 2 "
                "checkpoint, or with --segmenter filled for filled boxes"
            )
        wanted = Wanted(
            classes=tuple(classes or ()) or None,
            expressions=tuple(expressions or ()) or None,
            segmenter=self._segmenter,
        )
        return self._boxes("segment", path, wanted)

    def export_geojson(self, results: list[str], name: str) -> dict[str, Any]:
        """Write results of detect, ground, segment or ask to one GeoJSON file of that name in the output folder.

        It is in longitude and latitude where the images have a place, else in pixels.

        Raises:
            ValueError: A result is not known, no folder takes files, or the file is another's.
        """
        path = self._files.output(name)
        with self._lock:
            unknown = [one for one in results if one not in self._results]
            if unknown or not results:
                known = ", ".join(self._results) or "none yet"
                raise ValueError(f"results is {results}; the results kept are: {known}")
            rows = {f"{image}#{one}": row for one in results for image, row in [self._results[one]]}
        left: list[str] = []
        count, _ = write_objects(rows, path, report=lambda image, reason: left.append(f"{image}: {reason}"))
        return {"file": name, "objects": count, "not_placed": left}

    def _boxes(self, task: str, path: str, wanted: Wanted) -> dict[str, Any]:
        """Ask a task that finds objects, keep its row, and return what an agent reads of it."""
        names = [*(wanted.classes or ()), *(wanted.expressions or ())]
        if not names or len(names) > _NAMES:
            raise ValueError(f"{len(names)} names were given to find; give 1 to {_NAMES}")
        self._check_text("\n".join(names))
        asked = task_named(task)
        with self._files.open(path) as raster, self._call(raster, _VIEWS) as engine:
            asked.check(engine, wanted)
            if asked.tiled:
                check_tiles(raster, engine, self._limits)
            (row,) = asked.rows(engine, [raster], [wanted])
        return self._kept(path, row)

    def _kept(self, path: str, row: dict[str, Any]) -> dict[str, Any]:
        """Keep a row under a name and return it shortened, without masks and frame."""
        with self._lock:
            self._number += 1
            name = f"r{self._number}"
            self._results[name] = (path, row)
            for old in list(self._results)[:-KEPT]:
                del self._results[old]
        shown = {key: value for key, value in row.items() if key not in ("masks", "frame", "objects")}
        objects = row["objects"]
        counts = dict(Counter(one["label"] for one in objects).most_common())
        more = {"not_listed": len(objects) - SHOWN} if len(objects) > SHOWN else {}
        return {"result": name, "image": path, "counts": counts, "objects": objects[:SHOWN], **more, **shown}

    def _check_text(self, text: str) -> None:
        tokens = self._engine.count_tokens(text)
        if tokens > self._limits.text:
            raise ValueError(f"the text has {tokens} tokens; {self._limits.text} are allowed")

    @contextmanager
    def _call(self, raster: Raster, views: int) -> Iterator[Metered]:
        """Give the engine of one call, bounded in tokens and time, while the memory for its pictures is held."""
        engine = DeadlineEngine(self._engine, self._limits.seconds)
        pixels = self._engine.budget.max_pixels
        with self._memory.share(raster.memory(pixels) + 8 * pixels * views, engine.check):
            yield Metered(engine, each=self._limits.tokens)


def _kind(kind: str | None) -> Any:
    if kind not in (None, "hbb", "obb", "quad"):
        raise ValueError(f"kind is {kind!r}; choose hbb, obb or quad, or leave it out")
    return kind


def _outline(frame: Frame) -> list[list[float]] | None:
    """Return the ring of an image in longitude and latitude; None where its place is not known."""
    if frame.root_to_world is None or frame.crs is None:
        return None
    whole = Objects(Boxes([[0.0, 0.0, frame.width, frame.height]], "hbb", frame), ("image",))
    (feature,) = to_geojson(whole)["features"]
    geometry = feature["geometry"]
    ring: list[list[float]] = geometry["coordinates"][0] if geometry["type"] == "Polygon" else geometry["coordinates"]
    return ring
