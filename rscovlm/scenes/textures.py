"""Ground textures: what the land covers of a generated scene look like at 0.5 m a pixel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

COVERS = ("field", "forest", "desert", "water", "urban", "airfield", "harbour")
"""Land covers, which are also the scene classes."""

_SIDE = 512
_VARIANTS = 6
_RGB = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Texture:
    """A square picture of one land cover, and where it is water.

    Attributes:
        image: (n, n, 3) uint8. Field, forest, desert and water repeat without a seam.
        water: (n, n) bool, where a ship may lie and nothing else may.
    """

    image: NDArray[np.uint8]
    water: NDArray[np.bool_]

    def crop(self, x: int, y: int, side: int, turn: int) -> Texture:
        """Cut a square and turn it by ``turn % 4`` quarters, mirrored for ``turn >= 4``; wraps at the edges."""
        n = self.image.shape[0]
        if x + side <= n and y + side <= n:
            image, water = self.image[y : y + side, x : x + side], self.water[y : y + side, x : x + side]
        else:
            rows, columns = np.arange(y, y + side) % n, np.arange(x, x + side) % n
            image, water = self.image[np.ix_(rows, columns)], self.water[np.ix_(rows, columns)]
        if turn % 4:
            image, water = np.rot90(image, turn % 4), np.rot90(water, turn % 4)
        if turn >= 4:
            image, water = image[:, ::-1], water[:, ::-1]
        return Texture(image, water)


def textures(cover: str, seed: int) -> tuple[Texture, ...]:
    """Return the textures of a land cover, made once per process and seed.

    Args:
        cover: One of ``COVERS``.
        seed: Scenes that must not share textures (training, test) use different seeds.

    Raises:
        ValueError: If the land cover is unknown.
    """
    if cover not in COVERS:
        raise ValueError(f"unknown land cover {cover!r}; choose from {', '.join(COVERS)}")
    return _textures(cover, seed)


@lru_cache(maxsize=64)
def _textures(cover: str, seed: int) -> tuple[Texture, ...]:
    rng = np.random.default_rng([seed, COVERS.index(cover)])
    made = []
    for _ in range(_VARIANTS):
        image, water = _MAKERS[cover](rng, _SIDE)
        image.setflags(write=False)
        water.setflags(write=False)
        made.append(Texture(image, water))
    return tuple(made)


def noise(rng: np.random.Generator, n: int, cell: int) -> NDArray[np.float32]:
    """Smooth noise of unit spread whose features are ``cell`` pixels wide; it repeats without a seam."""
    k = max(n // cell, 1)
    grid = np.pad(rng.normal(0, 1, (k, k)).astype(np.float32), 2, mode="wrap")
    step = n / k
    box = (2 - 0.5, 2 - 0.5, 2 + k - 0.5, 2 + k - 0.5) if cell > 1 else (2, 2, 2 + k, 2 + k)
    big = Image.fromarray(grid).resize((n, n), Image.Resampling.BICUBIC, box=box) if step > 1 else None
    return np.asarray(big) if big is not None else grid[2:-2, 2:-2]


def _layers(rng: np.random.Generator, n: int, base: _RGB, *amounts: tuple[int, float]) -> NDArray[np.float32]:
    """A colour with noise of several feature widths: pairs of (width, strength)."""
    out = np.empty((n, n, 3), np.float32)
    out[:] = np.array(base, np.float32) + rng.normal(0, 4, 3).astype(np.float32)
    for cell, strength in amounts:
        out += (noise(rng, n, cell) * strength)[..., None]
    return out


def _wave(rng: np.random.Generator, n: int, period: float) -> NDArray[np.float32]:
    """Phase of parallel stripes in a random direction, rounded so that they meet at the edges."""
    angle = rng.uniform(0, np.pi)
    across, down = (round(float(v) * n / period) for v in (np.cos(angle), np.sin(angle)))
    grid = np.arange(n, dtype=np.float32) * (2 * np.pi / n)
    return (across * grid[None, :] + down * grid[:, None]).astype(np.float32)


def _bytes(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.clip(values, 0, 255).astype(np.uint8)


def _dry(n: int) -> NDArray[np.bool_]:
    return np.zeros((n, n), bool)


_Made = tuple[NDArray[np.uint8], NDArray[np.bool_]]


def field(rng: np.random.Generator, n: int) -> _Made:
    """Crop rows over soil, greener and drier in patches."""
    crops: tuple[_RGB, ...] = ((112, 142, 70), (136, 152, 78), (94, 128, 62), (150, 148, 84))
    out = _layers(rng, n, crops[int(rng.integers(len(crops)))], (128, 7), (24, 4), (1, 5))
    rows = np.sin(_wave(rng, n, rng.uniform(7, 10)))
    out += (rows * 9)[..., None] * np.array([1.0, 1.0, 0.6], np.float32)
    tracks = np.cos(_wave(rng, n, 96)) > 0.985
    out[tracks] = out[tracks] * 0.5 + np.array([70, 62, 44], np.float32)
    return _bytes(out), _dry(n)


def forest(rng: np.random.Generator, n: int) -> _Made:
    """Tree crowns, each with a lit and a shaded side."""
    image = Image.fromarray(_bytes(_layers(rng, n, (26, 46, 28), (32, 6), (1, 5))))
    draw = ImageDraw.Draw(image)
    count = n * n // 62
    places = rng.uniform(0, n, (count, 2))
    radii = rng.uniform(3.2, 8.0, count)
    tints = rng.normal(0, 1, (count, 2))
    for (x, y), r, (light, hue) in zip(places, radii, tints, strict=True):
        colour = (int(44 + 9 * light + 7 * hue), int(84 + 13 * light), int(42 + 7 * light - 4 * hue))
        lit = (colour[0] + 14, colour[1] + 18, colour[2] + 10)
        for ox in _wraps(x, r, n):
            for oy in _wraps(y, r, n):
                draw.ellipse((ox - r + 2, oy - r + 2, ox + r + 2, oy + r + 2), fill=(16, 32, 22))
                draw.ellipse((ox - r, oy - r, ox + r, oy + r), fill=colour)
                draw.ellipse((ox - r * 0.7, oy - r * 0.7, ox + r * 0.2, oy + r * 0.2), fill=lit)
    out = np.asarray(image).astype(np.float32) + (noise(rng, n, 2) * 5)[..., None]
    return _bytes(out), _dry(n)


def _wraps(value: float, reach: float, n: int) -> list[float]:
    """The positions at which something near an edge is drawn, so that the texture repeats."""
    out = [value]
    if value - reach - 3 < 0:
        out.append(value + n)
    if value + reach + 3 > n:
        out.append(value - n)
    return out


def desert(rng: np.random.Generator, n: int) -> _Made:
    """Sand with wind ripples and a few scrubs."""
    out = _layers(rng, n, (196, 168, 122), (160, 9), (40, 5), (1, 5))
    ripples = np.sin(_wave(rng, n, rng.uniform(16, 26)) + 1.6 * noise(rng, n, 64))
    out += (ripples * 6)[..., None]
    scrub = noise(rng, n, 3) > 2.6
    out[scrub] = out[scrub] * 0.55 + np.array([36, 40, 20], np.float32)
    return _bytes(out), _dry(n)


def water(rng: np.random.Generator, n: int) -> _Made:
    """Open water with swell and a little glitter."""
    out = _layers(rng, n, (30, 72, 92), (170, 7), (40, 3), (1, 2.5))
    swell = np.sin(_wave(rng, n, rng.uniform(9, 13)) + 1.4 * noise(rng, n, 40))
    out += (swell * 3.2)[..., None]
    out += (np.clip(noise(rng, n, 3) * swell - 1.6, 0, 1) * 26)[..., None]
    return _bytes(out), ~_dry(n)


def urban(rng: np.random.Generator, n: int) -> _Made:
    """Streets around blocks of roofs and trees."""
    image = Image.fromarray(_bytes(_layers(rng, n, (118, 120, 104), (48, 6), (1, 6))))
    draw = ImageDraw.Draw(image)
    across, down = (_cuts(rng, n, 56, 80) for _ in range(2))
    for x1, x2 in pairwise(across):
        for y1, y2 in pairwise(down):
            _block(draw, rng, (x1 + 9, y1 + 9, x2 - 9, y2 - 9))
    for x in across:
        draw.rectangle((x - 6, 0, x + 5, n), fill=(72, 73, 76))
    for y in down:
        draw.rectangle((0, y - 6, n, y + 5), fill=(72, 73, 76))
    for x in across:
        for y in range(0, n, 12):
            draw.line((x, y, x, y + 5), fill=(172, 172, 164))
    for y in down:
        for x in range(0, n, 12):
            draw.line((x, y, x + 5, y), fill=(172, 172, 164))
    out = np.asarray(image).astype(np.float32) + (noise(rng, n, 1) * 4)[..., None]
    return _bytes(out), _dry(n)


def _cuts(rng: np.random.Generator, n: int, least: int, most: int) -> list[int]:
    """Street positions from before one edge to beyond the other."""
    cuts = [-int(rng.integers(0, least))]
    while cuts[-1] < n:
        cuts.append(cuts[-1] + int(rng.integers(least, most)))
    return cuts


_ROOFS: tuple[_RGB, ...] = (
    (152, 148, 142),
    (128, 124, 120),
    (168, 158, 142),
    (134, 108, 92),
    (120, 100, 88),
    (104, 108, 114),
)


def _block(draw: ImageDraw.ImageDraw, rng: np.random.Generator, box: tuple[int, int, int, int]) -> None:
    """Draw the roofs and trees between four streets."""
    x1, y1, x2, y2 = box
    columns, rows = (2 if side > 40 else 1 for side in (x2 - x1, y2 - y1))
    for column in range(columns):
        for row in range(rows):
            left, top = x1 + column * (x2 - x1) // columns, y1 + row * (y2 - y1) // rows
            right, bottom = left + (x2 - x1) // columns - 4, top + (y2 - y1) // rows - 4
            if rng.random() < 0.18:
                for _ in range(5):
                    tree(draw, float(rng.uniform(left + 4, right - 4)), float(rng.uniform(top + 4, bottom - 4)), rng)
                continue
            inset = rng.integers(0, 5, 4)
            roof(
                draw,
                (left + int(inset[0]), top + int(inset[1]), right - int(inset[2]), bottom - int(inset[3])),
                rng,
            )


def tree(draw: ImageDraw.ImageDraw, x: float, y: float, rng: np.random.Generator) -> None:
    """Draw a single tree with its shadow."""
    r, light = 3 + 2.2 * rng.random(), int(rng.integers(-12, 13))
    draw.ellipse((x - r + 2, y - r + 2, x + r + 2, y + r + 2), fill=(34, 48, 34))
    draw.ellipse((x - r, y - r, x + r, y + r), fill=(60 + light, 92 + light, 50 + light))


def roof(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], rng: np.random.Generator) -> None:
    """Draw a building: its shadow, two roof planes and a vent. Roofs keep to dull colours; objects have the bright."""
    x1, y1, x2, y2 = box
    if x2 - x1 < 6 or y2 - y1 < 6:
        return
    base = _ROOFS[int(rng.integers(len(_ROOFS)))]
    shade = int(rng.integers(-10, 11))
    light: _RGB = (base[0] + shade, base[1] + shade, base[2] + shade)
    dark: _RGB = (int(light[0] * 0.82), int(light[1] * 0.82), int(light[2] * 0.82))
    draw.rectangle((x1 + 3, y1 + 3, x2 + 3, y2 + 3), fill=(48, 50, 50))
    draw.rectangle(box, fill=light)
    if rng.random() < 0.6:
        half = (x1, (y1 + y2) // 2, x2, y2) if x2 - x1 > y2 - y1 else ((x1 + x2) // 2, y1, x2, y2)
        draw.rectangle(half, fill=dark)
    else:
        draw.rectangle(box, outline=dark)
        x, y = int(rng.integers(x1 + 1, x2 - 4)), int(rng.integers(y1 + 1, y2 - 4))
        draw.rectangle((x, y, x + 3, y + 3), fill=dark)


def airfield(rng: np.random.Generator, n: int) -> _Made:
    """Runways on grass, with slabs of concrete between some of them; every 84-pixel window shows markings."""
    grass = _layers(rng, n, (116, 132, 84), (64, 6), (1, 5))
    concrete = _layers(rng, n, (146, 146, 140), (32, 4), (1, 3))
    strip = rng.random(8) < 0.5
    y = int(rng.integers(0, 40)) - 60
    out = grass
    index = 0
    image = Image.fromarray(_bytes(out))
    draw = ImageDraw.Draw(image)
    slab = Image.fromarray(_bytes(concrete))
    joints = ImageDraw.Draw(slab)
    for k in range(0, n, 20):
        joints.line((k, 0, k, n), fill=(126, 126, 121))
        joints.line((0, k, n, k), fill=(126, 126, 121))
    while y < n:
        if strip[index % 8]:
            image.paste(slab.crop((0, 0, n, 46)), (0, y + 36))
            draw.line((0, y + 59, n, y + 59), fill=(206, 176, 60), width=2)
        draw.rectangle((0, y, n, y + 36), fill=(66, 68, 72))
        for edge in (y + 3, y + 32):
            draw.line((0, edge, n, edge), fill=(186, 186, 180), width=2)
        for x in range(int(rng.integers(0, 24)), n, 26):
            draw.rectangle((x, y + 17, x + 14, y + 19), fill=(196, 196, 188))
        y += 82
        index += 1
    return _bytes(np.asarray(image).astype(np.float32) + (noise(rng, n, 1) * 4)[..., None]), _dry(n)


def harbour(rng: np.random.Generator, n: int) -> _Made:
    """Quays with containers between basins; every 84-pixel window shows both."""
    sea, wet = water(rng, n)
    image = Image.fromarray(sea)
    draw = ImageDraw.Draw(image)
    y = -int(rng.integers(0, 100))
    while y < n:
        draw.rectangle((0, y + 44, n, y + 47), fill=(20, 46, 60))
        draw.rectangle((0, y, n, y + 44), fill=(140, 136, 128))
        for edge in (y + 1, y + 43):
            draw.line((0, edge, n, edge), fill=(196, 178, 92), width=2)
        draw.line((0, y + 9, n, y + 9), fill=(96, 92, 88))
        draw.line((0, y + 36, n, y + 36), fill=(96, 92, 88))
        x = int(rng.integers(0, 60))
        while x < n:
            _stack(draw, rng, x, y + 14)
            x += int(rng.integers(50, 110))
        wet[max(y, 0) : max(y + 47, 0)] = False
        y += 100
    return _bytes(np.asarray(image).astype(np.float32) + (noise(rng, n, 1) * 3)[..., None]), wet


_BOXES: tuple[_RGB, ...] = ((122, 92, 80), (92, 106, 116), (112, 116, 96), (150, 146, 138), (96, 88, 84))


def _stack(draw: ImageDraw.ImageDraw, rng: np.random.Generator, x: int, y: int) -> None:
    """Draw a short row of containers in dull colours."""
    for k in range(int(rng.integers(1, 4))):
        for row in range(2):
            colour = _BOXES[int(rng.integers(len(_BOXES)))]
            box = (x + k * 13, y + row * 9, x + k * 13 + 11, y + row * 9 + 6)
            draw.rectangle((box[0] + 2, box[1] + 2, box[2] + 2, box[3] + 2), fill=(76, 74, 72))
            draw.rectangle(box, fill=colour)


_MAKERS: dict[str, Callable[[np.random.Generator, int], _Made]] = {
    "field": field,
    "forest": forest,
    "desert": desert,
    "water": water,
    "urban": urban,
    "airfield": airfield,
    "harbour": harbour,
}
