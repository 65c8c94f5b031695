"""SAHI slices an image and asks our engine about each slice, with the real library."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from rscovlm.engines import Conversation
from rscovlm.processing.resolution import plan_size
from tests.zoom.scripted import Scripted

pytest.importorskip("sahi", reason="sahi is not installed")


def test_boxes_of_slices_come_back_at_their_places() -> None:
    from sahi.predict import get_prediction, get_sliced_prediction

    from rscovlm.predicting.sahi_model import SahiDetectionModel

    # One white square of 20 pixels, which the engine finds by its pixels wherever a slice shows it whole.
    image = np.zeros((300, 400, 3), np.uint8)
    image[180:200, 250:270] = 255

    def find(conversation: Conversation, turn: int) -> str:
        (picture,) = conversation.images()
        rows, columns = np.nonzero(np.asarray(picture.convert("L")) > 128)
        if not len(rows):
            return "There are none."
        width, height = plan_size(picture.width, picture.height, engine.budget)  # in whose pixels a model answers
        across, down = width / picture.width, height / picture.height
        left, right = (round(float(x) * across) for x in (columns.min(), columns.max() + 1))
        top, bottom = (round(float(y) * down) for y in (rows.min(), rows.max() + 1))
        return f"{left},{top},{right},{top},{right},{bottom},{left},{bottom} ship\n"

    engine = Scripted(find)
    model = SahiDetectionModel(engine, ["plane", "ship"], device="cpu")
    sliced = get_sliced_prediction(
        Image.fromarray(image), model, slice_height=150, slice_width=150, perform_standard_pred=False, verbose=0
    )
    (found,) = sliced.object_prediction_list
    assert found.bbox.to_xyxy() == pytest.approx([250, 180, 270, 200], abs=2)
    assert (found.category.name, found.category.id, found.score.value) == ("ship", 1, 1.0)
    assert sum(len(batch) for batch in engine.asked) == 12  # SAHI's own slices: 3 rows of 4
    whole = get_prediction(Image.fromarray(image), model, verbose=0)
    (one,) = whole.object_prediction_list
    assert one.bbox.to_xyxy() == pytest.approx([250, 180, 270, 200], abs=2)
