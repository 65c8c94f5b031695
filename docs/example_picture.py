"""Draws what the README's example finds, held against the scene's truth: ``python docs/example_picture.py``."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import rscovlm
from rscovlm.engines import Transformers
from rscovlm.exports.matches import draw_matches, match_objects
from rscovlm.geometry import Boxes, Objects
from rscovlm.scenes import LayoutConfig, write_large_scene

CLASSES = ("plane", "ship")
SHOWN = 1100


def main() -> None:
    """Write `example.jpg` beside this file."""
    with TemporaryDirectory() as folder:
        scene = write_large_scene(Path(folder) / "scene.tif", 0, LayoutConfig(2048, 2048))
        with rscovlm.open_image(Path(folder) / "scene.tif") as image:
            found = rscovlm.detect(Transformers(*rscovlm.load("embedded")), image, list(CLASSES)).objects
            things = [thing for thing in scene.layout.objects if thing.label in CLASSES]
            boxes = Boxes(np.stack([thing.quad.ravel() for thing in things]), "quad", image.frame)
            true = Objects(boxes, tuple(thing.label for thing in things))
            drawn = draw_matches(image.overview(SHOWN * SHOWN), match_objects(found, true))
    drawn.convert("RGB").save(Path(__file__).with_name("example.jpg"), quality=82, optimize=True)


if __name__ == "__main__":
    main()
