"""Scores against the metrics they are made of, intervals against the plain bootstrap, and answers of others."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rscovlm.benchmarks.answers import open_answers
from rscovlm.benchmarks.evaluation import BenchmarkRun
from rscovlm.benchmarks.intervals import CellSums, cell_intervals, paired_cells
from rscovlm.benchmarks.items import load_items
from rscovlm.benchmarks.other_answers import import_answers
from rscovlm.benchmarks.scoring import compare_runs, score_folder, score_run
from rscovlm.benchmarks.suite import load_suite
from rscovlm.codec.dialect import Dialect
from rscovlm.metrics import (
    ap_nc,
    bootstrap,
    grounding_accuracy,
    lrs_vqa_aa,
    paired_test,
    rescaled,
    rscovlm_answer,
    rsvqa_accuracy,
)
from tests.benchmarks.stand_ins import write_dota, write_lrs_vqa, write_refgeo

WORDS = ["gray", "grey", "car", "automobile", "two", "2", "yes", "Yes.", "", "ship", "I'm sorry, I cannot tell."]


def keep(folder: Path, run: str, suite: str, rows: Iterable[dict[str, Any]], **more: Any) -> None:
    settings = {"suite": suite, "version": 1, "variant": run.partition(".")[2], "control": "", "model": "m"}
    settings |= {"dialect": Dialect.preset("rscovlm-v1").to_dict(), **more}
    with open_answers(folder, run, (1, 1), settings) as journal:
        journal.append(rows)


def lrs_rows(rng: np.random.Generator, count: int = 400) -> list[dict[str, Any]]:
    names = {"FAIR": "FAIR", "GLH-Bridge": "Bridge", "STAR": "STAR"}
    rows = []
    for number in range(count):
        source = str(rng.choice(list(names)))
        row = {"item": f"{source}_{number}", "image": f"{source}{number // 5}", "column": names[source]}
        row |= {"within": str(rng.choice(["count", "color", "shape"])), "finish": "stop", "source": source}
        rows.append({**row, "answer": str(rng.choice(WORDS)), "truth": {"answer": str(rng.choice(WORDS[:8]))}})
    return rows


def test_lrs_vqa_is_the_metric_under_both_conventions(tmp_path: Path) -> None:
    rows = lrs_rows(np.random.default_rng(0))
    keep(tmp_path, "lrs-vqa.direct", "lrs-vqa", rows)
    score = score_run(tmp_path, "lrs-vqa.direct", load_suite("lrs-vqa"), repeats=50)
    for rule, normalisation in (("rscovlm_lrs_vqa", "rscovlm"), ("lrs_vqa", "official")):
        theirs = lrs_vqa_aa(
            [row["answer"] for row in rows],
            [row["truth"]["answer"] for row in rows],
            categories=[row["within"] for row in rows],
            sources=[row["source"] for row in rows],
            normalisation=normalisation,  # type: ignore[arg-type]
        )
        mine = score.figure("Avg.", rule)
        assert mine is not None and mine.value == pytest.approx(theirs["average_accuracy"], abs=1e-12)
        assert mine.low is not None and mine.high is not None and mine.low < mine.value < mine.high
        bridge = score.figure("Bridge", rule)
        assert bridge is not None and bridge.value == pytest.approx(theirs["sources"]["GLH-Bridge"]["aa"], abs=1e-12)
    assert score.counts["refused"] == sum("sorry" in row["answer"] for row in rows)
    assert score.counts["empty"] == sum(not row["answer"] for row in rows)
    assert score.protocol_id().startswith("lrs-vqa@1/direct rule=rscovlm_lrs_vqa prompt=")


def test_a_mean_over_some_columns_is_not_printed_as_the_average(tmp_path: Path) -> None:
    rows = [row for row in lrs_rows(np.random.default_rng(0)) if row["column"] != "STAR"]
    keep(tmp_path, "lrs-vqa.direct", "lrs-vqa", rows)
    score = score_run(tmp_path, "lrs-vqa.direct", load_suite("lrs-vqa"), repeats=0)
    assert score.figure("Avg.") is None and score.figure("FAIR") is not None
    assert set(score.constant) == {"FAIR", "Bridge"}


def test_rsvqa_is_the_metric(tmp_path: Path) -> None:
    rng, subsets = np.random.default_rng(1), ["HR-comp", "HR-presence", "LR-comp", "LR-presence", "LR-rural_urban"]
    shown = dict(zip(subsets, ["HR-Comp", "HR-Pres", "LR-Comp", "LR-Pres", "LR-R-U"], strict=True))
    drawn = [(str(rng.choice(subsets)), str(rng.choice(WORDS)), str(rng.choice(["yes", "no"]))) for _ in range(300)]
    keep(
        tmp_path,
        "rsvqa-vhm.as-is",
        "rsvqa-vhm",
        [
            {"item": str(k), "image": str(k), "column": shown[subset], "answer": said, "truth": {"answer": true}}
            for k, (subset, said, true) in enumerate(drawn)
        ],
    )
    (score,) = score_folder(tmp_path, repeats=0)
    for rule in ("rscovlm_vhm", "vhm", "exact"):
        theirs = rsvqa_accuracy(
            [said for _, said, _ in drawn],
            [true for *_, true in drawn],
            subsets=[subset for subset, *_ in drawn],
            match=rule,
        )
        mine = score.figure("Avg.", rule)
        assert mine is not None and mine.value == pytest.approx(theirs["average"], abs=1e-12)


def test_grounding_is_the_metric_under_every_convention(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    rows, mine, reference, true = [], [], [], []
    for number in range(200):
        box = np.sort(rng.integers(0, 84, (2, 2)), axis=0).T.ravel()[[0, 2, 1, 3]] + np.array([0, 0, 4, 4])
        moved = box + rng.integers(-6, 7, 4)
        text = rng.choice([f"{','.join(map(str, moved))} roof", "There are none.", f"[{', '.join(map(str, moved))}]"])
        rows.append(
            {
                "item": str(number),
                "image": str(number),
                "column": "all",
                "within": "",
                "answer": str(text),
                "size": [168, 84],
                "seen": [84, 84],
                "truth": {"box": [float(v) for v in box * [2, 1, 2, 1]], "kind": "hbb"},
            }
        )
        true.append([float(v) for v in box * [2, 1, 2, 1]])
        dialect = Dialect.preset("rscovlm-v1")
        from rscovlm.geometry import Frame

        found = dialect.codec.decode(str(text), Frame(168, 84).resized(84, 84)).objects.to(Frame(168, 84)).boxes
        mine.append(list(found.as_kind("hbb").coords[0]) if len(found) else None)
        reference.append(rescaled(rscovlm_answer(str(text)), (84, 84), (168, 84)))
    keep(tmp_path, "avvg.native", "avvg", rows)
    (score,) = score_folder(tmp_path, repeats=0)
    checks: list[tuple[str, Any, dict[str, Any]]] = [
        ("iou>0.5", mine, {}),
        ("iou>=0.5", mine, {"strict": False}),
        ("rscovlm", reference, {"protocol": "rscovlm"}),
    ]
    for rule, found, options in checks:
        figure = score.figure("all", rule)
        assert figure is not None
        assert figure.value == pytest.approx(grounding_accuracy(found, true, **options)["acc50"])
    pointing, strict = score.figure("all", "pointing"), score.figure("all", "iou>0.5")
    assert pointing is not None and strict is not None and pointing.value > strict.value
    assert score.counts["unparsed"] == sum(box is None for box in mine)


def test_detection_is_the_metric_under_both_protocols(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    rows: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    true: list[dict[str, Any]] = []
    for number in range(30):
        count = int(rng.integers(0, 4))
        corners = rng.integers(0, 200, (count, 2))
        boxes = [[x, y, x + 20, y, x + 20, y + 10, x, y + 10] for x, y in corners.tolist()]
        moved = [[value + int(rng.integers(-3, 4)) for value in box] for box in boxes] + [[0, 0, 9, 0, 9, 9, 0, 9]]
        labels = [str(rng.choice(["plane", "ship"])) for _ in range(count)]
        objects = [{"label": (labels + ["ship"])[k], "kind": "quad", "box": box} for k, box in enumerate(moved)]
        truth: dict[str, Any] = {
            "boxes": boxes,
            "labels": labels,
            "difficult": [int(v) for v in rng.random(count) < 0.2],
        }
        row = {"item": str(number), "image": str(number), "objects": objects, "problems": {"duplicate": 1}}
        rows.append({**row, "truth": truth})
        found.append({"boxes": moved, "labels": [one["label"] for one in objects]})
        true.append(truth)
    keep(tmp_path, "hrsc2016.native", "hrsc2016", rows)
    (score,) = score_folder(tmp_path, repeats=20)
    protocols: list[Any] = ["dota", "rscovlm"]
    for protocol in protocols:
        figure = score.figure("AP_nc50", protocol)
        theirs = ap_nc(found, true, protocol=protocol)["ap_nc50"]["mean"]
        assert figure is not None and figure.value == pytest.approx(theirs)
        assert figure.low is not None and figure.high is not None and figure.low <= figure.high
    empty = [side["labels"] for side in true].count([])
    assert score.details["empty_images"] == score.details["false_alarms"] == empty > 0
    keep(tmp_path / "b", "hrsc2016.native", "hrsc2016", [{**row, "objects": row["objects"][-1:]} for row in rows])
    pair = [(tmp_path, "hrsc2016.native"), (tmp_path / "b", "hrsc2016.native")]
    tested = compare_runs(pair[0], pair[1], load_suite("hrsc2016"), repeats=60)["AP_nc50"]
    assert tested["difference"] > 0.3 and tested["p_value"] < 0.05 and tested["low"] > 0
    assert score.details["duplicate_rate"] == pytest.approx(30 / (30 + sum(len(side["labels"]) for side in found)))


def test_intervals_are_those_of_the_plain_bootstrap() -> None:
    rng = np.random.default_rng(7)
    image = np.repeat(np.arange(60), 4)
    hits = (rng.random(240) < np.repeat(rng.random(60), 4)).astype(float)
    theirs = bootstrap(lambda column: sum(column) / len(column), hits.tolist(), clusters=image.tolist(), repeats=4000)
    mine = cell_intervals(CellSums.of(hits, image, np.zeros(240, int), {"all": [0]}), repeats=4000)["all"]
    assert mine["low"] == pytest.approx(theirs["low"], abs=0.012)
    assert mine["high"] == pytest.approx(theirs["high"], abs=0.012)
    assert mine["std"] == pytest.approx(theirs["std"], rel=0.06)
    alone = cell_intervals(CellSums.of(hits, np.arange(240), np.zeros(240, int), {"all": [0]}), repeats=4000)["all"]
    assert alone["std"] < 0.8 * mine["std"], "questions about one image are not independent"


def test_the_paired_test_is_the_plain_one() -> None:
    rng = np.random.default_rng(8)
    image = np.repeat(np.arange(50), 3)
    first = (rng.random(150) < 0.6).astype(float)
    second = np.where(rng.random(150) < 0.2, 0.0, first)
    sums = [CellSums.of(hits, image, np.zeros(150, int), {"all": [0]}) for hits in (first, second)]
    mine = paired_cells(*sums, repeats=3000)["all"]

    def mean(column: Any) -> float:
        return float(sum(column) / len(column))

    theirs = paired_test(mean, first.tolist(), second.tolist(), clusters=image.tolist(), repeats=1000)
    assert mine["difference"] == pytest.approx(theirs["difference"])
    assert mine["p_value"] == pytest.approx(theirs["p_value"], abs=0.01) and mine["p_value"] < 0.01
    assert mine["low"] == pytest.approx(theirs["low"], abs=0.02)
    same = paired_cells(sums[0], sums[0], repeats=100)["all"]
    assert same["difference"] == 0 and same["p_value"] == 1


def test_two_runs_are_compared_whatever_their_order(tmp_path: Path) -> None:
    rng = np.random.default_rng(9)
    rows = lrs_rows(rng)
    worse = [{**row, "answer": "" if rng.random() < 0.5 else row["answer"]} for row in reversed(rows)]
    better = [{**row, "answer": row["truth"]["answer"] if rng.random() < 0.5 else row["answer"]} for row in rows]
    for folder, some in (("a", better), ("b", worse[:-20])):
        keep(tmp_path / folder, "lrs-vqa.direct", "lrs-vqa", some)
    pair = [(tmp_path / name, "lrs-vqa.direct") for name in ("a", "b")]
    found = compare_runs(pair[0], pair[1], load_suite("lrs-vqa"), repeats=200)
    assert found["Avg."]["difference"] > 0.2 and found["Avg."]["p_value"] < 0.01
    assert found["Avg."]["items"] == len(rows) - 20
    back = compare_runs(pair[1], pair[0], load_suite("lrs-vqa"), repeats=200)
    assert back["Avg."]["difference"] == pytest.approx(-found["Avg."]["difference"])


def test_other_models_answers_are_scored_by_their_ids(tmp_path: Path) -> None:
    write_lrs_vqa(tmp_path / "lrs-vqa", np.random.default_rng(4), 2)
    suite = load_suite("lrs-vqa")
    items = load_items(suite, tmp_path)
    rows = [{"question_id": item.record.id, "text": item.record.answer} for item in items[:-3]]
    rows += [{"question_id": "nobody", "text": "x"}, rows[0] | {"text": "again"}]
    path = tmp_path / "theirs.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    run = BenchmarkRun(suite, model="theirs")
    counts = import_answers(path, run, items, tmp_path / "out", dialect=Dialect.preset("rscovlm-v1"))
    assert counts == {"matched": len(items) - 3, "unknown": 1, "repeated": 1, "unanswered": 3}
    (score,) = score_folder(tmp_path / "out", repeats=0)
    assert score.model == "theirs" and score.counts["errors"] == 3
    figure = score.figure("FAIR", "rscovlm_lrs_vqa")
    assert figure is not None and figure.value == 1.0
    assert import_answers(path, run, items, tmp_path / "out", dialect=Dialect.preset("rscovlm-v1")) == counts
    path.write_text(json.dumps({"id": 1}))
    with pytest.raises(ValueError, match="row 1: has no id .* or no answer"):
        import_answers(path, run, items, tmp_path / "o2", dialect=Dialect.preset("rscovlm-v1"))


def test_other_models_boxes_are_read_in_their_dialect(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    write_refgeo(tmp_path / "refGeo", rng, 3)
    suite = load_suite("rsvg-test")
    items = load_items(suite, tmp_path)
    from rscovlm.benchmarks.other_answers import answer_head

    answers = {}
    for item in items:
        (w, h), box = answer_head(item)["size"], item.record.objects[0].box
        shares = [round(1000 * value / side) for value, side in zip(box, (w, h, w, h), strict=True)]
        answers[item.record.id] = json.dumps([{"bbox_2d": shares, "label": "it"}])
    (tmp_path / "boxes.json").write_text(json.dumps(answers))
    import_answers(
        tmp_path / "boxes.json", BenchmarkRun(suite), items, tmp_path / "out", dialect=Dialect.preset("qwen3-vl")
    )
    (score,) = score_folder(tmp_path / "out", repeats=0)
    figure = score.figure("all")
    assert figure is not None and figure.value == 1.0


def test_other_models_detections_are_read(tmp_path: Path) -> None:
    write_dota(tmp_path / "dota-v1.0", np.random.default_rng(6), 4)
    suite = load_suite("dota-v1.0-val")
    items = load_items(suite, tmp_path)
    lines = {
        item.record.id: "\n".join(
            f"{','.join(str(round(value)) for value in one.box)} {one.label.replace('-', ' ')}"
            for one in item.record.objects
        )
        or "There are none."
        for item in items
    }
    (tmp_path / "found.json").write_text(json.dumps(lines))
    import_answers(
        tmp_path / "found.json", BenchmarkRun(suite), items, tmp_path / "o", dialect=Dialect.load("rscovlm-v1")
    )
    (score,) = score_folder(tmp_path / "o", repeats=0)
    figure = score.figure("AP_nc50", "dota")
    assert figure is not None and figure.value == pytest.approx(1.0)
    assert score.details["false_alarms"] == 0


def test_a_suite_of_another_version_is_refused(tmp_path: Path) -> None:
    keep(tmp_path, "avvg.native", "avvg", [], version=0)
    with pytest.raises(ValueError, match="version 0"):
        score_folder(tmp_path)
