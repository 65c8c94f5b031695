"""AP_nc as a Space."""

from __future__ import annotations

from numbers import Integral
from typing import Any

from rscovlm.metrics.ap_nc import ap_nc
from rscovlm.metrics.picture import matches_svg
from rscovlm.metrics.spaces.citations import LMMROTATE
from rscovlm.metrics.spaces.space import MetricSpace, PageForm, Rows

_SQUARE = [100, 100, 200, 100, 200, 180, 100, 180]
_FOUND = {"boxes": [_SQUARE, [300, 100, 340, 100, 340, 140, 300, 140]], "labels": ["ship", "ship"]}
_TRUE = {"boxes": [_SQUARE, [120, 240, 180, 240, 180, 280, 120, 280]], "labels": ["ship", "plane"]}


def _features(datasets: Any) -> dict[str, Any]:
    numbers = datasets.Sequence(datasets.Value("float64"))
    shared = {"boxes": datasets.Sequence(numbers), "labels": datasets.Sequence(datasets.Value("string"))}
    flags = datasets.Sequence(datasets.Value("bool"))
    return {"predictions": {**shared, "scores": numbers}, "references": {**shared, "difficult": flags}}


def _stored(item: Any, optional: str) -> dict[str, Any]:
    """Return an item with the columns the table wants: what may be left out becomes an empty column, others go.

    No answer (None) finds nothing.
    """
    if item is None and optional == "scores":
        item = {"boxes": [], "labels": []}
    if not isinstance(item, dict) or not {"boxes", "labels"} <= set(item):
        raise ValueError(f"an item is {item!r:.200}; give a dict with 'boxes' and 'labels'")
    column = item.get(optional)
    # A table has one type a column: numbers of classes become their names.
    labels = [str(label) if isinstance(label, Integral) else label for label in item["labels"]]
    return {"boxes": item["boxes"], "labels": labels, optional: [] if column is None else column}


def _bare(item: dict[str, Any], optional: str) -> dict[str, Any]:
    """Return an item without a column that was left out."""
    return {key: value for key, value in item.items() if key != optional or len(value) or not len(item["labels"])}


def _compute(predictions: Any, references: Any, **options: Any) -> dict[str, Any]:
    found, true = [_bare(item, "scores") for item in predictions], [_bare(item, "difficult") for item in references]
    return ap_nc(found, true, **options)


def _evaluate(found: list[Any], true: list[Any], protocol: Any, number: int) -> tuple[Rows, str]:
    result = ap_nc(found, true, protocol=protocol)
    if not 0 <= number < len(true):
        raise ValueError(f"image is {number}; give a number from 0 to {len(true) - 1}")
    rows = [_row("all", result, result["mf1"], result["counts"])]
    rows += [_row(name, row, row["f150"], row) for name, row in result["per_class"].items()]
    return rows, matches_svg(found[number], true[number], protocol=protocol)


def _row(name: str, values: dict[str, Any], f1: float, counts: dict[str, int]) -> list[Any]:
    headline = [f"{100 * values[key]['mean']:.2f} ± {100 * values[key]['std']:.2f}" for key in ("ap_nc50", "ap_nc75")]
    mean = values["ap_nc50_95"]["mean"]
    return [name, *headline, f"{100 * mean:.2f}", f"{100 * f1:.2f}", counts["true"], counts["found"]]


SPACE = MetricSpace(
    title="AP_nc",
    emoji="🛰️",
    class_name="ApNc",
    metric=ap_nc,
    compute=_compute,
    features=_features,
    store_prediction=lambda item: _stored(item, "scores"),
    store_reference=lambda item: _stored(item, "difficult"),
    summary="Average precision of oriented detections without confidence, order-free, under DOTA's and the RSCoVLM paper's protocols.",
    about="""\
Average precision ranks boxes by confidence. A language model that writes its boxes as text has no confidence, so any order
is as good as another, and with equal scores the value depends on the order in which boxes happen to stand: the same boxes
can score 0.51 or 0.82. AP_nc shuffles the boxes and takes the mean. Here the shuffles follow from the boxes' content, so
the value is the same for any order of images and rows, on any machine.""",
    module="""\
Average precision of oriented detections that carry no confidence (AP_nc), as language models give them: the mean over
random orders of the boxes, the same for any order of images and rows. Standard AP comes out beside it where there are
scores. Protocols of DOTA's development kit and of the RSCoVLM paper's code.""",
    usage="""\
square = [[0, 0, 10, 0, 10, 10, 0, 10]]
item = {"boxes": square, "labels": ["ship"]}
result = module.compute(predictions=[item], references=[item])
result["ap_nc50"]["mean"]""",
    value="1.0",
    inputs="""\
- **predictions**: one item per image: `boxes` (n rows of x1 y1 ... x4 y4 in pixels), `labels` (n names) and, in all items or
  in none, `scores` (n numbers: standard AP then comes out beside AP_nc). Labels may be numbers of classes; None is no answer,
  which finds nothing. Other keys are left out.
- **references**: one item per image, the same, with `difficult` (n flags) where there are any.
- **protocol**: `dota` (quadrilaterals, IoU > t, difficult ignored, 11 points) or `rscovlm` (rectangles of smallest area,
  IoU >= t, difficult counted, 11 points). `interpolation`, `overlap`, `strict` and `difficult` override it.
- **classes**, **iou_thresholds** (0.50 to 0.95 by 0.05), **ties** (`random` or `stable`), **repeats** (10), **seed** (0).""",
    arguments="""\
predictions: one item per image, {"boxes": n rows of x1 y1 ... x4 y4 in pixels, "labels": n names}, and, in all items
    or in none, "scores": n numbers.
references: one item per image, the same with, where there are any, "difficult": n flags.""",
    output="""\
`ap_nc50`, `ap_nc75` and `ap_nc50_95`, each with mean, standard deviation, minimum and maximum over the shuffles;
`ap50` and so on for real scores; `per_class`; one-to-one `mf1`, `precision`, `recall`; `constant_score` (the values for the
order given, the only ones that depend on it); `counts`; `degenerate`; `settings`. All are fractions between 0 and 1.""",
    returns="""\
ap_nc50, ap_nc75, ap_nc50_95, ap_nc: mean, std, min and max over the orders; per_class, thresholds, mf1, precision,
    recall, constant_score, counts, degenerate, settings.""",
    papers="RSCoVLM reports AP_nc50 / 75 / 50:95 of 51.27 / 25.75 / 27.60 on the test set of DOTA-v1.0 (its table III).",
    limits="""\
The standard deviation over shuffles is not the uncertainty of the value: on sets of few images bootstrap the images
(`rscovlm.metrics.bootstrap`). Detectors that do have scores need their threshold chosen on another split before AP_nc is
fair to them (`rscovlm.metrics.calibrate_threshold`).""",
    citation=LMMROTATE,
    page=PageForm(
        evaluate=_evaluate,
        headers=("class", "AP_nc50", "AP_nc75", "AP_nc50:95", "F1 at 0.5", "true", "found"),
        option="protocol",
        choices=("dota", "rscovlm"),
        example=([_FOUND], [_TRUE]),
        item="image",
        legend={"matched": "found and true", "missed": "true, not found", "false": "found, not true"},
    ),
)
