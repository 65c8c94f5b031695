"""A real tile through the same steps, and what a model that was trained on drawings alone answers about it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from rscovlm.codec.categories import plural
from rscovlm.demo.report import Figure
from rscovlm.demo.searching import search
from rscovlm.engines import Transformers
from rscovlm.engines.engine import dialect_of
from rscovlm.exports.drawing import draw_objects, draw_steps
from rscovlm.rasters import Raster
from rscovlm.tasks import Detections
from rscovlm.tasks.classify import question as classification_question
from rscovlm.testing.real_tile import CROWNS, SOURCE, crowns, real_tile

SHOWN = 760 * 760
_WINDOWS = 4


@dataclass(frozen=True)
class RealTile:
    """What was found on the real tile.

    Attributes:
        figures: Overview, windows, boxes.
        answer: What the model calls the scene.
        text: Sentences about it.
    """

    figures: list[Figure]
    answer: str
    text: list[str]


def look(engine: Transformers, map_path: Path) -> RealTile:
    """Show the tile to the model, search it, and write the map page.

    Args:
        engine: Who answers.
        map_path: The page to write.
    """
    raster, truth = real_tile(), crowns()
    small = raster.overview(engine.budget.max_pixels)
    asked = classification_question(dialect_of(engine))
    answer = engine.generate([asked.conversation([small.image])], max_new_tokens=16)[0].text.strip()
    side = math.isqrt(engine.budget.max_pixels)
    found = search(engine, raster, tile=side)
    found.to_map(map_path, title="A real tile")
    large = raster.overview(SHOWN)
    windows = [tile.window for tile in found.tiles]
    shown = windows[:: max(1, len(windows) // _WINDOWS)][:_WINDOWS]
    size = f"{small.image.width} x {small.image.height} pixels of {raster.width} x {raster.height}"
    steps = draw_steps(large, [raster.read(window) for window in shown])
    searched = f"{len(shown)} of the {len(windows)} windows it is searched in, {side} x {side} pixels each."
    figures = [
        Figure(small.image, f"Overview: {size}, enlarged here.", 4),
        Figure(steps, searched),
        Figure(draw_objects(large, found.objects, labels=False, width=3), _count(found)),
        Figure(draw_objects(large, truth, labels=False, width=3), f"What is there: {len(truth)} {CROWNS}."),
    ]
    return RealTile(figures, answer, [f"{SOURCE}.{_place(raster)}", _verdict(answer, len(found))])


def _place(raster: Raster) -> str:
    to_world = raster.frame.to_world()
    if to_world is None:
        return ""
    return f" Its north-west corner lies at {to_world[2]:.1f} m east, {to_world[5]:.1f} m north in {raster.frame.crs}."


def _verdict(answer: str, found: int) -> str:
    objects = {0: "it finds no object", 1: "the one object it finds is false"}.get(
        found, f"all {found} objects it finds are false"
    )
    return (
        f"Asked what kind of scene this is, the model answers “{answer}”. It was never trained on a real picture and knows no "
        f"trees: its answer is a guess, and {objects}. What this shows is that the machinery reads a real file (overview, "
        f"windows, boxes back on the map), not that the miniature can."
    )


def _count(found: Detections) -> str:
    counts = found.counts()
    named = ", ".join(f"{number} {name if number == 1 else plural(name)}" for name, number in sorted(counts.items()))
    return f"What the model finds: {named}. None of it is there." if named else "The model finds nothing."
