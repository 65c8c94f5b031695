"""AP_nc as an `evaluate` module: average precision of detections without confidence. Thin over `rscovlm.metrics.ap_nc`."""

from typing import Any

import datasets
import evaluate

from rscovlm.metrics import ap_nc

_DESCRIPTION = """\
Average precision of oriented detections that carry no confidence (AP_nc), as language models give them: the mean over
random orders of the boxes, the same for any order of images and rows. Standard AP comes out beside it where there are
scores. Protocols of DOTA's development kit and of the RSCoVLM paper's code.
"""

_INPUTS = """\
Args:
    predictions: one item per image, {"boxes": n rows of x1 y1 ... x4 y4 in pixels, "labels": n names}, and, in all items
        or in none, "scores": n numbers.
    references: one item per image, the same with, where there are any, "difficult": n flags.
    protocol ("dota" or "rscovlm"), classes, iou_thresholds, interpolation, overlap, strict, difficult, ties, repeats,
        seed: as in rscovlm.metrics.ap_nc.
Returns:
    ap_nc50, ap_nc75, ap_nc50_95, ap_nc: mean, std, min and max over the orders; per_class, thresholds, mf1, precision,
        recall, constant_score, counts, degenerate, settings.
Examples:
    >>> module = evaluate.load("rscovlm/ap_nc")
    >>> square = [[0, 0, 10, 0, 10, 10, 0, 10]]
    >>> item = {"boxes": square, "labels": ["ship"]}
    >>> module.compute(predictions=[item], references=[item])["ap_nc50"]["mean"]
    1.0
"""

_CITATION = """\
@article{li2025lmmrotate,
  title = {A Simple Aerial Detection Baseline of Multimodal Language Models},
  author = {Li, Qingyun and Chen, Yushi and Shu, Xinya and Chen, Dong and He, Xin and Yu, Yi and Yang, Xue},
  journal = {arXiv preprint arXiv:2501.09720},
  year = {2025},
}
"""

_NUMBERS = datasets.Sequence(datasets.Value("float64"))
_COLUMNS = {
    "boxes": datasets.Sequence(_NUMBERS),
    "labels": datasets.Sequence(datasets.Value("string")),
}


# `evaluate` makes the module's name of the class's name; its documentation is what its doctests are found in.
@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _INPUTS)
class ApNc(evaluate.Metric):
    """Average precision of detections without confidence."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=datasets.Features(
                {
                    "predictions": {**_COLUMNS, "scores": _NUMBERS},
                    "references": {**_COLUMNS, "difficult": datasets.Sequence(datasets.Value("bool"))},
                }
            ),
        )

    def add(self, *, prediction: Any = None, reference: Any = None, **kwargs: Any) -> None:
        """Add one image."""
        super().add(prediction=_stored(prediction, "scores"), reference=_stored(reference, "difficult"), **kwargs)

    def add_batch(self, *, predictions: Any = None, references: Any = None, **kwargs: Any) -> None:
        """Add several images."""
        found = [_stored(item, "scores") for item in predictions]
        true = [_stored(item, "difficult") for item in references]
        super().add_batch(predictions=found, references=true, **kwargs)

    def _compute(
        self,
        predictions: Any,
        references: Any,
        protocol: Any = "dota",
        classes: Any = None,
        iou_thresholds: Any = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95),
        interpolation: Any = None,
        overlap: Any = None,
        strict: Any = None,
        difficult: Any = None,
        ties: Any = "random",
        repeats: Any = 10,
        seed: Any = 0,
    ) -> dict[str, Any]:
        return ap_nc(
            [_bare(item, "scores") for item in predictions],
            [_bare(item, "difficult") for item in references],
            protocol=protocol,
            classes=classes,
            iou_thresholds=iou_thresholds,
            interpolation=interpolation,
            overlap=overlap,
            strict=strict,
            difficult=difficult,
            ties=ties,
            repeats=repeats,
            seed=seed,
        )


def _stored(item: Any, optional: str) -> dict[str, Any]:
    """Return an item with all columns the table wants: what may be left out becomes an empty column."""
    if not isinstance(item, dict) or not {"boxes", "labels"} <= set(item):
        raise ValueError(f"an item is {item!r:.200}; give a dict with 'boxes' and 'labels'")
    column = item.get(optional)
    return {"boxes": item["boxes"], "labels": item["labels"], optional: [] if column is None else column}


def _bare(item: dict[str, Any], optional: str) -> dict[str, Any]:
    """Return an item without a column that was left out."""
    return {key: value for key, value in item.items() if key != optional or len(value) or not len(item["labels"])}
