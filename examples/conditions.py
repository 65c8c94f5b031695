"""All planes on the east bank of the river: an instruction with conditions, solved step by step on a map.

    python examples/conditions.py --output runs/conditions        # the embedded model on a generated scene
    python examples/conditions.py "the two northernmost planes within 60 m of the river"

The planes are found by the model; the river is a polygon of a map; which bank a plane is on is decided by geometry in map coordinates.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

import rscovlm
from rscovlm.engines import Transformers
from rscovlm.exports import to_geojson
from rscovlm.geometry import Boxes, Frame, Objects
from rscovlm.points.condition_solver import SolvedConditions
from rscovlm.scenes import SceneConfig, make_scene, write_geotiff
from rscovlm.tasks import solve_conditions

CELL, CELLS = 84, 5
SIDE = CELL * CELLS
FRAME = Frame(SIDE, SIDE, root_to_world=(1.0, 0, 500_000, 0, -1.0, 5_400_000), crs="EPSG:32633")


def generated(folder: Path, seed: int) -> tuple[Path, Objects, np.ndarray]:
    """Draw an airfield on both banks of a river; return the picture, its planes and the river in map coordinates."""
    config = SceneConfig(classes=("plane",), covers=("airfield",), min_objects=1, max_objects=2)
    picture, sides = Image.new("RGB", (SIDE, SIDE)), []
    rng = np.random.default_rng(seed)
    for row in range(CELLS):
        for column in (0, 1, 3, 4):  # the river runs through the middle column
            scene = make_scene(rng, config)
            picture.paste(scene.image, (column * CELL, row * CELL))
            boxes = scene.truth.boxes.as_kind("hbb").coords
            sides += [box + (column * CELL, row * CELL) * 2 for box in boxes]
    water = make_scene(rng, SceneConfig(classes=("ship",), covers=("water",), max_objects=0))
    picture.paste(water.image.resize((CELL, SIDE)), (2 * CELL, 0))
    down = np.linspace(0, SIDE, 40)
    bend = 2.5 * CELL + 10 * np.sin(down / 60)
    river = np.concatenate([np.stack([bend - 28, down], 1), np.stack([bend + 28, down], 1)[::-1]])
    ImageDraw.Draw(picture).polygon([tuple(point) for point in river], fill=(40, 70, 110))
    path = folder / "airfield.tif"
    write_geotiff(path, FRAME, lambda *window: picture.crop(window), overwrite=True)
    truth = Objects(Boxes(np.array(sides), "hbb", FRAME), ("plane",) * len(sides))
    return path, truth, FRAME.places(river)


def main(arguments: list[str] | None = None) -> tuple[SolvedConditions, Objects]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("instruction", nargs="?", default="all planes on the east bank of the river")
    parser.add_argument("--model", default="embedded", help="checkpoint; the embedded model by default")
    parser.add_argument("--output", type=Path, default=Path("runs/conditions"), help="where the files go")
    parser.add_argument("--seed", type=int, default=3)
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    path, truth, river = generated(options.output, options.seed)
    engine = Transformers(*rscovlm.load(options.model))
    areas = {"river": river}
    solved = solve_conditions(
        engine, path, options.instruction, areas=areas, crs=FRAME.crs, kind="quad", tile=CELL, overlap=0
    )
    for entry in solved.trace:
        print(f"{entry.words:<40} {entry.by:<20} {entry.before or '':>4} -> {entry.after}  {entry.note}")
    if solved.left_nothing:
        print(f"nothing was left after: {solved.left_nothing}")
    to_geojson(solved.objects, options.output / "found.geojson", overwrite=True)
    rows = [entry.to_row() for entry in solved.trace]
    (options.output / "trace.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")
    return solved, truth


if __name__ == "__main__":
    main()
