"""A page that evaluates pasted or dropped detections and shows what was matched, missed and false."""

import json
from typing import Any

import gradio as gr

from rscovlm.metrics import ap_nc, matches_svg
from rscovlm.metrics.pages import read_list

_SQUARE = [[100, 100, 200, 100, 200, 180, 100, 180]]
_PREDICTIONS = json.dumps([{"boxes": [*_SQUARE, [300, 100, 340, 100, 340, 140, 300, 140]], "labels": ["ship", "ship"]}])
_REFERENCES = json.dumps([{"boxes": [*_SQUARE, [120, 240, 180, 240, 180, 280, 120, 280]], "labels": ["ship", "plane"]}])


def table(result: dict[str, Any]) -> list[list[Any]]:
    """Return the rows of the page's table: all classes together, then each."""
    rows = [_row("all", result, result["mf1"], result["counts"])]
    for name, row in result["per_class"].items():
        rows.append(_row(name, row, row["f150"], row))
    return rows


def _row(name: str, values: dict[str, Any], f1: float, counts: dict[str, int]) -> list[Any]:
    headline = [f"{100 * values[key]['mean']:.2f} ± {100 * values[key]['std']:.2f}" for key in ("ap_nc50", "ap_nc75")]
    mean = values["ap_nc50_95"]["mean"]
    return [name, *headline, f"{100 * mean:.2f}", f"{100 * f1:.2f}", counts["true"], counts["found"]]


def evaluate_page(
    predictions: str, references: str, found_file: str | None, true_file: str | None, protocol: str, image: float
) -> tuple[list[list[Any]], str]:
    """Return the table and the picture of one image."""
    try:
        found = read_list(predictions, found_file, "predictions")
        true = read_list(references, true_file, "references")
        result = ap_nc(found, true, protocol=protocol)
        number = int(image)
        if not 0 <= number < len(true):
            raise ValueError(f"image is {number}; give a number from 0 to {len(true) - 1}")
        picture = matches_svg(found[number], true[number], protocol=protocol)
    except ValueError as error:
        raise gr.Error(str(error)) from None
    return table(result), picture


with gr.Blocks(title="AP_nc") as page:
    gr.Markdown("# AP_nc\nAverage precision of detections without confidence. Paste two JSON lists or drop two files.")
    with gr.Row():
        with gr.Column():
            predictions = gr.Textbox(_PREDICTIONS, label="Predictions (JSON)", lines=6, elem_id="predictions")
            found_file = gr.File(label="Predictions file", type="filepath", elem_id="predictions_file")
        with gr.Column():
            references = gr.Textbox(_REFERENCES, label="References (JSON)", lines=6, elem_id="references")
            true_file = gr.File(label="References file", type="filepath", elem_id="references_file")
    with gr.Row():
        protocol = gr.Radio(["dota", "rscovlm"], value="dota", label="Protocol")
        image = gr.Number(0, precision=0, label="Image to draw")
    button = gr.Button("Evaluate", elem_id="evaluate", variant="primary")
    headers = ["class", "AP_nc50", "AP_nc75", "AP_nc50:95", "F1 at 0.5", "true", "found"]
    results = gr.Dataframe(headers=headers, label="Result", elem_id="results", interactive=False)
    picture = gr.HTML(label="Matched (green), missed (blue, dashed), false (red)", elem_id="picture")
    button.click(evaluate_page, [predictions, references, found_file, true_file, protocol, image], [results, picture])

if __name__ == "__main__":
    page.launch()
