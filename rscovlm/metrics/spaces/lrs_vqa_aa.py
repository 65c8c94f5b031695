"""LRS-VQA's average accuracy as a Space.

On the page a reference may carry `hbox`, the box its question is about, as LRS-VQA's own files do: boxes of right answers are drawn
as matched, those of wrong ones as missed. A prediction may be `{"answer": ..., "hbox": [...]}` where a model also says where it
looked: such boxes are matched with the true ones of the same question, and are drawn as false where they miss them.
"""

from __future__ import annotations

from html import escape
from numbers import Integral
from typing import Any

from rscovlm.metrics.lrs_vqa import lrs_vqa_aa
from rscovlm.metrics.picture import COLOURS, matches_svg
from rscovlm.metrics.spaces.citations import RSCOVLM
from rscovlm.metrics.spaces.space import MetricSpace, PageForm, Rows

_SHOWN = 200
_KEYS = ("answer", "category", "source")


def _features(datasets: Any) -> dict[str, Any]:
    text = datasets.Value("string")
    return {"predictions": text, "references": dict.fromkeys(_KEYS, text)}


def _checked(item: Any) -> dict[str, str]:
    if not isinstance(item, dict) or not {*_KEYS} <= set(item) or any(item[key] is None for key in _KEYS):
        raise ValueError(f"a reference is {item!r:.200}; give a dict with 'answer', 'category' and 'source'")
    return {key: str(item[key]) for key in _KEYS}


def _answer(item: Any) -> Any:
    """Return an answer as text: none is empty, which is right nowhere, and a number is its digits."""
    return "" if item is None else str(item) if isinstance(item, Integral) else item


def _compute(predictions: Any, references: Any, **options: Any) -> dict[str, Any]:
    answers, categories, sources = ([item[key] for item in references] for key in _KEYS)
    return lrs_vqa_aa(predictions, answers, categories=categories, sources=sources, **options)


def _evaluate(found: list[Any], true: list[Any], normalisation: Any, number: int) -> tuple[Rows, str]:
    answers, categories, sources = (_column(true, key) for key in _KEYS)
    stated = [item.get("answer", "") if isinstance(item, dict) else item for item in found]
    result = lrs_vqa_aa(stated, answers, categories=categories, sources=sources, normalisation=normalisation)
    drawing = _boxes_svg(found, true, result["correct"])
    total = [f"{100 * result[key]:.2f}" for key in ("average_accuracy", "overall_accuracy")]
    rows: Rows = [["all", "", *total, result["items"]]]
    for source, entry in result["sources"].items():
        rows.append([source, "", f"{100 * entry['aa']:.2f}", f"{100 * entry['oa']:.2f}", entry["items"]])
        for category, row in entry["categories"].items():
            rows.append([source, category, "", f"{100 * row['accuracy']:.2f}", row["items"]])
    return rows, drawing + _listing(stated, answers, result["correct"])


def _column(items: list[Any], key: str) -> list[str]:
    """Return one column of the references."""
    for k, item in enumerate(items):
        if not isinstance(item, dict) or key not in item:
            raise ValueError(f"references[{k}] is {item!r:.200}; give answer, category and source")
    return [item[key] for item in items]


def _listing(predictions: list[str], answers: list[str], correct: list[int]) -> str:
    """Return the answers as a list, right and wrong ones marked by colour and by a sign."""
    rows = list(zip(predictions, answers, correct, strict=True))[:_SHOWN]
    entries = [
        f'<li class="{"right" if hit else "wrong"}" style="color: {COLOURS["matched" if hit else "false"]}">'
        f"{'✓' if hit else '✗'} {escape(mine) or '(empty)'} &mdash; {escape(true)}</li>"
        for mine, true, hit in rows
    ]
    return f"<ol>{''.join(entries)}</ol>"


def _boxes_svg(predictions: list[Any], references: list[Any], correct: list[int]) -> str:
    """Draw the boxes that items carry, one class per question; nothing where none does."""
    found: dict[str, list[Any]] = {"boxes": [], "labels": []}
    true: dict[str, list[Any]] = {"boxes": [], "labels": []}
    rows = list(zip(predictions, references, correct, strict=True))[:_SHOWN]
    looked = any(isinstance(mine, dict) and mine.get("hbox") for mine, _, _ in rows)
    for k, (mine, reference, hit) in enumerate(rows):
        label = f"{k}: {reference['answer']}"
        asked = reference.get("hbox")
        # Without boxes of the model's own, a right answer stands for the box it was asked about.
        box = (mine.get("hbox") if isinstance(mine, dict) else None) if looked else asked if hit else None
        for side, corners, name in ((true, asked, f"references[{k}]"), (found, box, f"predictions[{k}]")):
            if corners:
                side["boxes"].append(_corners(corners, name))
                side["labels"].append(label)
    return matches_svg(found, true) if found["boxes"] or true["boxes"] else ""


