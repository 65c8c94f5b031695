"""Close-ups, masks of boxes, and masks drawn again: with segmenters whose masks are known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from rscovlm.codec.point_objects import PointObject
from rscovlm.geometry import Boxes, Frame, Objects
from rscovlm.geometry.masks import Mask
from rscovlm.points.box_masks import masks_of_boxes
from rscovlm.points.close_ups import LEAST, CloseUps
from rscovlm.points.refining import segment_refined
from rscovlm.points.segmenter import FilledShapes, Segmenter
from rscovlm.points.tiled import segment
from tests.points.test_segmenting import Bright, _prompts, blob


@pytest.mark.parametrize("room", [1.0, 1.7, 30.0])
@pytest.mark.parametrize("size", [(300, 220), (40, 500), (20, 20)])
def test_close_ups_give_what_the_whole_image_gives(room: float, size: tuple[int, int]) -> None:
    width, height = size
    bright = blob(5, width, height) | blob(6, width, height)
    image = np.where(bright[..., None], 200, 50).astype(np.uint8).repeat(3, axis=2)
    prompts = _prompts(12, width, height, seed=3)
    seen = Bright()
    for segmenter, inner in ((CloseUps(seen, room=room), seen), (CloseUps(FilledShapes(), room=room), FilledShapes())):
        assert isinstance(segmenter, Segmenter)
        for one, two in zip(segmenter.segment(image, prompts), inner.segment(image, prompts), strict=True):
            assert np.array_equal(one.full(), two.full())


def test_a_close_up_is_a_square_around_the_box() -> None:
    close, frame = CloseUps(FilledShapes(), room=2), Frame(400, 300)
    for box, window in (
        ((100, 100, 140, 120), (80, 70, 160, 150)),
        ((200, 200, 204, 204), (202 - LEAST // 2, 202 - LEAST // 2, 202 + LEAST // 2, 202 + LEAST // 2)),
        ((0, 0, 40, 20), (0, 0, 80, 80)),
        ((380, 290, 400, 300), (360, 260, 400, 300)),
        ((0, 0, 400, 300), (0, 0, 400, 300)),
    ):
        assert tuple(close.window(PointObject.prompt("x", box, (), frame), frame)) == window
    outside = PointObject.prompt("x", (500, 500, 600, 600), [], frame)
    assert [mask.area for mask in close.segment(np.zeros((300, 400, 3), np.uint8), [outside])] == [0]
    with pytest.raises(ValueError, match=r"room is 0\.5"):
        CloseUps(FilledShapes(), room=0.5)


class Growing:
    """Draws the bright part that touches the middle half of a box, whole, as a segmenter that mends inexact boxes does."""

    def segment(self, image: NDArray[np.uint8], prompts: Sequence[PointObject]) -> list[Mask]:
        """Return each connected bright part that the box reaches, cut two pixels outside of the box."""
        frame = Frame(image.shape[1], image.shape[0])
        found = []
        for one in prompts:
            x1, y1, x2, y2 = one.box.coords[0]
            allowed = np.zeros(image.shape[:2], bool)
            allowed[max(int(y1) - 2, 0) : int(y2) + 2, max(int(x1) - 2, 0) : int(x2) + 2] = True
            found.append(Mask.of((image[..., 0] > 128) & allowed, frame))
        return found


def test_masks_drawn_again_come_nearer_to_the_object() -> None:
    image, frame = np.zeros((60, 80, 3), np.uint8), Frame(80, 60)
    image[10:40, 20:60] = 200
    inexact = PointObject.prompt("roof", (28, 16, 55, 36), [(40, 25)], frame)
    areas = [segment_refined(Growing(), image, [inexact], rounds=rounds)[0].area for rounds in range(5)]
    assert areas == sorted(areas) and areas[0] < areas[1] < areas[4]
    assert areas[4] == 30 * 40
    empty = PointObject.prompt("roof", (62, 42, 70, 50), [], frame)
    assert [mask.area for mask in segment_refined(Bright(), image, [empty, inexact], rounds=2)] == [0, 27 * 20]
    with pytest.raises(ValueError, match="rounds is -1"):
        segment_refined(Growing(), image, [inexact], rounds=-1)


def test_detected_boxes_of_any_kind_and_frame_become_masks() -> None:
    bright = blob(5, 300, 220)
    image = np.where(bright[..., None], 200, 50).astype(np.uint8).repeat(3, axis=2)
    frame = Frame(300, 220)
    quads = Boxes([[60, 20, 120, 60, 90, 110, 30, 70], [200, 100, 260, 100, 260, 160, 200, 160]], "quad", frame)
    objects = Objects(quads, ("ship", "roof"))
    expected = [mask.full() for mask in segment(Bright(), image, [
        PointObject.prompt("ship", (30, 20, 120, 110), [], frame), PointObject.prompt("roof", (200, 100, 260, 160), [], frame)
    ])]  # fmt: skip
    small = frame.resized(150, 110)
    for given in (objects, objects.to(small), Objects(Boxes(quads.coords, "quad"), objects.labels)):
        found = masks_of_boxes(Bright(), image, given)
        assert [np.array_equal(one.full(), two) for one, two in zip(found, expected, strict=True)] == [True, True]
    assert masks_of_boxes(Bright(), image, objects[:0]) == []
