"""The page of a metric's Space: empty inputs first, then a picture with its legend, then the table."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from typing import Any

from rscovlm.metrics.pages import read_list
from rscovlm.metrics.picture import COLOURS, DASHES
from rscovlm.metrics.spaces.files import metric_space
from rscovlm.metrics.spaces.space import PageForm

# The legend has the counts that the picture writes below itself, where they shrink with it; so would lines.
_STYLE = "<style>#picture svg text { display: none } #picture svg * { vector-effect: non-scaling-stroke }</style>"
_TABLE = """<style>#results table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
#results :is(table, tr, th, td) { border: 0 !important }
#results th, #results td { padding: 6px 10px; text-align: left; border-bottom: 1px solid var(--border-color-primary) !important }
@media (max-width: 600px) {
  #results table, #results tbody, #results td { display: block } #results thead { display: none }
  #results tr { display: block; padding: 6px 0; border-bottom: 1px solid var(--border-color-primary) !important }
  #results td { display: flex; justify-content: space-between; border: 0 !important; padding: 2px 0 }
  #results td:first-child { font-weight: 600 } #results td::before { content: attr(data-name); opacity: .7; font-weight: 400 }
}</style>"""
"""In a narrow window rows are cards, so that no column is out of sight."""

_WHAT = {"predictions": "what the model answered", "references": "what is true"}


def metric_page(name: str) -> Any:
    """Return the page of a metric as `gradio.Blocks`; needs the extra `spaces`.

    Raises:
        ModuleNotFoundError: gradio is not installed.
        ValueError: No such Space exists.
    """
    import gradio as gr

    space = metric_space(name)
    form = space.page

    def run(found: str, true: str, found_file: str | None, true_file: str | None, choice: str, number: float) -> Any:
        try:
            items = read_list(found, found_file, "predictions"), read_list(true, true_file, "references")
            rows, picture = form.evaluate(*items, choice, int(number))
        except ValueError as error:
            raise gr.Error(str(error)) from None
        return table_html(
            form.headers, rows
        ), f'{_STYLE}{legend_html(form, picture)}<div class="drawing">{picture}</div>'

    example = [json.dumps(items) for items in form.example]
    with gr.Blocks(title=space.title) as page:
        gr.Markdown(
            # Written so, "Acc@0.5" is no address of a letter.
            f"# {space.title.replace('@', '&#64;')}\n{space.summary}\n\nPaste two JSON lists or drop two files; the card says what is in them."
        )
        texts, dropped = [], []
        with gr.Row():
            for side, text in zip(("predictions", "references"), example, strict=True):
                with gr.Column(min_width=280):
                    label = f"{side.capitalize()} (JSON): {_WHAT[side]}"
                    texts.append(gr.Textbox("", placeholder=text, label=label, lines=4, max_lines=12, elem_id=side))
                    dropped.append(
                        gr.File(label=f"{side.capitalize()} file", type="filepath", height=150, elem_id=f"{side}_file")
                    )
        with gr.Row():
            choice = gr.Radio(list(form.choices), value=form.choices[0], label=form.option.capitalize())
            number = gr.Number(
                0, precision=0, label=f"{(form.item or 'item').capitalize()} to draw", visible=form.item is not None
            )
        with gr.Row():
            filled = gr.Button("Fill in an example", elem_id="example")
            button = gr.Button("Evaluate", elem_id="evaluate", variant="primary")
        picture = gr.HTML(elem_id="picture")
        results = gr.HTML(elem_id="results")
        filled.click(lambda: example, None, texts, show_progress="hidden")
        button.click(run, [*texts, *dropped, choice, number], [results, picture])
    return page


def table_html(headers: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return the table of results, of which a narrow window shows every column.

    >>> table_html(["class", "AP"], [["ship", 40.0]]).count('data-name="AP"')
    1
    """
    names = [html.escape(name) for name in headers]
    lines = [
        "".join(f'<td data-name="{name}">{html.escape(str(cell))}</td>' for name, cell in zip(names, row, strict=True))
        for row in rows
    ]
    head = "".join(f"<th>{name}</th>" for name in names)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f"{_TABLE}<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def legend_html(form: PageForm, picture: str = "") -> str:
    """Return the legend of a page's picture: each line as it is drawn, what it means, and how many boxes are so.

    >>> from rscovlm.metrics.spaces.files import metric_space
    >>> legend_html(metric_space("ap_nc").page).count("<svg")
    3
    """
    keys = []
    for mark, meaning in form.legend.items():
        line = (
            f'<line x1="1" y1="7" x2="33" y2="7" stroke="{COLOURS[mark]}" stroke-width="3" '
            f'stroke-dasharray="{DASHES.get(mark, "none")}"/>'
        )
        drawn = picture.count(f'<polygon class="{mark}"')
        number = f" ({drawn})" if "<polygon" in picture else ""
        keys.append(
            '<span style="display: inline-flex; align-items: center; gap: 6px; margin-right: 18px">'
            f'<svg class="key" width="34" height="14" aria-hidden="true">{line}</svg>{mark}: {meaning}{number}</span>'
        )
    return f'<div class="legend" style="display: flex; flex-wrap: wrap; margin-bottom: 8px">{"".join(keys)}</div>'