def _corners(box: Any, name: str) -> list[float]:
    """Return the four corners of x1, y1, x2, y2."""
    if not isinstance(box, list) or len(box) != 4 or not all(isinstance(x, (int, float)) for x in box):
        raise ValueError(f"{name} has hbox {box!r:.200}; give x1, y1, x2, y2 in pixels")
    x1, y1, x2, y2 = box
    return [x1, y1, x2, y1, x2, y2, x1, y2]


SPACE = MetricSpace(
    title="LRS-VQA AA",
    emoji="🔍",
    class_name="LrsVqaAa",
    metric=lrs_vqa_aa,
    compute=_compute,
    features=_features,
    store_prediction=_answer,
    store_reference=_checked,
    summary="Average accuracy of LRS-VQA, questions about very large overhead images, without NLTK and without a download.",
    about="""\
LRS-VQA asks short questions about overhead images of thousands of pixels a side. An answer is right if it equals the true
one or shares a WordNet synset with it ("gray" and "grey", "2" and "two"). A source's average accuracy (AA) is the mean over its
categories of questions; the headline is the mean over the sources, as in table I of the RSCoVLM paper.""",
    module="""\
Average accuracy (AA) and overall accuracy (OA) of LRS-VQA, questions about very large overhead images: an answer is
right if it equals the true one or shares a WordNet synset with it; AA is the mean over categories, the headline the mean
over sources. The official normalisation and the reference system's; no NLTK and no download.""",
    usage="""\
reference = {"answer": "grey", "category": "object color", "source": "FAIR_12"}
result = module.compute(predictions=["gray"], references=[reference])
result["average_accuracy"]""",
    value="1.0",
    inputs="""\
- **predictions**: one answer per question; None is none, and right nowhere.
- **references**: one dict per question: `answer`, `category` and `source`, other keys are left out (the source's name, or the question's identifier:
  what stands before its first underscore counts).
- **normalisation**: `official` (lower case alone: "yes." is wrong) or `rscovlm` (blanks and periods around go too).

The page also draws boxes where references carry `hbox` (x1, y1, x2, y2 in pixels, as LRS-VQA's files have it): of right answers
as matched, of wrong ones as missed. Where predictions are `{"answer": ..., "hbox": [...]}` it draws those, matched or false.""",
    arguments="""\
predictions: one answer per question.
references: one dict per question: "answer", "category", and "source" (its name, or the question's identifier).""",
    output="""\
`average_accuracy`, `overall_accuracy`, `sources` (each with `aa`, `oa` and its categories), `categories`,
`pooled_category_accuracy`, `items`, `correct` (per question), `settings`. Values are fractions between 0 and 1.""",
    returns="""\
average_accuracy, overall_accuracy, sources, categories, pooled_category_accuracy, items, correct, settings.""",
    papers="RSCoVLM reports 33.85 %, and 45.71 % with its zoom (the mean of the AA of FAIR, STAR and GLH-Bridge).",
    limits="Answers of several words match only as they are. Words of several meanings match through any of them.",
    citation=RSCOVLM,
    page=PageForm(
        evaluate=_evaluate,
        headers=("source", "category", "AA", "accuracy", "questions"),
        option="normalisation",
        choices=("official", "rscovlm"),
        example=(
            ["gray", "two", "a harbour"],
            [
                {"answer": "grey", "category": "object color", "source": "FAIR_1"},
                {"answer": "2", "category": "count", "source": "FAIR_2"},
                {"answer": "bridge", "category": "object category", "source": "STAR_7"},
            ],
        ),
        item=None,
        legend={
            "matched": "right answer, or its box",
            "missed": "box of a wrong answer",
            "false": "wrong answer, or a box that misses",
        },
    ),
    licence="The synonyms come from WordNet 3.0, copyright 2006 by Princeton University; its licence is shipped with `rscovlm`.",
)
