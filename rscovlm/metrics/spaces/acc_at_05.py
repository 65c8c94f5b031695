"""Acc@0.5 of visual grounding as a Space."""

from __future__ import annotations

from typing import Any

from rscovlm.geometry import Boxes
from rscovlm.geometry.kinds import Kind
from rscovlm.metrics.grounding import grounding_accuracy
from rscovlm.metrics.picture import matches_svg
from rscovlm.metrics.spaces.citations import RSCOVLM
from rscovlm.metrics.spaces.space import MetricSpace, PageForm, Rows

_KINDS: dict[int, Kind] = {4: "hbb", 5: "obb", 8: "quad"}


def _features(datasets: Any) -> dict[str, Any]:
    box = datasets.Sequence(datasets.Value("float64"))
    return {"predictions": box, "references": box}


def _compute(predictions: Any, references: Any, **options: Any) -> dict[str, Any]:
    return grounding_accuracy([box if len(box) else None for box in predictions], references, **options)


def _evaluate(found: list[Any], true: list[Any], protocol: Any, number: int) -> tuple[Rows, str]:
    answered = [box or None for box in found]
    result = grounding_accuracy(answered, true, thresholds=(0.5, 0.7, 0.9), protocol=protocol)
    if not 0 <= number < len(true):
        raise ValueError(f"item is {number}; give a number from 0 to {len(true) - 1}")
    rows: Rows = [[f"Acc@{threshold}", f"{100 * value:.2f}"] for threshold, value in result["acc"].items()]
    rows += [["mean IoU", f"{100 * result['mean_iou']:.2f}"]]
    rows += [["items", str(result["items"])], ["without an answer", str(result["unanswered"])]]
    return rows, matches_svg(_drawn(answered[number]), _drawn(true[number]))


def _drawn(box: list[float] | None) -> dict[str, Any]:
    """Return a box as an item of detection, so that it can be drawn."""
    if box is None:
        return {"boxes": [], "labels": []}
    x1, y1, x2, y2 = box if len(box) == 4 else (0, 0, 1, 1)
    if x2 < x1 or y2 < y1:
        return {"boxes": [[x1, y1, x2, y1, x2, y2, x1, y2]], "labels": ["box"]}
    return {"boxes": Boxes([box], _KINDS[len(box)]).as_kind("quad").coords, "labels": ["box"]}


SPACE = MetricSpace(
    title="Acc@0.5",
    emoji="🎯",
    class_name="AccAt_05",
    metric=grounding_accuracy,
    compute=_compute,
    features=_features,
    store_prediction=lambda box: [] if box is None else box,
    summary="Accuracy of visual grounding for horizontal, oriented and quadrilateral boxes, at 0.5 and other overlaps.",
    about="""\
The share of referring expressions whose box the model puts where it belongs: the overlap (intersection over union) with the
true box exceeds 0.5. Boxes may be horizontal, oriented or quadrilaterals, on either side. An answer without a box is wrong
and counted apart.""",
    module="""\
Accuracy of visual grounding: the share of items whose one box overlaps the true one by more than 0.5 (or other
thresholds), for horizontal, oriented and quadrilateral boxes, with the mean overlap; answers that are missing are wrong
and counted apart. The reference system's protocol, its one-pixel rule included, is a named variant.""",
    usage="""\
result = module.compute(predictions=[[0, 0, 10, 10], []], references=[[0, 0, 10, 8], [5, 5, 9, 9]])
result["acc50"]""",
    value="0.5",
    inputs="""\
- **predictions**: one box per item: 4 numbers (x1 y1 x2 y2), 5 (cx cy w h and the angle of the width in degrees, y down) or 8
  (four corners); `[]` or `None` where the model gave none.
- **references**: one box per item, in the same pixels.
- **thresholds** (`(0.5,)`), **strict** (`True`: greater; `False`: greater or equal), **overlap** (`given` or `horizontal`),
  **protocol** (`plain`, or `rscovlm`: horizontal boxes, an intersection of one pixel or less counts as none).""",
    arguments="""\
predictions: one box per item: 4 numbers (x1 y1 x2 y2), 5 (cx cy w h angle in degrees) or 8 (four corners); [] or None
    where the model gave none.
references: one box per item, in the same pixels.""",
    output="""\
`acc50` and one entry per other threshold, `acc`, `mean_iou`, `mean_iou_answered`, `items`, `unanswered`, `iou` (per item),
`settings`. Shares are fractions between 0 and 1.""",
    returns="""\
acc50 (and one entry per other threshold), acc, mean_iou, mean_iou_answered, items, unanswered, iou, settings.""",
    papers="RSCoVLM reports an average of 65.92 % over five data sets (its table II).",
    limits="One box per item: expressions that mean several objects, or none, need another metric.",
    citation=RSCOVLM,
    page=PageForm(
        evaluate=_evaluate,
        headers=("value", "percent"),
        option="protocol",
        choices=("plain", "rscovlm"),
        example=(
            [[100, 100, 200, 180], [40, 40, 80, 80], None],
            [[102, 98, 204, 176], [70, 60, 130, 120], [10, 10, 60, 40]],
        ),
        item="item",
        legend={"matched": "overlaps by more than 0.5", "missed": "true box, not found", "false": "box that misses"},
    ),
)
