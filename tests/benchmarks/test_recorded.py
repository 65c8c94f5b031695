"""Recorded outputs of the peers' own programs give their columns when they are scored as a suite's answers."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from rscovlm.benchmarks.answers import open_answers
from rscovlm.benchmarks.evaluation import BenchmarkRun
from rscovlm.benchmarks.items import BenchmarkItem
from rscovlm.benchmarks.other_answers import import_answers
from rscovlm.benchmarks.scores import SuiteScore
from rscovlm.benchmarks.scoring import score_folder
from rscovlm.benchmarks.suite import load_suite, matches
from rscovlm.codec.dialect import Dialect
from rscovlm.records import Annotation, ImageRef, Record
from tests.oracles import oracle

WORDS = Dialect.preset("rscovlm-v1")


def item(suite: str, record: Record) -> BenchmarkItem:
    protocol = load_suite(suite).protocol
    column = next((name for name, wanted in protocol.columns.items() if matches(record, wanted)), "all")
    return BenchmarkItem(record.id, record, Path(), column, record.extra.get(protocol.within, ""))


def scored(suite: str, items: list[BenchmarkItem], rows: Iterable[dict[str, Any]], folder: Path) -> SuiteScore:
    path = folder / "theirs.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    import_answers(path, BenchmarkRun(load_suite(suite)), items, folder / "out", dialect=WORDS)
    (score,) = score_folder(folder / "out", repeats=0)
    return score


def value(score: SuiteScore, name: str, rule: str) -> float:
    figure = score.figure(name, rule)
    assert figure is not None
    return figure.value


def test_lrs_vqas_own_program(tmp_path: Path) -> None:
    data = json.loads(oracle("lrsvqa/real_mix_a.json").read_text())
    items, rows = [], []
    for number, row in enumerate(data["rows"]):
        name = f"{row['question_id']}_{number}"
        extra = {"category": row["category"]}
        record = Record(name, "lrs-vqa", "test", "vqa", question="?", answer=row["ground_truth"], extra=extra)
        items.append(item("lrs-vqa", record))
        rows.append({"id": name, "answer": row["output"]})
    score = scored("lrs-vqa", items, rows, tmp_path)
    names = {"FAIR": "FAIR", "GLH-Bridge": "Bridge", "STAR": "STAR"}
    official = data["expected"]["official_per_source"]
    for source, table in official.items():
        assert value(score, names[source], "lrs_vqa") == pytest.approx(table["AA"], abs=1e-12)
    assert value(score, "Avg.", "lrs_vqa") == pytest.approx(sum(one["AA"] for one in official.values()) / len(official))
    theirs = data["expected"]["rscovlm_scores"]
    for source, name in names.items():
        wanted = [figure for key, figure in theirs.items() if "Average Acc" in key and source in key]
        if wanted:
            assert value(score, name, "rscovlm_lrs_vqa") == pytest.approx(wanted[0], abs=1e-12)


def test_vhms_parts_of_rsvqa(tmp_path: Path) -> None:
    data = json.loads(oracle("vqa/rsvqa_vhm_312.json").read_text())
    items, rows = [], []
    for number, row in enumerate(data["rows"]):
        if row["image_path"].startswith("RSVQA"):
            extra = {"set": f"{row['image_path']}_RSVQA"}
            record = Record(
                str(number), "vhm-rsvqa", "test", "vqa", question="?", answer=row["ground_truth"], extra=extra
            )
            items.append(item("rsvqa-vhm", record))
            rows.append({"id": str(number), "answer": row["output"]})
    score = scored("rsvqa-vhm", items, rows, tmp_path)
    expected, columns = data["expected"], load_suite("rsvqa-vhm").protocol.columns
    found = [name for name in expected if name.startswith("RSVQA")]
    for theirs in found:
        (mine,) = (name for name, wanted in columns.items() if wanted["set"].rstrip("*") == theirs)
        assert value(score, mine, "rscovlm_vhm") == pytest.approx(expected[theirs], abs=1e-12)
    average = sum(expected[name] for name in found) / len(found)
    assert value(score, "Avg.", "rscovlm_vhm") == pytest.approx(average, abs=1e-12)


def test_geochats_rule(tmp_path: Path) -> None:
    data = json.loads(oracle("vqa/geochat_lrben_200.json").read_text())
    items, rows = [], []
    for number, row in enumerate(data["rows"]):
        record = Record(str(number), "vrsbench", "val", "vqa", question="?", answer=row["ground_truth"])
        items.append(item("vrsbench-vqa", record))
        rows.append({"id": str(number), "answer": row["output"]})
    score = scored("vrsbench-vqa", items, rows, tmp_path)
    assert value(score, "all", "geochat") == pytest.approx(data["expected"]["acc"], abs=1e-12)


def test_the_reference_systems_grounding(tmp_path: Path) -> None:
    data = json.loads(oracle("grounding/plain_200.json").read_text())
    suites = {
        "dior_rsvg_test": "dior-rsvg-test",
        "avvg_test": "avvg",
        "rsvg_test": "rsvg-test",
        "vrsbench_test": "vrsbench-vg",
    }
    assert suites.keys() == data["expected"]["acc_percent"].keys()
    for dataset, suite in suites.items():
        items, rows = [], []
        for number, row in enumerate(data["rows"]):
            if row["dataset_name"] != dataset:
                continue
            image = ImageRef(f"{number}.png", width=row["original_width"], height=row["original_height"])
            box = Annotation(tuple(map(float, row["bbox"])), "it", "hbb")
            record = Record(str(number), "refgeo", "test", "grounding", (image,), expression="it", objects=(box,))
            items.append(item(suite, record))
            size = [row["resized_width"], row["resized_height"]]
            rows.append({"id": str(number), "answer": row["output"], "resized": size})
        folder = tmp_path / suite
        folder.mkdir()
        score = scored(suite, items, rows, folder)
        assert 100 * value(score, "all", "rscovlm") == pytest.approx(data["expected"]["acc_percent"][dataset])


def test_dotas_development_kit(tmp_path: Path) -> None:
    data = json.loads(oracle("ap_nc/real_heavy.json").read_text())
    with open_answers(tmp_path, "dota-v1.0-val.file", (1, 1), {"suite": "dota-v1.0-val", "version": 1}) as journal:
        for image in data["images"]:
            true = data["gts"].get(image, [])
            truth = {"boxes": [one["quad"] for one in true], "labels": [one["cls"] for one in true]}
            truth["difficult"] = [one["difficult"] for one in true]
            found = [
                {"label": one["cls"], "kind": "quad", "box": one["quad"]}
                for one in data["preds"]
                if one["image"] == image
            ]
            journal.append([{"item": image, "image": image, "objects": found, "truth": truth}])
    (score,) = score_folder(tmp_path, repeats=0)
    kit = data["expected"]["dota_devkit"]["voc07_11point"]["const_stable_order"]["mAP"]["0.50"]
    assert score.details["dota"]["constant_score"] == pytest.approx(kit, abs=2e-6)
