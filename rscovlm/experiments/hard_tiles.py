"""Tiles of generated large scenes on which a model draws boxes where there is nothing, to train it on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from rscovlm.engines import Engine
from rscovlm.engines.engine import dialect_of, replies
from rscovlm.files import write_text
from rscovlm.geometry import Boxes, Frame, Objects
from rscovlm.geometry.tiling import tiles as tiles_of
from rscovlm.geometry.window import Window
from rscovlm.metrics import ap_nc
from rscovlm.mixtures.renderer import Sample
from rscovlm.mixtures.scene_records import plain_renderer, seen_frame
from rscovlm.mixtures.scene_tiles import Part, SceneTiles, tile_record
from rscovlm.tasks.detect import question, read_tile

CHUNK = 96
"""Tiles that are asked about together."""


@dataclass(frozen=True)
class HardTile:
    """A tile on which a model was wrong.

    Attributes:
        number: Of the part, counted as `SceneTiles` counts.
        window: In the part, in pixels.
        classes: Classes that were asked for.
    """

    number: int
    window: Window
    classes: tuple[str, ...]


def find_hard_tiles(engine: Engine, scenes: SceneTiles, *, seed: int = 0) -> list[HardTile]:
    """Search every part as `detect` does, and return the tiles with a box that matches no object.

    Args:
        engine: Who answers.
        scenes: Parts to search, sides of tiles, and classes; each part is searched with one side and for some of the classes.
        seed: Of sides, overlaps and classes.
    """
    rng = np.random.default_rng([seed, 61])
    asked: list[tuple[Part, HardTile]] = []
    for number in range(scenes.parts):
        part = scenes.part(number)
        names = scenes.asked(rng)
        side = int(scenes.sides[int(rng.integers(len(scenes.sides)))])
        windows = tiles_of(part.raster.width, part.raster.height, side, int(rng.integers(side // 5, side // 2 + 1)))
        asked += [(part, HardTile(number, Window(*window), names)) for window in windows]
    return [
        tile
        for start in range(0, len(asked), CHUNK)
        for (_, tile), wrong in zip(
            asked[start : start + CHUNK], _wrong(engine, scenes, asked[start : start + CHUNK]), strict=True
        )
        if wrong
    ]


def _wrong(engine: Engine, scenes: SceneTiles, asked: Sequence[tuple[Part, HardTile]]) -> list[bool]:
    """Return for each tile whether a box was drawn that matches none of the objects in it."""
    dialect = dialect_of(engine)
    pictures = [read_tile(part.raster, tile.window, scenes.budget)[0] for part, tile in asked]
    conversations = [
        question(dialect, tile.classes, kind="quad").conversation([picture])
        for (_, tile), picture in zip(asked, pictures, strict=True)
    ]
    out = []
    answers = replies(engine, conversations, max_new_tokens=200)
    for reply, picture, (part, tile) in zip(answers, pictures, asked, strict=True):
        frame = Frame(*picture.size)
        read = engine.codec.decode(
            reply.text, seen_frame(picture, scenes.budget), kind="quad", categories=tile.classes
        ).objects
        out.append(bool(len(read)) and _false(read.to(frame), part, tile, frame))
    return out


def _false(found: Objects, part: Part, tile: HardTile, frame: Frame) -> bool:
    """Return whether a found object matches none that reaches into the tile."""
    corner, scale = np.array(tile.window[:2]), np.array((frame.width, frame.height)) / np.array(tile.window.size)
    near = [
        (item.label, ((np.array(item.box).reshape(4, 2) - corner) * scale).ravel())
        for item in part.reaching(tile.window)
        if item.label in tile.classes
    ]
    if not near:
        return True
    true = Objects(Boxes(np.stack([box for _, box in near]), "quad", frame), tuple(label for label, _ in near))
    # Less than the usual 0.5: a box that is only a little off is no false one.
    (counts,) = ap_nc([found], [true], iou_thresholds=(0.3,))["thresholds"].values()
    return bool(counts["wrong"])


@dataclass(frozen=True)
class HardTiles:
    """Draws one of some tiles again, moved by a little.

    Attributes:
        scenes: Where the tiles come from.
        found: The tiles.
        jitter: How far they are moved at most, in pixels.
    """

    scenes: SceneTiles
    found: tuple[HardTile, ...]
    jitter: int = 16

    def __call__(self, rng: np.random.Generator) -> Sample:
        """Make the next sample from a generator."""
        tile = self.found[int(rng.integers(len(self.found)))]
        part = self.scenes.part(tile.number)
        limits = np.array((part.raster.width, part.raster.height)) - tile.window.size
        x, y = np.clip(np.array(tile.window[:2]) + rng.integers(-self.jitter, self.jitter + 1, 2), 0, limits)
        window = Window(int(x), int(y), int(x) + tile.window.size[0], int(y) + tile.window.size[1])
        objects = [item for item in part.held(window) if item.label in tile.classes][: self.scenes.most]
        record = tile_record(part, window, objects, tile.classes, self.scenes.budget, self.scenes.kind)
        return plain_renderer(self.scenes.dialect, self.scenes.budget, self.scenes.kind)(record, rng)


def write_hard_tiles(path: Path, found: Sequence[HardTile]) -> None:
    """Write tiles as JSON, so that a run that resumes trains on the same ones."""
    write_text(path, json.dumps([asdict(tile) for tile in found]) + "\n")


def read_hard_tiles(path: Path) -> tuple[HardTile, ...]:
    """Read tiles that `write_hard_tiles` wrote."""
    rows = json.loads(path.read_text(encoding="utf-8"))
    return tuple(HardTile(row["number"], Window(*row["window"]), tuple(row["classes"])) for row in rows)
