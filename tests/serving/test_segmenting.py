"""Masks through the server: by the segmenter it was started with, of a model that knows boxes alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rscovlm.geometry.masks import Mask
from rscovlm.serving.refusals import RequestLimits
from tests.points.test_segmenting import Bright
from tests.serving.loopback import chat, served, uri, user
from tests.tasks.test_segment_forms import BOXES, BoxesOnly, _image

pytest.importorskip("starlette")


def _asked(**options: Any) -> tuple[int, dict[str, Any]]:
    with served(BoxesOnly(), **options) as server:
        return chat(server, user("disc, ship", uri(_image())), rscovlm={"task": "segment"})


def test_masks_are_drawn_by_the_segmenter_of_the_server() -> None:
    bright = np.asarray(_image())[..., 0] > 128
    status, body = _asked(segmenter=Bright(), form="box")
    assert status == 200
    drawn = [Mask.from_rle(one).full() for one in body["rscovlm"]["masks"]]
    assert np.array_equal(np.any(drawn, axis=0), bright)
    status, body = _asked(form="box")
    assert status == 200
    areas = [Mask.from_rle(one).area for one in body["rscovlm"]["masks"]]
    assert areas == [(x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in BOXES]


def test_tiles_of_a_segmentation_by_boxes_are_bounded() -> None:
    image = _image().resize((4000, 2000))
    with served(BoxesOnly(), form="box", limits=RequestLimits(tiles=2)) as server:
        status, body = chat(server, user("disc, ship", uri(image)), rscovlm={"task": "segment"})
    assert (status, "tiles; 2 are allowed" in body["error"]["message"]) == (413, True)
