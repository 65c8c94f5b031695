"""Large scenes on disk: a GeoTIFF of up to 20,000 pixels a side with the truth about all of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rscovlm.codec.categories import plural
from rscovlm.geometry import Frame, Objects
from rscovlm.scenes.geotiff import Compression, write_geotiff
from rscovlm.scenes.layout import LayoutConfig, SceneLayout
from rscovlm.scenes.objects import SceneObject, as_objects
from rscovlm.scenes.pad import QUESTION, Pad
from rscovlm.scenes.questions import SceneQuestion, references, superlatives

GSD = 0.5
"""Metres of ground per pixel."""


@dataclass(frozen=True, eq=False)
class LargeScene:
    """A large scene in a file.

    Attributes:
        path: The GeoTIFF.
        frame: Its grid, with map coordinates (UTM).
        layout: The plan it was drawn from, which draws any window again.
    """

    path: Path
    frame: Frame
    layout: SceneLayout

    @property
    def objects(self) -> tuple[SceneObject, ...]:
        """All objects, in pixels of the scene."""
        return self.layout.objects

    @property
    def pad(self) -> Pad | None:
        """The pad with a marking, where there is one."""
        return self.layout.pad

    @property
    def truth(self) -> Objects:
        """All objects as labelled quads on the scene's frame."""
        return as_objects(self.objects, self.frame)

    def questions(self) -> list[SceneQuestion]:
        """Questions about the scene that have one true answer; most need a closer look at one region."""
        return large_questions(self.layout)


def map_frame(seed: int, width: int, height: int) -> Frame:
    """Return the frame of a large scene: a place in UTM zone 32 north that depends on the seed."""
    rng = np.random.default_rng([seed, 31])
    east, north = 300_000.0 + 10 * int(rng.integers(30_000)), 5_100_000.0 + 10 * int(rng.integers(60_000))
    return Frame(width, height, root_to_world=(GSD, 0.0, east, 0.0, -GSD, north), crs="EPSG:32632")


def write_large_scene(
    path: str | Path,
    seed: int = 0,
    config: LayoutConfig | None = None,
    *,
    compression: Compression = "deflate",
    progress: Callable[[float], None] | None = None,
) -> LargeScene:
    """Make a large scene and write it, tile by tile, as a GeoTIFF with overviews and a CRS.

    Args:
        path: Where to write.
        seed: Same seed and configuration, same bytes.
        config: Size and contents; 8192 x 8192 pixels by default.
        compression: ``"deflate"`` (the file has exactly the pixels of the plan), ``"jpeg"`` or ``"none"``.
        progress: Called with the share that is done.

    Returns:
        The scene with its truth.

    Raises:
        ValueError: If the compression is unknown.
    """
    config = config or LayoutConfig()
    layout = SceneLayout(seed, config)
    frame = map_frame(seed, config.width, config.height)
    written = write_geotiff(path, frame, layout.render, compression=compression, progress=progress)
    return LargeScene(written, frame, layout)


def large_questions(layout: SceneLayout) -> list[SceneQuestion]:
    """Return the questions of a large scene: its pad, colours and places of single objects, counts."""
    out = []
    if layout.pad:
        pad = layout.pad
        region = tuple(float(v) for v in pad.crop)
        out.append(SceneQuestion("marking", QUESTION, pad.glyph, phrase="the white pad", region=region))
    objects = layout.objects
    labels = sorted({o.label for o in objects})
    for label in labels:
        group = tuple(i for i, o in enumerate(objects) if o.label == label)
        out.append(SceneQuestion("count", f"How many {plural(label)} are there?", str(len(group)), label, "", group))
        named = (
            {group[0]: f"the {label}"}
            if len(group) == 1
            else {i: f"the {word} {label}" for i, word in superlatives(objects, group).items()}
        )
        for i, phrase in named.items():
            region = _around(objects[i], layout)
            out.append(
                SceneQuestion("colour", f"What colour is {phrase}?", objects[i].colour, label, phrase, (i,), region)
            )
    for i, name in enumerate(references(objects)):
        if name is not None:
            region = _around(objects[i], layout)
            out.append(SceneQuestion("grounding", f"Where is {name}?", "", objects[i].label, name, (i,), region))
    return out


def _around(thing: SceneObject, layout: SceneLayout) -> tuple[float, ...]:
    """A square region in which the object can be seen well, about two and a half times its length."""
    half = 1.25 * thing.length
    x, y = thing.centre
    box = np.clip([x - half, y - half, x + half, y + half], 0, [layout.width, layout.height] * 2)
    return tuple(float(v) for v in box)
