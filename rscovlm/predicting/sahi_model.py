"""A detection model for SAHI (sliced inference) that asks one of our engines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sahi.models.base import DetectionModel
from sahi.prediction import ObjectPrediction
from sahi.utils.compatibility import fix_full_shape_list, fix_shift_amount_list

from rscovlm.tasks.detect import detect

if TYPE_CHECKING:
    import numpy as np

    from rscovlm.engines import Engine
    from rscovlm.geometry import Objects


class SahiDetectionModel(DetectionModel):
    """A model that `sahi.predict.get_sliced_prediction` slices an image for: each slice is one question.

    Language models give no confidence: every object has score 1 unless ``confidence`` is true. SAHI merges by horizontal boxes; turned
    ones go along as their outline.

    Args:
        engine: Who answers.
        classes: Class names; their order numbers them from 0.
        confidence: Score each object by the probabilities of its tokens; needs an engine that returns them.
        options: What SAHI's model takes, such as ``confidence_threshold``.
    """

    def __init__(self, engine: Engine, classes: Sequence[str], *, confidence: bool = False, **options: Any) -> None:
        self.classes, self.confidence = tuple(classes), confidence
        super().__init__(
            model=engine, category_mapping={str(number): name for number, name in enumerate(self.classes)}, **options
        )

    def set_model(self, model: Any, **kwargs: Any) -> None:
        """Take an engine."""
        self.model = model

    def perform_inference(self, image: np.ndarray[Any, Any]) -> None:
        """Ask about one slice, (h, w, 3) RGB, as it is."""
        side = max(image.shape[:2])
        found = detect(self.model, image, self.classes, tile=side, overlap=0, confidence=self.confidence)
        self._original_predictions = [found.objects]

    def _create_object_prediction_list_from_original_predictions(
        self, shift_amount_list: Any = None, full_shape_list: Any = None
    ) -> None:
        """Turn what was found into SAHI's predictions, each with the place of its slice."""
        shifts = fix_shift_amount_list(shift_amount_list or [[0, 0]])
        shapes = fix_full_shape_list(full_shape_list)
        self._object_prediction_list_per_image = [
            self._predictions(objects, shifts[number], None if shapes is None else shapes[number])
            for number, objects in enumerate(self._original_predictions)
        ]

    def _predictions(self, objects: Objects, shift: Any, shape: Any) -> list[Any]:
        made = []
        outlines = objects.boxes.as_kind("quad").coords.tolist()
        for row, (box, label) in enumerate(zip(objects.boxes.as_kind("hbb").coords, objects.labels, strict=True)):
            score = 1.0 if objects.scores is None else float(objects.scores[row])
            if score < self.confidence_threshold:
                continue
            made.append(
                ObjectPrediction(
                    bbox=[float(value) for value in box],
                    category_id=self.classes.index(label),
                    category_name=label,
                    segmentation=None if objects.boxes.kind == "hbb" or shape is None else [outlines[row]],
                    score=score,
                    shift_amount=[int(value) for value in shift],
                    full_shape=None if shape is None else [int(value) for value in shape],
                )
            )
        return made
