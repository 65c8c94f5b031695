"""Works of `bench_scale` on large pictures, pages, constraints and plans; each returns what is measured, its input made."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from rscovlm.codec import Codec
from rscovlm.engines.automaton import Automaton, _Node
from rscovlm.engines.constrained import as_bytes
from rscovlm.exports import map_page
from rscovlm.geometry import Boxes, Frame, Objects
from rscovlm.mixtures.mixture import Mixture, Subset
from rscovlm.rasters import open_image
from rscovlm.rasters.view import View
from rscovlm.training.packing import PackedMixture
from rscovlm.training.stored_plans import StoredPlans
from tests.metrics.scenes import rectangles

Work = Callable[[], object]


def _packed_rows(plans: StoredPlans | None) -> PackedMixture:
    """Rows of a mixture of two subsets, about twelve samples a row."""
    rng = np.random.default_rng(0)
    subsets = [
        Subset("chat", rng.integers(40, 700, 9_999).tolist(), 2),
        Subset("boxes", rng.integers(400, 1500, 9_999).tolist()),
    ]
    mixture = Mixture(subsets, length=10**9)
    return PackedMixture(mixture, length=int, budget=6144, rows=10**7, plans=plans)


def walked_row(count: int) -> Work:
    """A row where no state of its plan is stored: all rows before it are planned."""
    return lambda: _packed_rows(None).pack(count)


def far_row(count: int) -> Work:
    """The same where an earlier process came by: the row before a stored state, the furthest from the one before."""
    folder = Path(tempfile.mkdtemp())
    _packed_rows(StoredPlans(folder, of="bench")).pack(count)

    def work() -> None:
        _packed_rows(StoredPlans(folder, of="bench")).pack(count)
        shutil.rmtree(folder)

    return work


_DRAWN = """
import sys
import numpy as np
from PIL import Image
Image.MAX_IMAGE_PIXELS = None
side = int(sys.argv[2])
noise = np.random.default_rng(0).integers(0, 255, (512, 512, 3), dtype=np.uint8) // 8 * 8
sides = -(-side // 512)
Image.fromarray(np.tile(noise, (sides, sides, 1))[:side, :side]).save(sys.argv[1], compress_level=1)
"""


def _large_file(pixels: int, ending: str) -> Path:
    """Draw a square picture in a process of its own, whose memory is not counted."""
    path = Path(tempfile.mkdtemp()) / f"a{ending}"
    subprocess.run([sys.executable, "-c", _DRAWN, str(path), str(max(300, math.isqrt(pixels)))], check=True)
    return path


def tiled_copy(pixels: int, ending: str) -> Work:
    """One pass over a picture that writes its tiled copy."""
    path = _large_file(pixels, ending)

    def work() -> None:
        open_image(path, tiled=True, cache=path.parent).read((0, 0, 256, 256))
        shutil.rmtree(path.parent)

    return work


def crops(pixels: int, ending: str, tiled: bool) -> Work:
    """Twenty crops of 256 x 256 pixels anywhere in a picture, one after another; the tiled copy is there."""
    path = _large_file(pixels, ending)
    how: dict[str, Any] = {"tiled": True, "cache": path.parent} if tiled else {}
    raster = open_image(path, **how)
    raster.read((0, 0, 256, 256))
    corners = np.random.default_rng(0).integers(0, raster.width - 256, (20, 2)).tolist()

    def work() -> None:
        with open_image(path, **how) as again:
            for x, y in corners:
                again.read((x, y, x + 256, y + 256))
        shutil.rmtree(path.parent)

    return work


def overview(pixels: int) -> Work:
    """The first overview of a tiled file without overviews, on one core."""
    side = max(300, math.isqrt(pixels))
    path = Path(tempfile.mkdtemp()) / "a.tif"
    noise = np.random.default_rng(0).integers(0, 255, (256, 256, 3), dtype=np.uint8)
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        sides = -(-side // 256)
        shape = (side, side, 3)
        file.write((noise for _ in range(sides**2)), shape=shape, dtype=noise.dtype, tile=(256, 256), photometric="rgb")

    def work() -> None:
        open_image(path, cache=False).overview()
        shutil.rmtree(path.parent)

    return work


def page_of_objects(count: int) -> Work:
    """The map page of objects all over a picture, written."""
    rng = np.random.default_rng(0)
    quads = rectangles(
        rng.uniform(0, 19_000, (count, 2)), rng.uniform(10, 60, (count, 2)), rng.uniform(-1.5, 1.5, count)
    )
    frame = Frame(20_000, 20_000)
    objects = Objects(Boxes(quads, "quad", frame), tuple(f"class {k % 230}" for k in range(count)))
    view = View(Image.new("RGB", (1000, 1000), "#405060"), frame.resized(1000, 1000))
    folder = Path(tempfile.mkdtemp())

    def work() -> None:
        map_page(folder / "page.html", view, objects)
        shutil.rmtree(folder)

    return work


def _classes(count: int) -> list[str]:
    return [f"class {number} of {'many' * (1 + number % 7)}" for number in range(count)]


def constraint(count: int) -> Work:
    """The constraint of JSON answers with so many classes: from the classes to the automaton."""
    codec, classes = Codec.preset("qwen2.5-vl"), _classes(count)
    return lambda: Automaton(as_bytes(codec.grammar(style="json", categories=classes, largest=1008).pattern))


def stored_constraint(count: int) -> Work:
    """What a file of compiled constraints would cost: its nodes read from JSON."""
    codec, classes = Codec.preset("qwen2.5-vl"), _classes(count)
    automaton = Automaton(as_bytes(codec.grammar(style="json", categories=classes, largest=1008).pattern))
    nodes = [[node.free, node.on, [[known.pattern, goal] for known, goal in node.classes]] for node in automaton._nodes]
    text = json.dumps(nodes)
    return lambda: [
        _Node(free, on, [(re.compile(known), goal) for known, goal in classes])
        for free, on, classes in json.loads(text)
    ]


def cutoff(count: int) -> Work:
    """An answer of 1,000 labels with a typing error each, read with so many known classes."""
    codec, classes = Codec.preset("qwen2.5-vl"), _classes(count)
    rows = [{"bbox_2d": [k % 900, 1, k % 900 + 9, 9], "label": classes[k % count][:-1] + "x"} for k in range(1000)]
    answer = json.dumps(rows)
    return lambda: codec.decode(answer, Frame(1000, 1000), categories=classes, cutoff=0.8)
