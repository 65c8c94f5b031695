"""What the demo Space does with an image: ask, ground, detect; answers with pictures, a map page and GeoJSON."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from rscovlm.agents.deadline import DeadlineEngine
from rscovlm.exports import draw_objects, map_page, to_geojson
from rscovlm.geometry import Objects
from rscovlm.rasters import Raster, open_image
from rscovlm.scenes import SceneConfig, make_scene, make_zoom_scene, write_geotiff
from rscovlm.scenes.large import map_frame
from rscovlm.serving.answering import check_tiles
from rscovlm.serving.metering import Metered
from rscovlm.serving.refusals import RequestLimits
from rscovlm.tasks import answer, detect, ground

if TYPE_CHECKING:
    from rscovlm.engines import Engine

LIMITS = RequestLimits(pixels=2**26, tiles=256, seconds=120, tokens=1024)
"""What one click may ask for: a Space has two cores."""

_SIDE = 777
_MAP = 1500 * 1500


@dataclass(frozen=True)
class SpaceAnswer:
    """What a click gives.

    Attributes:
        text: In words.
        pictures: Pictures with their captions: the image with what was found, and each window looked into.
        map: A page that stands by itself, as HTML.
        geojson: A file, or None where there is nothing to write.
    """

    text: str
    pictures: list[tuple[Image.Image, str]]
    map: str
    geojson: str | None


def _objects(seed: int, size: int, most: int) -> Image.Image:
    # What the embedded model was trained on, so that a scene shows what it can do.
    sizes: dict[str, Any] = {"min_length": 22, "max_length": 40, "min_objects": min(3, most), "max_objects": most}
    return make_scene(seed, SceneConfig(size, classes=("plane", "ship", "tank"), texture_seed=777, **sizes)).image


SCENES: dict[str, tuple[Callable[[], Image.Image], str, str]] = {
    "a pad with a marking": (lambda: make_zoom_scene(1, _SIDE).image, make_zoom_scene(1).question, "plane, ship, tank"),
    "an airfield": (lambda: _objects(8, 252, 6), "How many planes are there?", "plane, ship, tank"),
    "one small picture": (lambda: _objects(5, 84, 3), "What kind of place is this?", "plane, ship, tank"),
}
"""Name of a generated scene -> how it is drawn, a question about it, and names to look for."""


def write_scene(name: str, folder: Path) -> Path:
    """Write a generated scene as a GeoTIFF with a place, and return its path.

    Raises:
        ValueError: No such scene exists.
    """
    if name not in SCENES:
        raise ValueError(f"scene is {name!r}; choose from {', '.join(SCENES)}")
    image = SCENES[name][0]()
    place = folder / f"{name.replace(' ', '_')}.tif"
    return write_geotiff(place, map_frame(1, *image.size), lambda *window: image.crop(window), overwrite=True)


def run_job(engine: Engine, path: str | Path, job: str, text: str, *, zoom: bool = True) -> SpaceAnswer:
    """Ask, ground or detect on an image file.

    Args:
        engine: Who answers.
        path: The image.
        job: ``"ask"``, ``"ground"`` or ``"detect"``.
        text: The question, the expression, or class names with commas.
        zoom: Whether the model may look closer for an answer.

    Raises:
        ValueError: The text is empty, the image cannot be read or is too large, or the time is over.
    """
    if not text.strip():
        raise ValueError("the text is empty; write a question, what to point at, or class names with commas")
    bounded: Any = Metered(DeadlineEngine(engine, LIMITS.seconds), each=LIMITS.tokens)
    with open_image(path, cache=False) as raster:
        if raster.width * raster.height > LIMITS.pixels:
            raise ValueError(
                f"the image has {raster.width}x{raster.height} pixels; {LIMITS.pixels} are allowed here, so cut it, or run "
                "the Space on a machine of your own"
            )
        if job == "ask":
            return _asked(bounded, raster, text, zoom=zoom)
        if job == "ground":
            (found,) = ground(bounded, raster, [text])
            return _found(raster, found.objects, "there is none" if found.none else "nothing readable was answered")
        if job != "detect":
            raise ValueError(f"job is {job!r}; choose ask, ground or detect")
        check_tiles(raster, bounded, LIMITS)
        names = [name.strip() for name in text.split(",") if name.strip()]
        return _found(raster, detect(bounded, raster, names).objects, "none was found")


def _asked(engine: Engine, raster: Raster, question: str, *, zoom: bool) -> SpaceAnswer:
    limits: dict[str, Any] = {"max_steps": LIMITS.steps, "max_visual_tokens": LIMITS.visual_tokens}
    (result,) = answer(engine, raster, [question], zoom=zoom, **limits)
    steps = [(view.image, f"step {number}: {list(view.window)}") for number, view in enumerate(result.crops, 1)]
    pictures = [
        (result.draw(), "the whole image, with the windows looked into" if steps else "the whole image"),
        *steps,
    ]
    page = _page(lambda path: result.to_map(path))
    return SpaceAnswer(result.answer or f"no answer ({result.stopped})", pictures, page, None)


def _found(raster: Raster, objects: Objects, none: str) -> SpaceAnswer:
    counts = {label: objects.labels.count(label) for label in sorted(set(objects.labels))}
    text = ", ".join(f"{count} x {label}" for label, count in counts.items()) or none
    view = raster.overview(_MAP)
    page = _page(lambda path: map_page(path, view, objects, title="Found"))
    path = Path(tempfile.mkdtemp()) / "found.geojson"
    to_geojson(objects, path)
    return SpaceAnswer(text, [(draw_objects(view, objects), text)], page, str(path))


def _page(write: Callable[[Path], Any]) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "map.html"
        write(path)
        return path.read_text(encoding="utf-8")
