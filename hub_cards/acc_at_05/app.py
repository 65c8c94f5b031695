"""A page that evaluates pasted or dropped grounding answers and shows one of them."""

import json
from typing import Any

import gradio as gr

from rscovlm.geometry import Boxes
from rscovlm.metrics import grounding_accuracy, matches_svg
from rscovlm.metrics.pages import read_list

_KINDS = {4: "hbb", 5: "obb", 8: "quad"}
_PREDICTIONS = json.dumps([[100, 100, 200, 180], [40, 40, 80, 80], None])
_REFERENCES = json.dumps([[102, 98, 204, 176], [70, 60, 130, 120], [10, 10, 60, 40]])


def drawn(box: list[float] | None) -> dict[str, Any]:
    """Return a box as an item of detection, so that it can be drawn."""
    if box is None:
        return {"boxes": [], "labels": []}
    x1, y1, x2, y2 = box if len(box) == 4 else (0, 0, 1, 1)
    if x2 < x1 or y2 < y1:
        return {"boxes": [[x1, y1, x2, y1, x2, y2, x1, y2]], "labels": ["box"]}
    return {"boxes": Boxes([box], _KINDS[len(box)]).as_kind("quad").coords, "labels": ["box"]}


def evaluate_page(
    predictions: str, references: str, found_file: str | None, true_file: str | None, protocol: str, item: float
) -> tuple[list[list[Any]], str]:
    """Return the table and the picture of one item."""
    try:
        found = [box or None for box in read_list(predictions, found_file, "predictions")]
        true = read_list(references, true_file, "references")
        result = grounding_accuracy(found, true, thresholds=(0.5, 0.7, 0.9), protocol=protocol)
        number = int(item)
        if not 0 <= number < len(true):
            raise ValueError(f"item is {number}; give a number from 0 to {len(true) - 1}")
        picture = matches_svg(drawn(found[number]), drawn(true[number]))
    except ValueError as error:
        raise gr.Error(str(error)) from None
    rows = [[f"Acc@{threshold}", f"{100 * value:.2f}"] for threshold, value in result["acc"].items()]
    rows += [["mean IoU", f"{100 * result['mean_iou']:.2f}"]]
    rows += [["items", str(result["items"])], ["without an answer", str(result["unanswered"])]]
    return rows, picture


with gr.Blocks(title="Acc@0.5") as page:
    gr.Markdown("# Acc@0.5\nAccuracy of visual grounding. Paste two JSON lists or drop two files.")
    with gr.Row():
        with gr.Column():
            predictions = gr.Textbox(_PREDICTIONS, label="Predictions (JSON)", lines=6, elem_id="predictions")
            found_file = gr.File(label="Predictions file", type="filepath", elem_id="predictions_file")
        with gr.Column():
            references = gr.Textbox(_REFERENCES, label="References (JSON)", lines=6, elem_id="references")
            true_file = gr.File(label="References file", type="filepath", elem_id="references_file")
    with gr.Row():
        protocol = gr.Radio(["plain", "rscovlm"], value="plain", label="Protocol")
        item = gr.Number(0, precision=0, label="Item to draw")
    button = gr.Button("Evaluate", elem_id="evaluate", variant="primary")
    results = gr.Dataframe(headers=["value", "percent"], label="Result", elem_id="results", interactive=False)
    picture = gr.HTML(label="Matched (green), missed (blue, dashed), false (red)", elem_id="picture")
    button.click(evaluate_page, [predictions, references, found_file, true_file, protocol, item], [results, picture])

if __name__ == "__main__":
    page.launch()
