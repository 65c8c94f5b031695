"""Detectors' result files in the same table, cut where another split says; the page of worst cases."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from rscovlm.benchmarks.detector_results import chosen_threshold, import_detections, read_detections
from rscovlm.benchmarks.evaluation import BenchmarkRun
from rscovlm.benchmarks.items import BenchmarkItem, load_items
from rscovlm.benchmarks.scoring import score_folder
from rscovlm.benchmarks.suite import load_suite
from rscovlm.benchmarks.worst_cases import worst_cases
from rscovlm.cli import app
from rscovlm.files import claim_folder
from rscovlm.metrics import ap_nc, calibrate_threshold, read_task1, write_task1
from tests.benchmarks.stand_ins import write_dota

SUITE = load_suite("dota-v1.0-val")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("dota")
    write_dota(root / "dota-v1.0", np.random.default_rng(12), 8)
    return root


@pytest.fixture(scope="module")
def items(data: Path) -> list[BenchmarkItem]:
    return load_items(SUITE, data)


def results(items: list[BenchmarkItem]) -> dict[str, dict[str, Any]]:
    """What a detector that is right gives: true boxes with high scores, noise with low ones."""
    rng = np.random.default_rng(0)
    found: dict[str, dict[str, Any]] = {}
    for item in items:
        true = [(list(one.box), one.label, 0.6 + 0.3 * rng.random()) for one in item.record.objects]
        noise = [([x, x, x + 9, x, x + 9, x + 9, x, x + 9], "ship", 0.3 * rng.random()) for x in range(0, 60, 12)]
        rows = true + noise
        names = ("boxes", "labels", "scores")
        found[Path(item.image).stem] = {name: [row[k] for row in rows] for k, name in enumerate(names)}
    return found


def as_coco(found: dict[str, dict[str, Any]]) -> tuple[list[dict[str, object]], dict[str, object]]:
    images = {stem: number for number, stem in enumerate(found)}
    names = {"plane": 1, "ship": 2, "storage-tank": 3}
    rows = [
        {"image_id": images[stem], "category_id": names[str(label)], "score": score, "poly": box}
        for stem, side in found.items()
        for box, label, score in zip(side["boxes"], side["labels"], side["scores"], strict=True)
    ]
    about = {"images": [{"id": number, "file_name": f"x/{stem}.png"} for stem, number in images.items()]}
    return rows, {**about, "categories": [{"id": number, "name": name} for name, number in names.items()]}


def test_task1_and_coco_files_say_the_same(items: list[BenchmarkItem], tmp_path: Path) -> None:
    found = results(items)
    write_task1(tmp_path / "t.zip", found, items[0].record.categories, decimals=6, score_decimals=9)
    rows, about = as_coco(found)
    (tmp_path / "r.json").write_text(json.dumps(rows))
    (tmp_path / "coco.json").write_text(json.dumps(about))
    one = read_detections(tmp_path / "t.zip", items)
    two = read_detections(tmp_path / "r.json", items, coco=tmp_path / "coco.json")
    assert one.keys() == two.keys()
    for name in one:
        assert len(one[name]) == len(two[name])
        key = lambda row: (row["label"], row["score"])
        for a, b in zip(sorted(one[name], key=key), sorted(two[name], key=key), strict=True):
            assert a["label"] == b["label"] and a["score"] == pytest.approx(b["score"])
            assert a["box"] == pytest.approx(b["box"], abs=1e-5)


def test_the_threshold_is_the_metrics_and_the_figure_that_of_the_kept_boxes(
    items: list[BenchmarkItem], tmp_path: Path
) -> None:
    found = results(items)
    write_task1(tmp_path / "t.zip", found, items[0].record.categories, decimals=6, score_decimals=9)
    chosen = chosen_threshold(tmp_path / "t.zip", items, "dota")
    sides = [found[Path(item.image).stem] for item in items]
    true: list[dict[str, Any]] = [
        {"boxes": [list(one.box) for one in item.record.objects], "labels": [one.label for one in item.record.objects]}
        for item in items
    ]
    assert chosen["threshold"] == calibrate_threshold(sides, true)["threshold"]
    assert 0.25 <= chosen["threshold"] < 0.6 and chosen["best"]["mean"] == pytest.approx(1.0)
    counts = import_detections(
        tmp_path / "t.zip", BenchmarkRun(SUITE, model="RTMDet"), items, tmp_path / "cut", threshold=chosen["threshold"]
    )
    assert counts["kept"] == sum(len(side["labels"]) for side in true) < counts["boxes"]
    import_detections(tmp_path / "t.zip", BenchmarkRun(SUITE), items, tmp_path / "all")
    cut, whole = (score_folder(tmp_path / name, repeats=0)[0] for name in ("cut", "all"))
    assert cut.model == "RTMDet" and "score >" in cut.variant
    figure, low = cut.figure("AP_nc50", "dota"), whole.figure("AP_nc50", "dota")
    assert figure is not None and figure.value == pytest.approx(1.0)
    theirs = ap_nc([{"boxes": side["boxes"], "labels": side["labels"]} for side in sides], true)["ap_nc50"]["mean"]
    assert low is not None and low.value == pytest.approx(theirs, abs=1e-3) and low.value < 1


def test_a_detector_stands_in_the_papers_table(items: list[BenchmarkItem], data: Path, tmp_path: Path) -> None:
    rows, about = as_coco(results(items))
    (tmp_path / "r.json").write_text(json.dumps(rows))
    (tmp_path / "coco.json").write_text(json.dumps(about))
    words = ["score", "out", "--suite", "dota-v1.0-val", "--data", str(data), "--detections", "r.json"]
    words += ["--coco", "coco.json", "--threshold", "0.4", "--model", "Rotated FCOS", "--repeats", "20"]
    import os

    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        done = CliRunner().invoke(app, words)
        again = CliRunner().invoke(app, ["score", "out", "--suite", "table3", "--repeats", "0"])
        wrong = CliRunner().invoke(app, [*words[:-6], "--calibrate", "r.json", "--calibrate-suite", "dota-v1.0-val"])
    finally:
        os.chdir(before)
    assert done.exit_code == 0, done.output
    assert "Rotated FCOS (detector, score > 0.4)" in again.output and "100.00" in again.output
    assert wrong.exit_code == 2 and "other than the one that is scored" in wrong.output


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"image_id": "P9999", "category": "ship", "score": 1, "bbox": [0, 0, 1, 1]}, "none of the benchmark's"),
        ({"image_id": "P0001", "category": "boat", "score": 1, "bbox": [0, 0, 1, 1]}, "class 'boat'"),
        ({"image_id": "P0001", "category_id": 3, "score": 1, "bbox": [0, 0, 1, 1]}, "has no name"),
        ({"image_id": "P0001", "category": "ship", "bbox": [0, 0, 1, 1]}, "no COCO result"),
        ({"image_id": "P0001", "category": "ship", "score": 1, "bbox": [0, 0, 1]}, "no COCO result"),
    ],
)
def test_wrong_results_are_refused_by_row(
    row: dict[str, object], words: str, items: list[BenchmarkItem], tmp_path: Path
) -> None:
    (tmp_path / "r.json").write_text(json.dumps([row]))
    with pytest.raises(ValueError, match=words):
        read_detections(tmp_path / "r.json", items)


def test_the_worst_images_come_first_and_are_drawn(items: list[BenchmarkItem], tmp_path: Path) -> None:
    found = results(items)
    worst = next(Path(item.image).stem for item in items if len(item.record.objects))
    found[worst] = {"boxes": [], "labels": [], "scores": []}
    write_task1(tmp_path / "t.zip", found, items[0].record.categories, decimals=6)
    import_detections(tmp_path / "t.zip", BenchmarkRun(SUITE), items, tmp_path / "out", threshold=0.4)
    page = worst_cases(tmp_path / "out", "dota-v1.0-val.detector", SUITE, items, count=3)
    assert page.count("<figure>") == 3 and page.count("data:image/jpeg") == 3
    assert page.index(f"<figcaption>{worst}") == page.index("<figcaption>")


def test_the_archive_for_the_server_holds_what_was_found(items: list[BenchmarkItem], tmp_path: Path) -> None:
    found = results(items)
    write_task1(tmp_path / "t.zip", found, items[0].record.categories, decimals=2)
    claim_folder(tmp_path / "out", "evaluation")
    import_detections(tmp_path / "t.zip", BenchmarkRun(SUITE), items, tmp_path / "out", threshold=0.4)
    done = CliRunner().invoke(
        app,
        [
            "score",
            str(tmp_path / "out"),
            "--suite",
            SUITE.name,
            "--task1",
            str(tmp_path / "mine.zip"),
            "--repeats",
            "0",
        ],
    )
    assert done.exit_code == 0, done.output
    archive = read_task1(tmp_path / "mine.zip", [Path(item.image).stem for item in items])
    for item in items:
        assert len(archive[Path(item.image).stem]["labels"]) == len(item.record.objects)
