"""A coordinate space matched to the input beats a fixed 0-100 one on small objects: pixels of the shown image against it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rscovlm.codec import Codec
from rscovlm.engines import Engine
from rscovlm.experiments.learning.report import series
from rscovlm.experiments.learning.runs import PIXELS, Arm, ArmRun, Claim, Measure
from rscovlm.experiments.learning.scene_records import answers, fresh_samples, unseen
from rscovlm.exports.chart import draw
from rscovlm.geometry import Boxes, Frame, iou
from rscovlm.metrics import grounding_accuracy
from rscovlm.mixtures.mixture import Subset
from rscovlm.mixtures.renderer import RecordRenderer
from rscovlm.mixtures.scene_records import image_of, plain_renderer
from rscovlm.processing import PixelBudget
from rscovlm.records.record import Annotation, Record
from rscovlm.scenes import SceneConfig, make_scene

SIDE, HEIGHT = 336, 28
"""The model sees strips of one row of visual tokens, 336 pixels long: as long as a square that would cost twelve times as much."""
LENGTHS = (8, 16)
SIDES = (84, 168, 336, 504, 1008)
"""Sides of images for which the bound is drawn; nothing is trained for it."""
SCENES = SceneConfig(
    size=SIDE,
    min_objects=1,
    max_objects=1,
    min_length=LENGTHS[0],
    max_length=LENGTHS[1],
    classes=("plane", "ship", "tank"),
)
FIXED = Codec("fixed-0-100", space="0-100")


def measure(arm: str, engine: Engine, seed: int, count: int) -> list[Measure]:
    """Measure pointing at small objects, compared with the best that the coordinate space allows on the same boxes."""
    pairs = answers(
        engine, fresh_samples(lambda rng: _draw(unseen(SCENES), rng), _shown(engine.codec), seed, count), most=24
    )
    truths = [list(true.boxes.coords[0]) for _, true in pairs]
    boxes = [list(said.boxes.coords[0]) if len(said) else None for said, _ in pairs]
    frame = Frame(SIDE, HEIGHT)
    written = [list(requantised(Boxes(np.array([box]), "hbb", frame), engine.codec).coords[0]) for box in truths]
    found = []
    for name, given in (("learnt", boxes), ("bound", written)):
        result = grounding_accuracy(given, truths, thresholds=(0.5, 0.75))
        found += [
            Measure(f"mean IoU, {name}", result["mean_iou"], count),
            Measure(f"Acc@0.5, {name}", result["acc50"], count),
            Measure(f"Acc@0.75, {name}", result["acc75"], count),
        ]
    return found


def requantised(box: Boxes, codec: Codec) -> Boxes:
    """Return one box as it comes back from being written: the best that any model can say.

    Raises:
        ValueError: The box has no frame.
    """
    if box.frame is None:
        raise ValueError("the box has no frame; give the pixel grid it is on")
    return codec.decode_box(codec.encode_box(box, box.frame), box.frame)


def bound(codec: Codec, side: int, length: float, *, count: int = 500, seed: int = 0) -> float:
    """Return the mean IoU of square boxes of one length anywhere in a square image with what can be written of them."""
    frame = Frame(side, side)
    corners = np.random.default_rng(seed).uniform(0, side - length, (count, 2))
    boxes = Boxes(np.concatenate([corners, corners + length], axis=1), "hbb", frame)
    return float(np.mean([iou(boxes[[row]], requantised(boxes[[row]], codec))[0, 0] for row in range(count)]))


def _draw(config: SceneConfig, rng: np.random.Generator) -> Record:
    """Draw a scene and cut a strip that holds its object."""
    scene = make_scene(rng, config)
    thing = scene.objects[0]
    x1, y1, x2, y2 = thing.hbb
    top = int(rng.integers(max(0, np.ceil(y2) - HEIGHT), min(SIDE - HEIGHT, np.floor(y1)) + 1))
    box = Annotation((x1, y1 - top, x2, y2 - top), thing.label, "hbb")
    strip = scene.image.crop((0, top, SIDE, top + HEIGHT))
    expression = f"the {thing.label}"
    return Record("scene", "scenes", "train", "grounding", (image_of(strip),), objects=(box,), expression=expression)


def _shown(codec: Codec) -> RecordRenderer:
    return plain_renderer(codec, PixelBudget(HEIGHT * SIDE, HEIGHT * SIDE, 28))


def _subsets(codec: Codec) -> list[Subset]:
    return [Subset("small objects", lambda rng: _draw(SCENES, rng), render=_shown(codec))]


def _pixels(done: Sequence[ArmRun]) -> list[Subset]:
    return _subsets(PIXELS)


def _fixed(done: Sequence[ArmRun]) -> list[Subset]:
    return _subsets(FIXED)


def _figures(runs: Sequence[ArmRun]) -> dict[str, str]:
    def place(run: ArmRun, one: Measure) -> tuple[str, str]:
        name, what = one.name.split(", ")
        return (run.arm if what == "learnt" else f"{run.arm}, at best"), name

    drawing = draw(series(runs, place), title=f"Small objects in strips of {SIDE} x {HEIGHT} pixels", across="")
    best: dict[str, dict[str, list[float]]] = {}
    for codec, name in ((PIXELS, "pixels"), (FIXED, "0-100")):
        for length in (8, 16, 32):
            best[f"{name}, {length} px"] = {str(side): [bound(codec, side, length)] for side in SIDES}
    bounds = draw(
        best,
        title="Mean IoU at best, by length of the object",
        across="side of the image shown, in pixels",
        joined=True,
        dashed=[name for name in best if name.startswith("0-100")],
    )
    return {"spaces": drawing, "spaces_bound": bounds}


CLAIM = Claim("spaces", (Arm("pixels", _pixels, 2400), Arm("0-100", _fixed, 2400, FIXED)), measure, _figures)
