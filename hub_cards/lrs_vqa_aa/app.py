"""A page that evaluates pasted or dropped answers to LRS-VQA and shows which are right, and where they asked about.

A reference may carry `hbox`, the box its question is about, as LRS-VQA's own files do: boxes of right answers are drawn as
matched, those of wrong ones as missed. A prediction may be `{"answer": ..., "hbox": [...]}` where a model also says where
it looked: such boxes are matched with the true ones of the same question, and are drawn as false where they miss them.
"""

import json
from html import escape
from typing import Any

import gradio as gr

from rscovlm.metrics import lrs_vqa_aa, matches_svg
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


def answer_of(items: list[Any]) -> list[Any]:
    """Return the answers alone of predictions that may also say where they looked."""
    return [item.get("answer", "") if isinstance(item, dict) else item for item in items]


def boxes_svg(predictions: list[Any], references: list[Any], correct: list[int]) -> str:
    """Draw the boxes that items carry, one class per question; nothing where none does."""
    found: dict[str, list[Any]] = {"boxes": [], "labels": []}
    true: dict[str, list[Any]] = {"boxes": [], "labels": []}
    rows = list(zip(predictions, references, correct, strict=True))[:_SHOWN]
    looked = any(isinstance(mine, dict) and mine.get("hbox") for mine, _, _ in rows)
    for k, (mine, reference, hit) in enumerate(rows):
        label = f"{k}: {reference['answer']}"
        if reference.get("hbox"):
            true["boxes"].append(corners(reference["hbox"], f"references[{k}]"))
            true["labels"].append(label)
        # Without boxes of the model's own, a right answer stands for the box it was asked about.
        box = (
            (mine.get("hbox") if isinstance(mine, dict) else None) if looked else reference.get("hbox") if hit else None
        )
        if box:
            found["boxes"].append(corners(box, f"predictions[{k}]"))
            found["labels"].append(label)
    return matches_svg(found, true) if found["boxes"] or true["boxes"] else ""


def corners(box: Any, name: str) -> list[float]:
    """Return the four corners of x1, y1, x2, y2."""
    if not isinstance(box, list) or len(box) != 4 or not all(isinstance(x, (int, float)) for x in box):
        raise ValueError(f"{name} has hbox {box!r:.200}; give x1, y1, x2, y2 in pixels")
    x1, y1, x2, y2 = box
    return [x1, y1, x2, y1, x2, y2, x1, y2]


def evaluate_page(
    predictions: str, references: str, found_file: str | None, true_file: str | None, normalisation: str
) -> tuple[list[list[Any]], str]:
    """Return the table and the list of answers."""
    try:
        found = read_list(predictions, found_file, "predictions")
        true = read_list(references, true_file, "references")
        answers = column(true, "answer")
        told = answer_of(found)
        result = lrs_vqa_aa(
            told,
            answers,
            categories=column(true, "category"),
            sources=column(true, "source"),
            normalisation=normalisation,
        )
        drawing = boxes_svg(found, true, result["correct"])
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
    return rows, drawing + listing(told, answers, result["correct"])


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
    picture = gr.HTML(
        label="Right (green) and wrong (red) answers, and boxes where items carry hbox", elem_id="picture"
    )
    button.click(evaluate_page, [predictions, references, found_file, true_file, normalisation], [results, picture])

if __name__ == "__main__":
    page.launch()
