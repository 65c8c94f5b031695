"""Another model's answers from a file: read by the ids of a benchmark's items and kept as a run of ours."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rscovlm.benchmarks.answers import open_answers
from rscovlm.benchmarks.evaluation import BenchmarkRun, fingerprint
from rscovlm.benchmarks.items import BenchmarkItem, data_digest, truth_of
from rscovlm.codec.dialect import Dialect
from rscovlm.geometry import Frame
from rscovlm.rasters.digests import content
from rscovlm.records.jsonfiles import parsed
from rscovlm.records.views import open_ref
from rscovlm.tasks.boxes import object_rows
from rscovlm.tasks.table import task_of

_IDS = ("item", "question_id", "id", "index", "image_id")
_ANSWERS = ("answer", "text", "prediction", "pred", "output", "response", "model_answer")
_SEEN = ("seen", "resized", "resized_size", "image_size_seen")


def import_answers(
    path: Path, run: BenchmarkRun, items: Sequence[BenchmarkItem], out: Path, *, dialect: Dialect
) -> dict[str, int]:
    """Keep the answers of a file as a run, so that they are scored as ours are.

    A row is a JSON object with an id (``question_id``, ``id``, ``item``, ``index`` or ``image_id``) and the answer's text
    (``text``, ``answer``, ``prediction``, ``output`` or ``response``). Boxes in pixels of a resized image need its size in ``resized``, as
    ``[width, height]``; else they are read on the image's own grid.

    Args:
        path: A JSON array, an object of id to answer, or JSON lines.
        run: The benchmark; `model` names whose answers they are.
        items: All items of the benchmark.
        out: Folder of the run.
        dialect: How the model writes boxes.

    Returns:
        Counts: ``matched``, ``unknown`` (rows of no item), ``repeated`` (rows of an item that had one; the first counts) and
        ``unanswered`` (items without a row, which count as wrong).

    Raises:
        ValueError: A row has no id or no answer, no row is of an item, or `out` holds other answers.
    """
    known: dict[str, BenchmarkItem] = {}
    for item in items:
        for name in (item.id, item.record.id):
            known.setdefault(name, item)
    counts: Counter[str] = Counter({"matched": 0, "unknown": 0, "repeated": 0, "unanswered": 0})
    rows: dict[str, dict[str, Any]] = {}
    for name, answer, row in _answers(path):
        found = known.get(name)
        if found is None:
            counts["unknown"] += 1
        elif found.id in rows:
            counts["repeated"] += 1
        else:
            rows[found.id] = _row(found, answer, row, dialect)
            counts["matched"] += 1
    if not rows:
        raise ValueError(f"{path} has no row of an item of {run.suite.name!r}; its ids look like {items[0].id!r}")
    for item in items:
        if item.id not in rows:
            rows[item.id] = {**answer_head(item), "error": "no answer in the file"}
            counts["unanswered"] += 1
    settings: dict[str, Any] = {
        "suite": run.suite.name,
        "version": run.suite.version,
        "variant": "file",
        "control": "",
        "model": run.model or path.stem,
        "checkpoint": f"file:{content(path)[:16]}",
        "engine": "file",
        "dialect": dialect.to_dict(),
        "data": data_digest(items),
        "items": len(items),
    }
    settings = json.loads(json.dumps(settings))
    with open_answers(
        out, f"{run.suite.name}.file", (1, 1), {**settings, "fingerprint": fingerprint(settings)}
    ) as journal:
        before = {row["item"] for row in journal}
        journal.append(row for name, row in rows.items() if name not in before)
    return dict(counts)


def answer_head(item: BenchmarkItem) -> dict[str, Any]:
    """Return how the row of an item begins that was answered elsewhere: its image, the image's size, and what is true."""
    image = item.record.images[0] if item.record.images else None
    size = (image.width, image.height) if image is not None else (1, 1)
    if image is not None and 0 in size and task_of(item.record.task).boxed:
        with open_ref(image, item.root) as raster:
            size = (raster.width, raster.height)
    size = (max(1, size[0]), max(1, size[1]))
    about = {"size": list(size), "column": item.column, "within": item.within, "truth": truth_of(item, size)}
    return {"item": item.id, "image": item.image, **about}


def _row(item: BenchmarkItem, answer: str, row: Mapping[str, Any], dialect: Dialect) -> dict[str, Any]:
    head = answer_head(item)
    given = next((row[name] for name in _SEEN if isinstance(row.get(name), list) and len(row[name]) == 2), None)
    seen = [int(side) for side in given] if given else head["size"]
    base = {**head, "seen": seen, "prompt": row.get("prompt", ""), "finish": "stop"}
    if not task_of(item.record.task).dense:
        return {**base, "answer": answer}
    frame = Frame(*head["size"])
    decoded = dialect.codec.decode(answer, frame.resized(*seen), kind="quad", categories=item.record.categories)
    objects = object_rows(decoded.objects.to(frame))
    return {**base, "objects": objects, "tiles": [{"answer": answer}], "problems": dict(decoded.problems)}


def _answers(path: Path) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield id, answer and row."""
    text = path.read_text(encoding="utf-8-sig")
    rows: Any
    if path.suffix.lower() == ".jsonl":
        rows = [parsed(line) for line in text.splitlines() if line.strip()]
    else:
        rows = parsed(text)
    if isinstance(rows, dict):
        rows = [{"id": name, "answer": answer} for name, answer in rows.items()]
    if not isinstance(rows, list):
        raise ValueError(
            f"{path} holds no list of answers; give a JSON array, an object of id to answer, or JSON lines"
        )
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise ValueError(f"{path}, row {number}: is no JSON object; give one with an id and an answer")
        name = next((row[key] for key in _IDS if row.get(key) is not None), None)
        answer = next((row[key] for key in _ANSWERS if row.get(key) is not None), None)
        if name is None or not isinstance(answer, (str, int, float)):
            raise ValueError(
                f"{path}, row {number}: has no id among {', '.join(_IDS)} or no answer among {', '.join(_ANSWERS)}"
            )
        yield str(name), str(answer), row
