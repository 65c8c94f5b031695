"""Detectors without language in the same tables: their result files as runs, cut at a threshold that another split chose."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rscovlm.benchmarks.answers import open_answers
from rscovlm.benchmarks.evaluation import BenchmarkRun, fingerprint
from rscovlm.benchmarks.items import BenchmarkItem, data_digest
from rscovlm.benchmarks.other_answers import answer_head
from rscovlm.codec.categories import spoken
from rscovlm.exports.chart import draw
from rscovlm.geometry import Boxes
from rscovlm.metrics import calibrate_threshold, read_task1
from rscovlm.metrics.matched_detections import detection_protocol
from rscovlm.rasters.digests import content
from rscovlm.records import Rejected
from rscovlm.records.jsonfiles import parsed
from rscovlm.records.rows import Row, as_list, as_numbers

Found = dict[str, list[dict[str, Any]]]


def read_detections(path: Path, items: Sequence[BenchmarkItem], *, coco: Path | None = None) -> Found:
    """Return what a detector found on each image of a benchmark, by item.

    Args:
        path: DOTA's Task 1 files (a folder or a zip), or COCO results: rows of `image_id`, `category_id` or `category`,
            `score`, and `poly` or `segmentation` (eight numbers) or `bbox` (x, y, width, height).
        items: The benchmark; images are known by the stem of their file.
        coco: The COCO file that numbers of images and categories refer to.

    Raises:
        ValueError: A row is malformed, or names an image or a number that nothing explains.
    """
    known: dict[str, str] = {}
    for item in items:
        stem = Path(item.image).stem
        if stem in known:
            raise ValueError(f"two images of the benchmark are called {stem!r}, so results cannot be told apart")
        known[stem] = item.id
    classes = {spoken(name): name for item in items for name in item.record.categories}
    found: Found = {item.id: [] for item in items}
    rows = _task1(path) if path.is_dir() or path.suffix.lower() == ".zip" else _coco(path, coco)
    for place, (image, label, score, box, kind) in enumerate(rows, 1):
        if image not in known:
            raise ValueError(
                f"{path}, row {place}: image {image!r} is none of the benchmark's, such as {next(iter(known))!r}"
            )
        if spoken(label) not in classes:
            raise ValueError(f"{path}, row {place}: class {label!r} is none of {', '.join(sorted(classes))}")
        row = {"label": classes[spoken(label)], "kind": kind, "box": box, "score": score}
        found[known[image]].append(row)
    return found


def import_detections(
    path: Path,
    run: BenchmarkRun,
    items: Sequence[BenchmarkItem],
    out: Path,
    *,
    threshold: float = 0.0,
    coco: Path | None = None,
) -> dict[str, int]:
    """Keep a detector's boxes above a threshold as a run, so that they are scored as a model's are.

    Args:
        path: As for `read_detections`.
        run: The benchmark; `model` names the detector.
        items: All items of the benchmark.
        out: Folder of the run.
        threshold: A box is kept if its score is greater.
        coco: As for `read_detections`.

    Returns:
        Counts: ``boxes`` in the file, and those ``kept``.

    Raises:
        ValueError: As `read_detections`, or `out` holds other results.
    """
    found = read_detections(path, items, coco=coco)
    settings: dict[str, Any] = {
        "suite": run.suite.name,
        "version": run.suite.version,
        "variant": f"detector, score > {threshold:g}",
        "control": "",
        "model": run.model or path.stem,
        "checkpoint": f"file:{_digest(path)}",
        "engine": "detector",
        "threshold": threshold,
        "data": data_digest(items),
        "items": len(items),
    }
    counts = {"boxes": sum(map(len, found.values())), "kept": 0}
    name = f"{run.suite.name}.detector"
    with open_answers(out, name, (1, 1), {**settings, "fingerprint": fingerprint(settings)}) as journal:
        before = {row["item"] for row in journal}
        rows = []
        for item in items:
            # Without scores: AP_nc is about what a user of one threshold gets.
            objects = [
                {key: row[key] for key in ("label", "kind", "box")}
                for row in found[item.id]
                if row["score"] > threshold
            ]
            counts["kept"] += len(objects)
            if item.id not in before:
                rows.append({**answer_head(item), "objects": objects, "problems": {}, "finish": "stop"})
        journal.append(rows)
    return counts


def chosen_threshold(
    path: Path, items: Sequence[BenchmarkItem], protocol: str, *, coco: Path | None = None
) -> dict[str, Any]:
    """Return what `calibrate_threshold` finds on a split that the figures do not use.

    Args:
        path: The detector's results on that split.
        items: That split's items.
        protocol: Protocol of `ap_nc`.
        coco: As for `read_detections`.

    Raises:
        ValueError: As `read_detections`.
    """
    found = read_detections(path, items, coco=coco)
    sides, truths = [], []
    for item in items:
        rows = found[item.id]
        boxes = [Boxes([row["box"]], row["kind"], None).as_kind("quad").coords[0].tolist() for row in rows]
        sides.append(
            {"boxes": boxes, "labels": [row["label"] for row in rows], "scores": [row["score"] for row in rows]}
        )
        truth = answer_head(item)["truth"]
        truths.append({key: truth[key] for key in ("boxes", "labels", "difficult")})
    return calibrate_threshold(sides, truths, protocol=detection_protocol(protocol))


def curve_picture(calibration: Mapping[str, Any], title: str) -> str:
    """Return the curve of a calibration as SVG: AP_nc50 by threshold, in per cent (paper, figure 5)."""
    places = {f"{row['threshold']:.2f}": [100 * row["mean"]] for row in calibration["curve"][::2]}
    return draw({"AP_nc50": places}, title=title, across="score threshold", joined=True)


def _task1(path: Path) -> Iterator[tuple[str, str, float, list[float], str]]:
    for image, side in read_task1(path).items():
        for box, label, score in zip(side["boxes"], side["labels"], side["scores"], strict=True):
            yield image, label, float(score), [float(value) for value in box], "quad"


def _coco(path: Path, coco: Path | None) -> Iterator[tuple[str, str, float, list[float], str]]:
    rows: Any = parsed(path.read_text(encoding="utf-8-sig"))
    about: Any = {} if coco is None else parsed(coco.read_text(encoding="utf-8-sig"))
    if isinstance(rows, dict):
        about, rows = {**rows, **about}, rows.get("annotations")
    if not isinstance(rows, list):
        raise ValueError(f"{path} holds no list of results; give COCO results, or DOTA's Task 1 files")
    try:
        images = {one["id"]: Path(one.text("file_name")).stem for one in Row(about).rows("images")} if about else {}
        categories = {one["id"]: one.text("name") for one in Row(about).rows("categories")} if about else {}
    except Rejected as error:
        raise ValueError(f"{coco or path} has no images and categories as COCO has them ({error})") from error
    for number, one in enumerate(rows, 1):
        try:
            row = Row(one) if isinstance(one, dict) else Row({})
            image, label = row["image_id"], row.get("category") or categories.get(row.get("category_id"))
            (score,) = as_numbers([row["score"]], "'score'")
            box, kind = _box(row)
        except Rejected as error:
            raise ValueError(f"{path}, row {number}: is no COCO result ({error})") from error
        if label is None:
            raise ValueError(
                f"{path}, row {number}: category {row.get('category_id')!r} has no name; give the COCO file too"
            )
        yield str(images.get(image, image)), str(label), score, box, kind


def _box(row: Row) -> tuple[list[float], str]:
    corners = row.get("poly") or row.get("segmentation")
    if isinstance(corners, list) and corners and isinstance(corners[0], list):
        corners = corners[0] if len(corners) == 1 else [value for point in corners for value in as_list(point)]
    if isinstance(corners, list) and len(corners) == 8:
        return list(as_numbers(corners, "the corners")), "quad"
    numbers = row.numbers("bbox")
    if len(numbers) != 4:
        raise Rejected("malformed box", f"bbox is {list(numbers)}, not x, y, width and height")
    x, y, width, height = numbers
    return [x, y, x + width, y + height], "hbb"


def _digest(path: Path) -> str:
    files = sorted(path.glob("Task1_*.txt")) if path.is_dir() else [path]
    return fingerprint({"files": json.dumps([[file.name, content(file)] for file in files])})
