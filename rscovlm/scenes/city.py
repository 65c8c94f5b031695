"""Square pieces of town that fit together in any order, any way round."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from rscovlm.scenes.textures import noise, roof, tree

TOWN = 256
"""Side of a piece of town in pixels."""
STREET = 24
"""Width of a street; they run along the edges and through the middle of every piece."""
_KINDS = 10


@dataclass(frozen=True, eq=False)
class Piece:
    """A piece of town: (n, n, 3) uint8 picture, and the middles of its empty lots in pixels of the piece."""

    image: NDArray[np.uint8]
    lots: tuple[tuple[float, float], ...]

    def turned(self, turn: int) -> Piece:
        """Turned by ``turn % 4`` quarters, and mirrored for ``turn >= 4``."""
        image, lots = np.rot90(self.image, turn % 4), self.lots
        for _ in range(turn % 4):
            lots = tuple((y, TOWN - x) for x, y in lots)
        if turn >= 4:
            image, lots = image[:, ::-1], tuple((TOWN - x, y) for x, y in lots)
        return Piece(np.ascontiguousarray(image), lots)


@lru_cache(maxsize=4)
def pieces(seed: int) -> tuple[Piece, ...]:
    """All pieces of town of a texture seed, every kind in its eight positions."""
    rng = np.random.default_rng([seed, 101])
    made = [_piece(rng) for _ in range(_KINDS)]
    return tuple(piece.turned(turn) for piece in made for turn in range(8))


def _piece(rng: np.random.Generator) -> Piece:
    image = Image.new("RGB", (TOWN, TOWN), (74, 75, 78))
    draw = ImageDraw.Draw(image)
    half, edge = TOWN // 2, STREET // 2
    lots: list[tuple[float, float]] = []
    for column in range(2):
        for row in range(2):
            box = (column * half + edge, row * half + edge, (column + 1) * half - edge, (row + 1) * half - edge)
            if _block(draw, rng, box):
                lots.append(((box[0] + box[2]) / 2, (box[1] + box[3]) / 2))
    for k in range(4, TOWN, 16):
        for at in (0, half, TOWN - 1):
            draw.line((at, k, at, k + 7), fill=(176, 176, 168))
            draw.line((k, at, k + 7, at), fill=(176, 176, 168))
    for x in (0, half, TOWN):
        for y in (0, half, TOWN):  # no dashes on crossings
            draw.rectangle((x - edge, y - edge, x + edge - 1, y + edge - 1), fill=(74, 75, 78))
    grain = (noise(rng, TOWN, 1) * 4)[..., None]
    return Piece(np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8), tuple(lots))


def _block(draw: ImageDraw.ImageDraw, rng: np.random.Generator, box: tuple[int, int, int, int]) -> bool:
    """Draw what stands between four streets; True if it was left as an empty lot."""
    x1, y1, x2, y2 = box
    kind = rng.choice(["houses", "hall", "park", "lot"], p=[0.52, 0.16, 0.14, 0.18])
    ground = {"houses": (116, 122, 98), "hall": (120, 119, 114), "park": (98, 118, 74), "lot": (112, 124, 88)}[kind]
    draw.rectangle((x1, y1, x2 - 1, y2 - 1), fill=(150, 148, 142))
    draw.rectangle((x1 + 3, y1 + 3, x2 - 4, y2 - 4), fill=ground)
    if kind == "houses":
        count = int(rng.integers(2, 4))
        side = (x2 - x1 - 12) // count
        for column in range(count):
            for row in range(count):
                left, top = x1 + 8 + column * side, y1 + 8 + row * side
                if rng.random() < 0.12:
                    tree(draw, left + side / 2, top + side / 2, rng)
                    continue
                inset = [int(v) for v in rng.integers(0, 6, 4)]
                roof(
                    draw, (left + inset[0], top + inset[1], left + side - 5 - inset[2], top + side - 5 - inset[3]), rng
                )
        for _ in range(5):
            tree(draw, float(rng.uniform(x1 + 6, x2 - 6)), float(rng.choice([y1 + 7, y2 - 7])), rng)
    elif kind == "hall":
        roof(draw, (x1 + 10, y1 + 12, x2 - 14, y2 - 14), rng)
        for k in range(x1 + 22, x2 - 24, 18):
            draw.rectangle((k, y1 + 24, k + 6, y1 + 30), fill=(96, 98, 100))
    elif kind == "park":
        draw.line((x1 + 4, y1 + 4, x2 - 5, y2 - 5), fill=(168, 158, 128), width=4)
        for _ in range(34):
            tree(draw, float(rng.uniform(x1 + 8, x2 - 9)), float(rng.uniform(y1 + 8, y2 - 9)), rng)
    else:
        for k in range(x1 + 8, x2 - 4, 13):
            tree(draw, k, y1 + 7, rng)
            tree(draw, k, y2 - 8, rng)
    return bool(kind == "lot")
