"""A page that evaluates pasted or dropped answers to LRS-VQA and shows which are right."""

import json
from html import escape
from typing import Any

import gradio as gr

from rscovlm.metrics import lrs_vqa_aa
from rscovlm.metrics.pages import read_list

_SHOWN = 200
_PREDICTIONS = json.dumps(["gray", "two", "a harbour"])
_REFERENCES = json.dumps(
    [
        {"answer": "grey", "category": "object color", "source": "FAIR_1"},
        {"answer": "2", "category": "count", "source": "FAIR_2"},
        {"answer": "bridge", "category": "object category", "source": "STAR_7"},
    ]
)


def column(items: list[Any], key: str) -> list[str]:
    """Return one column of the references."""
    for k, item in enumerate(items):
        if not isinstance(item, dict) or key not in item:
            raise ValueError(f"references[{k}] is {item!r:.200}; give answer, category and source")
    return [item[key] for item in items]


def listing(predictions: list[str], answers: list[str], correct: list[int]) -> str:
    """Return the answers as a list, right ones green and wrong ones red."""
    rows = list(zip(predictions, answers, correct, strict=True))[:_SHOWN]
    entries = [
        f'<li class="{"right" if hit else "wrong"}" style="color: {"#1a9641" if hit else "#d7191c"}">'
        f"{escape(mine) or '(empty)'} &mdash; {escape(true)}</li>"
        for mine, true, hit in rows
    ]
    return f"<ol>{''.join(entries)}</ol>"


def evaluate_page(
    predictions: str, references: str, found_file: str | None, true_file: str | None, normalisation: str
) -> tuple[list[list[Any]], str]:
    """Return the table and the list of answers."""
    try:
        found = read_list(predictions, found_file, "predictions")
        true = read_list(references, true_file, "references")
        answers = column(true, "answer")
        result = lrs_vqa_aa(
            found,
            answers,
            categories=column(true, "category"),
            sources=column(true, "source"),
            normalisation=normalisation,
        )
    except ValueError as error:
        raise gr.Error(str(error)) from None
    rows = [
        [
            "all",
            "",
            f"{100 * result['average_accuracy']:.2f}",
            f"{100 * result['overall_accuracy']:.2f}",
            result["items"],
        ]
    ]
    for source, entry in result["sources"].items():
        rows.append([source, "", f"{100 * entry['aa']:.2f}", f"{100 * entry['oa']:.2f}", entry["items"]])
        for category, row in entry["categories"].items():
            rows.append([source, category, "", f"{100 * row['accuracy']:.2f}", row["items"]])
    return rows, listing(found, answers, result["correct"])


with gr.Blocks(title="LRS-VQA AA") as page:
    gr.Markdown("# LRS-VQA average accuracy\nPaste two JSON lists or drop two files.")
    with gr.Row():
        with gr.Column():
            predictions = gr.Textbox(_PREDICTIONS, label="Predictions (JSON)", lines=6, elem_id="predictions")
            found_file = gr.File(label="Predictions file", type="filepath", elem_id="predictions_file")
        with gr.Column():
            references = gr.Textbox(_REFERENCES, label="References (JSON)", lines=6, elem_id="references")
            true_file = gr.File(label="References file", type="filepath", elem_id="references_file")
    normalisation = gr.Radio(["official", "rscovlm"], value="official", label="Normalisation")
    button = gr.Button("Evaluate", elem_id="evaluate", variant="primary")
    headers = ["source", "category", "AA", "accuracy", "questions"]
    results = gr.Dataframe(headers=headers, label="Result", elem_id="results", interactive=False)
    picture = gr.HTML(label="Right (green) and wrong (red) answers", elem_id="picture")
    button.click(evaluate_page, [predictions, references, found_file, true_file, normalisation], [results, picture])

if __name__ == "__main__":
    page.launch()
