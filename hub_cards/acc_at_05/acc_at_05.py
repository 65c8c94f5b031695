"""Acc@0.5 of visual grounding as an `evaluate` module. Thin over `rscovlm.metrics.grounding_accuracy`."""

from typing import Any

import datasets
import evaluate

from rscovlm.metrics import grounding_accuracy

_DESCRIPTION = """\
Accuracy of visual grounding: the share of items whose one box overlaps the true one by more than 0.5 (or other
thresholds), for horizontal, oriented and quadrilateral boxes, with the mean overlap; answers that are missing are wrong
and counted apart. The reference system's protocol, its one-pixel rule included, is a named variant.
"""

_INPUTS = """\
Args:
    predictions: one box per item: 4 numbers (x1 y1 x2 y2), 5 (cx cy w h angle in degrees) or 8 (four corners); [] or None
        where the model gave none.
    references: one box per item, in the same pixels.
    thresholds, strict, overlap, protocol ("plain" or "rscovlm"): as in rscovlm.metrics.grounding_accuracy.
Returns:
    acc50 (and one entry per other threshold), acc, mean_iou, mean_iou_answered, items, unanswered, iou, settings.
Examples:
    >>> module = evaluate.load("rscovlm/acc_at_05")
    >>> module.compute(predictions=[[0, 0, 10, 10], []], references=[[0, 0, 10, 8], [5, 5, 9, 9]])["acc50"]
    0.5
"""

_CITATION = """\
@article{li2025rscovlm,
  title = {Co-Training Vision Language Models for Remote Sensing Multi-task Learning},
  author = {Li, Qingyun and Ma, Shuran and Luo, Junwei and Yu, Yi and Zhou, Yue and Wang, Fengxiang and Lu, Xudong and
            Wang, Xiaoxing and He, Xin and Chen, Yushi and Yang, Xue and Yan, Junchi},
  journal = {arXiv preprint arXiv:2511.21272},
  year = {2025},
}
"""


# `evaluate` makes the module's name of the class's name; its documentation is what its doctests are found in.
@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _INPUTS)
class AccAt_05(evaluate.Metric):
    """Accuracy of visual grounding."""

    def _info(self) -> evaluate.MetricInfo:
        box = datasets.Sequence(datasets.Value("float64"))
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=datasets.Features({"predictions": box, "references": box}),
        )

    def add(self, *, prediction: Any = None, reference: Any = None, **kwargs: Any) -> None:
        """Add one item; None or [] is no answer."""
        super().add(prediction=_stored(prediction), reference=reference, **kwargs)

    def add_batch(self, *, predictions: Any = None, references: Any = None, **kwargs: Any) -> None:
        """Add several items."""
        super().add_batch(predictions=[_stored(box) for box in predictions], references=list(references), **kwargs)

    def _compute(
        self,
        predictions: Any,
        references: Any,
        thresholds: Any = (0.5,),
        strict: Any = True,
        overlap: Any = "given",
        protocol: Any = "plain",
    ) -> dict[str, Any]:
        answered = [box if len(box) else None for box in predictions]
        return grounding_accuracy(
            answered, references, thresholds=thresholds, strict=strict, overlap=overlap, protocol=protocol
        )


def _stored(box: Any) -> Any:
    return [] if box is None else box
