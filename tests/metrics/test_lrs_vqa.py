"""LRS-VQA held against the recorded decisions of both programs, and the table of synonyms against its source."""

import gzip
import json
import runpy
from pathlib import Path
from typing import Any

import pytest

from rscovlm.metrics import lrs_vqa_aa
from rscovlm.metrics.wordnet import lookup, make, share_meaning, synsets
from tests.oracles import oracle


@pytest.mark.parametrize("case", ["matching_edges", "real_mix_a"])
def test_recorded_decisions_and_averages(case: str) -> None:
    data = json.loads(oracle(f"lrsvqa/{case}.json").read_text())
    rows, expected = data["rows"], data["expected"]
    columns: Any = {
        "predictions": [row["output"] for row in rows],
        "references": [row["ground_truth"] for row in rows],
        "categories": [row["category"] for row in rows],
        "sources": [row["question_id"] for row in rows],
    }
    official = lrs_vqa_aa(**columns)
    assert official["correct"] == expected["official_item_correct"]
    for source, table in expected["official_per_source"].items():
        assert official["sources"][source]["aa"] == pytest.approx(table["AA"], abs=1e-12)
        assert official["sources"][source]["oa"] == pytest.approx(table["OA"], abs=1e-12)
        for category, row in table["per_category"].items():
            mine = official["sources"][source]["categories"][category]
            assert (mine["correct"], mine["items"]) == (row["correct"], row["total"])
    reference = lrs_vqa_aa(**columns, normalisation="rscovlm")
    assert reference["correct"] == expected["rscovlm_item_correct"]
    scores = expected["rscovlm_scores"]
    if scores:
        assert reference["overall_accuracy"] == pytest.approx(scores["overall acc"], abs=1e-12)
        assert reference["pooled_category_accuracy"] == pytest.approx(scores["Average Acc"], abs=1e-12)
        averages = []
        for source in ("FAIR", "STAR", "GLH-Bridge"):
            averages.append(scores[f"Average Acc (Source {source.split('-')[0]})"])
            assert reference["sources"][source]["aa"] == pytest.approx(averages[-1], abs=1e-12)
        # Table I's average is the mean over the sources, not what the program prints under that name.
        assert reference["average_accuracy"] == pytest.approx(sum(averages) / 3, abs=1e-12)


def test_average_is_over_categories_then_sources() -> None:
    rows = [
        ("FAIR_1", "count", "1", "1"),
        ("FAIR_2", "count", "1", "1"),
        ("FAIR_3", "count", "1", "1"),
        ("FAIR_4", "object color", "red", "blue"),
        ("STAR_1", "count", "2", "2"),
    ]
    sources, categories, predictions, references = zip(*rows, strict=True)
    result = lrs_vqa_aa(predictions, references, categories=categories, sources=sources)
    assert result["sources"]["FAIR"]["aa"] == 0.5
    assert result["average_accuracy"] == 0.75
    assert result["overall_accuracy"] == 0.8


def test_words_share_a_meaning_through_any_form() -> None:
    assert share_meaning("aeroplanes", "airplane")
    assert share_meaning("geese", "goose")  # an irregular form
    assert not share_meaning("boat", "ship")
    assert not share_meaning("parking lot", "parking lot")  # blanks have no synset; equality decides before
    assert synsets("parking_lot")
    assert not share_meaning("", "")


def test_both_normalisations_differ_where_documented() -> None:
    for answer in ("2.", " 2", "2 "):
        arguments: Any = {"categories": ["count"], "sources": ["FAIR"]}
        assert lrs_vqa_aa([answer], ["2"], **arguments)["overall_accuracy"] == 0.0
        assert lrs_vqa_aa([answer], ["2"], **arguments, normalisation="rscovlm")["overall_accuracy"] == 1.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"predictions": []}, "predictions has 0"),
        ({"references": [3]}, r"references\[0\] is 3"),
        ({"normalisation": "none"}, "normalisation is 'none'"),
        ({"predictions": [], "references": [], "categories": [], "sources": []}, "no items"),
    ],
)
def test_bad_input_is_named(change: dict[str, Any], message: str) -> None:
    arguments: Any = {"predictions": ["a"], "references": ["a"], "categories": ["c"], "sources": ["s"], **change}
    with pytest.raises(ValueError, match=message):
        lrs_vqa_aa(**arguments)


def test_the_shipped_table_is_what_the_script_makes() -> None:
    folder = Path("/usr/share/wordnet")
    if not (folder / "index.noun").exists():
        pytest.skip("WordNet's files are not on this machine (Debian's package wordnet-base)")
    assert gzip.decompress(lookup._TABLE.read_bytes()).decode("ascii") == make.table(folder)


@pytest.mark.parametrize(
    ("inflected", "base"),
    [("taller", "tall"), ("tallest", "tall"), ("nicer", "nice"), ("largest", "large"), ("bushes", "bush"), ("churches", "church"),
     ("boxes", "box"), ("cities", "city"), ("buses", "bus"), ("firemen", "fireman"), ("parked", "park"), ("parking", "park"),
     ("moves", "move"), ("moving", "move"), ("flies", "fly")],
)  # fmt: skip
def test_endings_are_detached_as_wordnets_manual_says(inflected: str, base: str) -> None:
    assert synsets(base)
    assert synsets(inflected) & synsets(base)


def test_the_script_reads_wordnets_format(tmp_path: Path) -> None:
    licence = "  1 This software and database is being provided to you\n"
    (tmp_path / "index.noun").write_text(
        licence + "car n 2 1 @ 2 1 00000020 00000010\nauto n 1 2 @ ~ 1 1 00000020\nrailcar n 1 0 1 0 00000010\n"
    )
    assert make.synonym_sets(tmp_path / "index.noun") == ["car railcar", "auto car"]


def test_the_script_writes_the_same_table_from_the_same_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for part in ("noun", "verb", "adj", "adv"):
        (tmp_path / f"index.{part}").write_text(f"  licence\n{part}s n 1 0 1 1 00000010\nb n 1 0 1 1 00000010\n")
        (tmp_path / f"{part}.exc").write_text(f"{part}es {part}\n")
    script, out = str(make.__file__), tmp_path / "out" / "table.gz"
    out.parent.mkdir()
    monkeypatch.setattr("sys.argv", [script, str(tmp_path), str(out)])
    runpy.run_path(script, run_name="__main__")
    first = out.read_bytes()
    assert gzip.decompress(first).decode().splitlines()[:4] == ["= noun", "b nouns", "+", "nounes noun"]
    runpy.run_path(script, run_name="__main__")
    assert out.read_bytes() == first
    for wrong in ([], [str(tmp_path)], [str(tmp_path), str(out), "more"]):
        monkeypatch.setattr("sys.argv", [script, *wrong])
        with pytest.raises(SystemExit, match="usage"):
            runpy.run_path(script, run_name="__main__")
