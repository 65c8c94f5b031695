"""The ground of a large scene, painted for one window at a time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rscovlm.scenes.city import pieces
from rscovlm.scenes.drawing import RGB, Drawing
from rscovlm.scenes.terrain import CELL, CROPS, Terrain
from rscovlm.scenes.textures import noise, textures

_GREENS = (
    (1.0, 1.0, 1.0),
    (0.86, 0.95, 0.8),
    (1.12, 1.06, 0.96),
    (1.3, 1.12, 0.9),
    (1.22, 1.0, 0.82),
    (0.95, 1.08, 0.9),
)


@dataclass(frozen=True, eq=False)
class Paint:
    """A seamless texture at some coarseness, and grain."""

    image: Image.Image

    def window(self, x: int, y: int, size: tuple[int, int]) -> Image.Image:
        """The texture as seen in a window whose first pixel is (x, y)."""
        n, m = self.image.size
        if n >= size[0] + x % n and m >= size[1] + y % m:
            return self.image.crop((x % n, y % m, x % n + size[0], y % m + size[1]))
        out = Image.new(self.image.mode, size)
        for left in range(-(x % n), size[0], n):
            for top in range(-(y % m), size[1], m):
                out.paste(self.image, (left, top))
        return out


@lru_cache(maxsize=16)
def paints(seed: int, step: int) -> dict[str, Paint]:
    """The textures of the land at some coarseness."""
    rng = np.random.default_rng([seed, 202])
    flat = {name: textures(name, seed) for name in ("field", "forest", "desert", "water")}
    pictures = {name: flat[name][0].image for name in ("forest", "desert", "water")}
    for k in range(CROPS):
        tone = np.array(_GREENS[k % len(_GREENS)]) * rng.uniform(0.93, 1.07)
        pictures[f"crop{k}"] = np.clip(flat["field"][k % 6].image * tone, 0, 255).astype(np.uint8)
    pictures["shallow"] = np.clip(flat["water"][1].image * 0.9 + np.array([26, 44, 36]), 0, 255).astype(np.uint8)
    for name, colour in (("grass", (112, 130, 80)), ("concrete", (148, 147, 141)), ("asphalt", (66, 68, 72))):
        shade = 5 * noise(rng, 512, 40) + 4 * noise(rng, 512, 1)
        pictures[name] = np.clip(np.array(colour) + shade[..., None], 0, 255).astype(np.uint8)
    made = {name: Paint(_coarse(Image.fromarray(picture), step)) for name, picture in pictures.items()}
    for name, value in (("edge", noise(rng, 512, 24) + 0.5 * noise(rng, 512, 6)), ("grain", 2.5 * noise(rng, 512, 1))):
        # grain averages out when seen from further away
        made[name] = Paint(_coarse(Image.fromarray(value), step))
    return made


def _coarse(image: Image.Image, step: int) -> Image.Image:
    return image if step == 1 else image.reduce(step)


@lru_cache(maxsize=16)
def town_images(seed: int, step: int) -> tuple[Image.Image, ...]:
    """Pictures of all pieces of town at some coarseness."""
    return tuple(_coarse(Image.fromarray(piece.image), step) for piece in pieces(seed))


class Land:
    """The ground in one window of a large scene."""

    def __init__(
        self, terrain: Terrain, paint: dict[str, Paint], origin: tuple[int, int], size: tuple[int, int], step: int
    ) -> None:
        self._terrain, self._paint, self._origin, self._size, self._step = terrain, paint, origin, size, step

    def texture(self, name: str, at: tuple[int, int] = (0, 0), size: tuple[int, int] | None = None) -> Image.Image:
        """A texture as it lies under the window, or under a part of it."""
        x, y = (o // self._step + a for o, a in zip(self._origin, at, strict=True))
        return self._paint[name].window(x, y, size or self._size)

    def _field(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """A field of the terrain, one value per pixel of the window."""
        x, y = self._origin
        box = (x / CELL, y / CELL, (x + self._size[0] * self._step) / CELL, (y + self._size[1] * self._step) / CELL)
        rows, columns = values.shape
        box = (box[0], box[1], min(box[2], columns), min(box[3], rows))
        return np.asarray(Image.fromarray(values).resize(self._size, Image.Resampling.BILINEAR, box=box))

    def _coarse_range(self, values: NDArray[np.float32]) -> tuple[float, float]:
        x, y = self._origin
        part = values[
            max(y // CELL - 1, 0) : (y + self._size[1] * self._step) // CELL + 2,
            max(x // CELL - 1, 0) : (x + self._size[0] * self._step) // CELL + 2,
        ]
        return float(part.min()), float(part.max())

    def land(self) -> Image.Image:
        """Fields, woods, dry land, beach and water."""
        terrain = self._terrain
        image = self._fields()
        self._edge = np.asarray(self.texture("edge"))
        self._cover(image, terrain.dry, "desert", 0.1, 3.0)
        self._cover(image, terrain.wood, "forest", 0.12, 6.0)
        self._cover(image, 0.1 - terrain.elevation, "desert", 0.02, 20.0)
        self._cover(image, -terrain.elevation, "shallow", 0.02, 40.0)
        self._cover(image, -0.25 - terrain.elevation, "water", 0.04, 2.2)
        return image

    def _cover(self, image: Image.Image, values: NDArray[np.float32], name: str, ragged: float, sharp: float) -> None:
        """Paint a texture where a field is above 0, with an edge as ragged and sharp as wanted."""
        low, high = self._coarse_range(values)
        reach = 4 * ragged + 1 / sharp
        if high < -reach:
            return
        if low > reach:
            image.paste(self.texture(name))
            return
        value = self._field(values) + ragged * self._edge
        mask = np.clip(value * (255 * sharp) + 128, 0, 255).astype(np.uint8)
        image.paste(self.texture(name), mask=Image.fromarray(mask))

    def _fields(self) -> Image.Image:
        """Farmland: every field with its crop, between hedges and tracks."""
        image = Image.new("RGB", self._size, (110, 128, 76))
        crops, hedges = Drawing(), Drawing()
        low = np.array(self._origin)
        high = low + np.array(self._size) * self._step
        for parcel in self._terrain.parcels:
            if (parcel.corners.max(axis=0) < low - 4).any() or (parcel.corners.min(axis=0) > high + 4).any():
                continue
            crops.add(parcel.corners, f"crop{parcel.crop}")
            a, b, _, d = parcel.corners
            line: RGB = (58, 84, 48) if parcel.crop % 3 else (146, 130, 98)
            hedges.line(a, b, 7, line)
            hedges.line(a, d, 7, line)
        image = crops.paint(image, self._origin, self._step, self.texture)
        return hedges.paint(image, self._origin, self._step, self.texture)

    def lit(self, image: Image.Image) -> Image.Image:
        """The picture with light, shade and grain."""
        shade = self._field(self._terrain.light) + np.asarray(self.texture("grain"))
        out = np.asarray(image) + shade.astype(np.int16)[..., None]
        return Image.fromarray(np.clip(out, 0, 255).astype(np.uint8))
