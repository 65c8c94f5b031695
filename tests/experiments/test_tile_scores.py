"""What is measured on large scenes is what is there and what `detect` gives."""

import numpy as np
import shapely

import rscovlm
from rscovlm.engines import Transformers
from rscovlm.experiments.tile_scores import TEST_SEED, harbour, objects_in, score_whole
from rscovlm.rasters import open_image
from rscovlm.scenes import LayoutConfig, SceneLayout
from rscovlm.tasks import detect

CLASSES = ("plane", "ship", "tank")


def test_a_harbour_comes_with_all_that_reaches_into_it() -> None:
    image, objects = harbour(TEST_SEED, 2048, texture_seed=0, part=320)
    layout = SceneLayout(TEST_SEED, LayoutConfig(2048, 2048, texture_seed=0))
    x, y = (int(np.clip(value - 160, 0, 2048 - 320)) for value in layout.areas["harbour"])
    assert image.size == (320, 320)
    assert image.tobytes() == layout.render(x, y, x + 320, y + 320).tobytes()
    square = shapely.box(x, y, x + 320, y + 320)
    near = [thing for thing in layout.objects if shapely.Polygon(thing.quad).intersects(square)]
    assert [item.label for item in objects] == [thing.label for thing in near]
    for item, thing in zip(objects, near, strict=True):
        assert np.allclose(np.array(item.box).reshape(4, 2) + (x, y), thing.quad)


def test_precision_and_recall_are_those_of_a_matching_one_to_one() -> None:
    engine = Transformers(*rscovlm.load("embedded", device="cpu"), batch_size=16)
    layout = SceneLayout(TEST_SEED + 1, LayoutConfig(2048, 2048, texture_seed=0))
    x, y = (int(np.clip(value - 130, 0, 2048 - 260)) for value in layout.areas["harbour"])
    window = (x, y, x + 260, y + 260)
    raster = open_image(layout.render(*window))
    truth = objects_in(layout, window)
    measured = score_whole(engine, raster, truth, CLASSES, tile=84, overlap=42, max_new_tokens=160)
    found = detect(engine, raster, CLASSES, tile=84, overlap=42, max_new_tokens=160).objects
    square = shapely.box(0, 0, 260, 260)
    outlines = [(item.label, shapely.Polygon(np.array(item.box).reshape(4, 2))) for item in truth]
    outlines = [(label, outline) for label, outline in outlines if label in CLASSES]
    inside = np.array([outline.intersection(square).area >= 0.7 * outline.area for _, outline in outlines])
    boxes = [shapely.Polygon(row.reshape(4, 2)) for row in found.boxes.coords]
    overlaps = np.array(
        [
            [
                box.intersection(outline).area / box.union(outline).area if label == other else 0.0
                for other, outline in outlines
            ]
            for label, box in zip(found.labels, boxes, strict=True)
        ]
    )  # fmt: skip
    good = overlaps > 0.5
    # True objects do not overlap, so that a box matches one of them at most.
    right = int((good.any(axis=0) & inside).sum())
    cut = int(good[:, ~inside].any(axis=1).sum())
    assert measured.true == inside.sum() >= 2
    assert abs(measured.recall - right / inside.sum()) < 1e-9
    assert abs(measured.precision - right / (len(boxes) - cut)) < 1e-9
