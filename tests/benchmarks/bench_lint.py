"""Crops of one scene that `rscovlm data lint` finds, beside a perceptual hash: ``python -m tests.benchmarks.bench_lint``.

From every scene a crop of 400 x 400 pixels is cut, and another that shares part of its ground: shifted, turned, and at another scale,
each stored as JPEG. Prints for each scale the pairs found by lint's crops and by hashes of 64 bits (a difference hash with Pillow, and
the perceptual hash of `imagehash` where it is installed), pairs of unrelated scenes called the same, and seconds a picture. Scenes are
generated; real pictures are added where `../shared/data` holds them.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import importlib.util
import io
import platform
import sys
import time
from collections import Counter
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rscovlm.quality.near_duplicates.alignment import turned
from rscovlm.quality.near_duplicates.crops import Crops
from rscovlm.scenes import COVERS, SceneConfig, make_scene

SIDE = 400
SCALES = (1.0, 0.5, 0.6, 0.71, 0.84, 0.95, 1.05, 1.2, 1.41, 1.7, 2.0)
REAL = ["dota/P0706.png", "dota/P1888.png", "dota/dota_demo.jpg", "dota/demo.jpg", "dior/00001.jpg", "scene/11760.jpg"]
REAL += ["scene/04133.png", "det_coco/terrain1.jpg", "det_coco/small-vehicles1.jpeg", "uhr/geochat_7292_4592x3072.jpg"]
Picture = Image.Image
Pair = tuple[int, int]


def main() -> None:
    """Cut, look for pairs in each way, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=30, help="generated scenes")
    parser.add_argument("--crops", type=int, default=2, help="pairs of crops of each scene and scale")
    parser.add_argument("--distance", type=int, default=10, help="differing bits that a hash takes for the same")
    options = parser.parse_args()
    out: Any = sys.stdout.write
    out(f"{datetime.date.today()} {platform.machine()} Python {platform.python_version()}\n")
    folder = Path(__file__).parents[2].parent / "shared" / "data"
    kinds = {"generated": [_generated(seed) for seed in range(options.scenes)], "real": _real(folder)}
    ways: dict[str, Callable[[list[Picture]], set[Pair]]] = {
        "lint": _by_crops(scales=True),
        "lint, one scale": _by_crops(scales=False),
        "dhash": _by_hash(_dhash, options.distance),
    }
    if importlib.util.find_spec("imagehash"):
        ways["phash"] = _by_hash(_phash, options.distance)
    for kind, scenes in kinds.items():
        if scenes:
            out(f"\n{kind}: {len(scenes)} scenes, {options.crops} pairs of each at every scale\n")
            out(_table(scenes, ways, options.crops))


def _table(scenes: list[Picture], ways: dict[str, Callable[[list[Picture]], set[Pair]]], crops: int) -> str:
    rng = np.random.default_rng(0)
    hits: dict[str, Counter[float]] = {name: Counter() for name in ways}
    wrong, spent, pictures = Counter[str](), dict.fromkeys(ways, 0.0), 0
    for scale in SCALES:
        for _ in range(crops):
            pairs = [_pair(scene, scale, rng) for scene in scenes]
            flat = [picture for pair in pairs for picture in pair]
            pictures += len(flat)
            for name, find in ways.items():
                start = time.process_time()
                found = find(flat)
                spent[name] += time.process_time() - start
                hits[name][scale] += sum((2 * place, 2 * place + 1) in found for place in range(len(pairs)))
                wrong[name] += sum(first // 2 != second // 2 for first, second in found)
    wanted = crops * len(scenes)
    lines = [f"{'pairs found at scale':<22}" + "".join(f"{scale:>7g}" for scale in SCALES)]
    for name, counts in hits.items():
        lines.append(f"{name:<22}" + "".join(f"{counts[scale] / wanted:>7.0%}" for scale in SCALES))
    for name in ways:
        took = spent[name] / pictures
        lines.append(
            f"{name}: {wrong[name]} unrelated pairs called the same, {took * 1e3:.1f} ms of one core a picture"
        )
    return "\n".join(lines) + "\n"


def _pair(scene: Picture, scale: float, rng: np.random.Generator) -> tuple[Picture, Picture]:
    """Cut two crops that share at least a third of the smaller one's ground; the second has `scale` times the pixels a metre."""
    ground = (SIDE, round(SIDE / scale))
    if min(scene.size) < max(ground) + 20:
        # A scene too small for it: less ground, in fewer pixels.
        shrunk = (min(scene.size) - 20) / max(ground)
        ground = (round(ground[0] * shrunk), round(ground[1] * shrunk))
    small, large = sorted(ground)
    corner = rng.integers(0, np.array(scene.size) - large + 1)
    reach = round(small * 0.4)
    other = np.clip(corner + rng.integers(-reach, large - small + reach + 1, 2), 0, np.array(scene.size) - small)
    places = [corner, other] if ground[0] == large else [other, corner]
    cuts = [
        scene.crop((int(x), int(y), int(x) + side, int(y) + side)) for (x, y), side in zip(places, ground, strict=True)
    ]
    side = round(ground[1] * scale)
    second = cuts[1] if scale == 1 else cuts[1].resize((side, side), Image.Resampling.BICUBIC)
    return _stored(cuts[0], 0), _stored(second, int(rng.integers(8)))


def _stored(picture: Picture, turn: int) -> Picture:
    buffer = io.BytesIO()
    flipped = np.stack([turned(np.asarray(band, np.float32), turn) for band in picture.convert("RGB").split()], axis=-1)
    Image.fromarray(flipped.astype(np.uint8)).save(buffer, "JPEG", quality=85)
    return Image.open(buffer)


def _generated(seed: int) -> Picture:
    cover = COVERS[seed % len(COVERS)]
    config = SceneConfig(size=900, min_objects=10, max_objects=40, covers=(cover,), plausible=False, texture_seed=seed)
    return make_scene(seed, config).image


def _real(folder: Path) -> list[Picture]:
    return [Image.open(folder / name).convert("RGB") for name in REAL if (folder / name).is_file()]


def _by_crops(*, scales: bool) -> Callable[[list[Picture]], set[Pair]]:
    def find(pictures: list[Picture]) -> set[Pair]:
        crops = Crops(scales=scales)
        for picture in pictures:
            crops.add(picture.convert("L").resize(crops.shrunk(*picture.size), Image.Resampling.BOX))
        return {(pair.first, pair.second) for pair in crops.overlaps()}

    return find


def _by_hash(code: Callable[[Picture], int], distance: int) -> Callable[[list[Picture]], set[Pair]]:
    def find(pictures: list[Picture]) -> set[Pair]:
        codes = [code(picture) for picture in pictures]
        return {(i, j) for i, j in combinations(range(len(codes)), 2) if (codes[i] ^ codes[j]).bit_count() <= distance}

    return find


def _dhash(picture: Picture) -> int:
    small = np.asarray(picture.convert("L").resize((9, 8), Image.Resampling.LANCZOS), np.int16)
    return int.from_bytes(np.packbits(small[:, 1:] > small[:, :-1]).tobytes(), "big")


def _phash(picture: Picture) -> int:
    return int(str(importlib.import_module("imagehash").phash(picture)), 16)


if __name__ == "__main__":
    main()
