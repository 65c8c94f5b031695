"""Suites and tables as data: they load, they are refused in words, and the printed averages follow from the columns."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from rscovlm.benchmarks.conventions import CONVENTIONS
from rscovlm.benchmarks.published import load_table, misprints, named_suites, table_names
from rscovlm.benchmarks.suite import Suite, budget_of, load_suite, suite_from, suite_names
from rscovlm.data.sources import find_source
from rscovlm.processing.resolution import PixelBudget

SUITES = [load_suite(name) for name in suite_names()]
MINE = {
    "name": "mine",
    "version": 1,
    "title": "Mine",
    "records": {"source": "lrs-vqa", "split": "test"},
    "licence": "CC0",
    "get": "my disk",
    "protocol": {"scoring": "words", "rule": "exact"},
}


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
def test_every_suite_states_what_a_reader_needs(suite: Suite) -> None:
    assert suite.licence and suite.get and suite.version >= 1
    for part in suite.records:
        known = find_source(part.source)
        assert part.split in known.splits
    assert {suite.protocol.rule, *suite.protocol.also} <= set(CONVENTIONS[suite.protocol.scoring])
    assert suite.protocol.also, "a figure whose name others use for another rule is printed under more than one"


def test_the_licence_is_that_of_the_converter() -> None:
    for suite in SUITES:
        theirs = find_source(suite.records[0].source).licence.lower()
        if "see `rscovlm data sources" not in suite.licence and suite.records[0].source != "refgeo":
            shared = set(suite.licence.lower().split()) & set(theirs.split())
            assert len(shared) >= min(2, len(theirs.split())), (suite.name, suite.licence, theirs)


def test_printed_averages_follow_from_their_columns() -> None:
    assert [line for name in table_names() for line in misprints(load_table(name))] == []
    checked = {
        (row.name, average): printed
        for name in table_names()
        for row in load_table(name).rows
        for average, printed in row.printed.items()
        if all(column in row.values for column in load_table(name).averages[average])
    }
    assert checked == {("RSCoVLM", "Avg."): 33.85, ("RSCoVLM + zoom", "Avg."): 45.71, ("RSCoVLM", "RSVQA Avg."): 86.09}


@pytest.mark.parametrize(("name", "meant"), [("tabel1", "table1"), ("vrsbench-vq", "vrsbench-vqa")])
def test_a_misspelt_table_or_suite_names_the_one_like_it(name: str, meant: str) -> None:
    with pytest.raises(ValueError, match=f"did you mean '{meant}'"):
        named_suites([name])


def test_a_wrong_average_is_stated() -> None:
    table = load_table("table1")
    wrong = replace(table.rows[0], printed={"Avg.": 33.95})
    (line,) = misprints(replace(table, rows=(wrong,)))
    assert "33.95" in line and "33.85" in line


def test_tables_name_their_suites() -> None:
    names, tables = named_suites(["table2", "table5", "vrsbench-vqa"])
    assert len(names) == 9 and len(tables) == 2
    assert {row.name for row in load_table("table3").rows} >= {"RSCoVLM", "RSCoVLM-det, max mode"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"protocl": {}}, "unknown key 'protocl'"),
        ({"records": {"source": "lrs-vqua", "split": "test"}}, "did you mean 'lrs-vqa'"),
        ({"records": {"source": "lrs-vqa", "split": "train"}}, "has no split 'train'"),
        ({"records": {"source": "lrs-vqa", "split": "test", "task": "grounding"}}, "has no 'grounding' records"),
        ({"protocol": {"scoring": "words", "rule": "exakt"}}, "exact"),
        ({"protocol": {"scoring": "boxes", "rule": "exact"}}, "iou"),
        ({"variants": {"big": {"max_pixel": 3}}}, "max_pixel"),
        ({"licence": None}, "no licence"),
        ({"dialect": "klingon"}, "klingon"),
    ],
)
def test_wrong_suites_are_refused_by_name(change: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        suite_from({**MINE, **change}, "mine.yaml")


def test_one_file_adds_a_suite(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({**MINE, "variants": {"big": {"max_pixels": 200704, "min_pixels": 200704}}}))
    suite = load_suite(path)
    assert suite.default_variant() == "big"
    budget = budget_of(suite.asked(), PixelBudget())
    assert (budget.max_pixels, budget.mode) == (448 * 448, "max")
    assert (
        budget_of(load_suite("lrs-vqa").asked("direct"), PixelBudget(max_pixels=10000, min_pixels=784)).max_pixels
        == 10000
    )
    with pytest.raises(ValueError, match="no variant 'bigg'"):
        suite.asked("bigg")
    with pytest.raises(FileNotFoundError, match="no suite file"):
        load_suite(tmp_path / "absent.yaml")
