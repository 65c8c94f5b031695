"""A page of the worst cases of a run, drawn: what was asked, what is true, what was answered."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from rscovlm.benchmarks.answers import merged_rows
from rscovlm.benchmarks.box_scores import BoxScorer
from rscovlm.benchmarks.items import BenchmarkItem
from rscovlm.benchmarks.scoring import filled_scorer, run_settings_of
from rscovlm.benchmarks.suite import Suite
from rscovlm.benchmarks.word_scores import credit_of
from rscovlm.codec.dialect import Dialect
from rscovlm.exports.data_url import data_url
from rscovlm.exports.drawing import draw_objects, draw_rings
from rscovlm.exports.page_style import html_page
from rscovlm.files import mark
from rscovlm.geometry import Boxes, Frame, Objects
from rscovlm.geometry.masks import Mask
from rscovlm.metrics import match_boxes
from rscovlm.metrics.captions import caption_counts
from rscovlm.rasters import View
from rscovlm.records import ImageRef
from rscovlm.records.views import load_image

_PIXELS, _SIDE, _MOST = 420 * 420, 336, 4
"""Pixels of a picture, the longer side that a small one is enlarged to, and pictures of a case."""

_COLOURS = {"true": "#56b4e9", "answer": "#e69f00"}
"""Blue and orange, which readers who do not tell red from green tell apart."""

Row = Mapping[str, Any]


def worst_cases(folder: Path, run: str, suite: Suite, items: Sequence[BenchmarkItem], *, count: int = 24) -> str:
    """Return a page of the worst answers of a run, which needs nothing from elsewhere.

    Worst are the lowest overlaps of grounding, the lowest IoU of masks, the lowest F1 of detection at IoU 0.5, the lowest CIDEr of
    captions, and wrong answers in words, spread over the columns.

    Args:
        folder: Folder of the run.
        run: Name of its files.
        suite: The benchmark.
        items: Its items, for their pictures.
        count: Cases shown.

    Raises:
        ValueError: The files are none of ours.
    """
    known = {item.id: item for item in items}
    rows = [row for row in _worst(folder, run, suite) if row["item"] in known][: max(0, count)]
    parts = [_case(row, known[row["item"]], suite, run_settings_of(folder, run)) for row in rows]
    style = (
        ".cases{display:grid;gap:1.2em;grid-template-columns:repeat(auto-fill,minmax(min(300px,100%),1fr))}figure{margin:0;min-width:0}"
        "img{max-width:100%;display:block;margin-bottom:.3em}figcaption{overflow-wrap:anywhere;font-size:.9rem}b{color:var(--good)}"
        "i{color:var(--warm);font-style:normal}"
    )
    title = f"Worst cases: {suite.title}"
    body = (
        f"<h1>{html.escape(title)}</h1><p><b>Blue</b> is true, <i>orange</i> is answered.</p>"
        f'<div class="cases">{"".join(parts)}</div>'
    )
    return html_page(title, body, mark("evaluation"), style)


def _worst(folder: Path, run: str, suite: Suite) -> Iterator[Row]:
    settings = run_settings_of(folder, run)
    rule = suite.protocol.rule
    rows = [row for row in merged_rows(folder, run) if "error" not in row]
    if suite.protocol.scoring == "words":
        wrong = [
            row
            for row in rows
            if not credit_of(rule, row["answer"], row["truth"]["answer"], row["truth"].get("choices", ()))
        ]
        yield from _spread(wrong)
    elif suite.protocol.scoring == "boxes":
        scorer = filled_scorer(folder, run, suite, settings, (rule,), keep_items=True)
        if isinstance(scorer, BoxScorer):
            scorer.settle()
            yield from sorted(rows, key=lambda row: scorer.overlaps.get(row["item"], 0.0))
    elif suite.protocol.scoring == "captions":
        kept = [row for row in rows if any(text.strip() for text in row["truth"].get("captions", ()))]
        scores = caption_counts([row["answer"] for row in kept], [row["truth"]["captions"] for row in kept]).cider
        yield from (kept[place] for place in scores.argsort(kind="stable"))
    elif suite.protocol.scoring == "masks":
        yield from sorted(rows, key=lambda row: row["shared"] / row["union"] if row["union"] else 1.0)
    else:
        yield from sorted(rows, key=_f1)


def _spread(rows: Sequence[Row]) -> Iterator[Row]:
    """Yield rows column by column in turn."""
    columns: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        columns.setdefault((row["column"], row.get("within", "")), []).append(row)
    for place in range(max(map(len, columns.values()), default=0)):
        yield from (some[place] for some in columns.values() if place < len(some))


def _f1(row: Row) -> float:
    """Return the F1 of an image at IoU 0.5: 2 right boxes over found and true ones; 1 where there is nothing."""
    found, true = _quads(row["objects"]), row["truth"]
    if not found["labels"] and not true["labels"]:
        return 1.0
    side = {key: true[key] for key in ("boxes", "labels")}
    matched = match_boxes(found, side)["matched"]
    return 2 * len(matched) / (len(found["labels"]) + len(true["labels"]))


def _quads(objects: Iterable[Row]) -> dict[str, list[Any]]:
    rows = list(objects)
    boxes = [Boxes([one["box"]], one["kind"], None).as_kind("quad").coords[0].tolist() for one in rows]
    return {"boxes": boxes, "labels": [one["label"] for one in rows]}


def _case(row: Row, item: BenchmarkItem, suite: Suite, settings: Mapping[str, Any]) -> str:
    try:
        first, *others = (_picture(image, item.root) for image in item.record.images[:_MOST])
        drawn = [_drawn(first, row, suite, settings), *others]
        shown = "".join(f'<img alt="" src="{data_url(one.convert("RGB"), "JPEG", quality=85)}">' for one in drawn)
    except (ValueError, OSError, SyntaxError) as error:  # the file may have gone since
        shown = f"<p>{html.escape(str(error))}</p>"
    truth = row["truth"].get("answer") or next(iter(row["truth"].get("captions", ())), "")
    said = row.get("answer", f"{len(row.get('objects', ()))} objects")
    if suite.protocol.scoring == "masks":
        said = f"IoU {row['shared'] / row['union'] if row['union'] else 1.0:.2f}"
    asked = html.escape(str(row.get("prompt", ""))[:300])
    words = f"{asked}<br>{f'<b>{html.escape(truth)}</b> ' if truth else ''}<i>{html.escape(str(said)[:300])}</i>"
    return f"<figure>{shown}<figcaption>{html.escape(row['item'])}: {words}</figcaption></figure>"


def _picture(image: ImageRef, root: Path) -> Image.Image:
    """Return an image as the page shows it: a small one enlarged."""
    picture = load_image(image, root, max_pixels=_PIXELS)
    times = max(1, _SIDE // max(picture.size))
    return picture.resize((picture.width * times, picture.height * times), Image.Resampling.NEAREST)


def _drawn(picture: Image.Image, row: Row, suite: Suite, settings: Mapping[str, Any]) -> Image.Image:
    frame = Frame(*row["size"])
    view = View(picture, frame.resized(*picture.size))
    if suite.protocol.scoring in ("words", "captions"):
        return picture
    if suite.protocol.scoring == "masks":
        for counts, colour in ((row["truth"].get("mask"), "true"), (row.get("mask"), "answer")):
            rings = Mask.from_rle({"size": [frame.height, frame.width], "counts": counts}).rings() if counts else ()
            across = picture.width / frame.width, picture.height / frame.height
            picture = draw_rings(picture, [ring * across for ring in rings], _COLOURS[colour])
        return picture
    true, found = _objects(row, frame, suite, settings)
    drawn = draw_objects(view, true, labels=False, colours=_COLOURS)
    return draw_objects(View(drawn, view.frame), found, labels=False, colours=_COLOURS)


def _objects(row: Row, frame: Frame, suite: Suite, settings: Mapping[str, Any]) -> tuple[Objects, Objects]:
    if suite.protocol.scoring == "boxes":
        true = Boxes([row["truth"]["box"]], row["truth"]["kind"], frame).as_kind("quad").coords.tolist()
        seen = row.get("seen") or row["size"]
        decoded = Dialect.from_dict(settings["dialect"]).codec.decode(row["answer"], frame.resized(*seen))
        found = decoded.objects.boxes[:1].to(frame).as_kind("quad").coords.tolist()
    else:
        true, found = row["truth"]["boxes"], _quads(row["objects"])["boxes"]
    return _labelled(true, "true", frame), _labelled(found, "answer", frame)


def _labelled(quads: Sequence[Any], label: str, frame: Frame) -> Objects:
    return Objects(Boxes(quads, "quad", frame) if quads else Boxes.empty("quad", frame), (label,) * len(quads))
