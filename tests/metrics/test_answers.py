"""Answer rules: the peers' recorded decisions, and their traps beside the rules we use instead."""

import json
import random
from typing import Any

import pytest

from rscovlm.metrics import answer_accuracy, rsvqa_accuracy
from rscovlm.metrics.rules import RULES
from tests.oracles import oracle


def test_recorded_geochat_accuracy() -> None:
    data = json.loads(oracle("vqa/geochat_lrben_200.json").read_text())
    rows = data["rows"]
    result = answer_accuracy([r["output"] for r in rows], [r["ground_truth"] for r in rows], match="geochat")
    assert result["accuracy"] == pytest.approx(data["expected"]["acc"], abs=1e-12)


def test_recorded_vhm_accuracies() -> None:
    data = json.loads(oracle("vqa/rsvqa_vhm_312.json").read_text())
    rules = {
        "presence_mo_dota": ("presence_acc", "vhm_presence"),
        "color_dota-test_fair1m-val_open": ("color_acc", "vhm_colour"),
        "abspos_dota-test_mc": ("abspos_position_acc", "vhm_choice"),
        "relpos_dota-test_mc": ("relpos_position_acc", "vhm_choice"),
        "imgType_mcq": ("modality_acc", "vhm_choice"),
    }
    seen = 0
    for folder in {row["image_path"] for row in data["rows"]} - {"counting_dota-test_open"}:
        rows = [row for row in data["rows"] if row["image_path"] == folder]
        name, rule = rules.get(folder, (folder, "vhm"))
        result = answer_accuracy([r["output"] for r in rows], [r["ground_truth"] for r in rows], match=rule)
        assert result["accuracy"] == pytest.approx(data["expected"][name], abs=1e-12), folder
        seen += 1
    assert seen == 11
    rows = [row for row in data["rows"] if row["image_path"].startswith("RSVQA")]
    table = rsvqa_accuracy(
        [r["output"] for r in rows],
        [r["ground_truth"] for r in rows],
        subsets=[r["image_path"] for r in rows],
        match="vhm",
    )
    columns = [value for name, value in data["expected"].items() if name.startswith("RSVQA")]
    assert table["average"] == pytest.approx(sum(columns) / 5, abs=1e-12)
    assert table["missing"] == []


# The trap: rule of a peer, answer, true answer, what the peer says; our rule and what it says.
TRAPS = [
    ("vhm", "", "rural", 1.0, "contained", 0.0),  # an empty answer counts as right
    ("geochat", "unknown", "no", 1.0, "contains", 0.0),  # "no" inside "unknown"
    ("geochat", "parking lot", "park", 1.0, "contains", 0.0),
    ("geochat", "13", "3", 1.0, "number", 0.0),
    ("vhm_choice", "Answer: B", "A", 1.0, "choice", 0.0),  # the A of "Answer"
    ("vhm_choice", "Answer: B", "B", 0.0, "choice", 1.0),
    ("vhm_choice", "b", "B", 0.0, "choice", 1.0),  # lower case is not seen
    ("mme_realworld", "Answer: B", "A", 1.0, "choice", 0.0),
    ("mme_realworld", "", "A", 1.0, "choice", None),  # nothing stands in "(A)"
    ("vhm_presence", "I do not know", "no", 1.0, "yes_no", None),
    ("teochat", " yes", "yes", 0.0, "exact", 1.0),  # a blank too many
    ("identical", "yes .", "yes", 0.0, "exact", 1.0),  # a blank before the period
    ("teochat", "twolane", "two-lane", 1.0, "exact", 0.0),
    ("vrsbench", "there are 21", "2", 1.0, "number", 0.0),
]


@pytest.mark.parametrize(("peer", "answer", "true", "theirs", "rule", "ours"), TRAPS)
def test_traps(peer: str, answer: str, true: str, theirs: float, rule: str, ours: float | None) -> None:
    assert RULES[peer](answer, true) == theirs
    assert RULES[rule](answer, true) == ours


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"),
        ("b", "B"),
        ("(c)", "C"),
        ("C. right", "C"),
        ("D) harbour", "D"),
        ("The best answer is: (E)", "E"),
        ("The correct option is B.", "B"),
        ("I would choose (D) here", "D"),
        ("Option a", "A"),
        ("It is B", "B"),
        ("A large ship", None),
        ("(A) or (B)", None),
        ("B or C", None),
        ("none of these", None),
        ("", None),
    ],
)
def test_letters_chosen(text: str, letter: str | None) -> None:
    expected = None if letter is None else 1.0
    assert RULES["choice"](text, letter or "B") == expected


@pytest.mark.parametrize(
    ("text", "true", "credit"),
    [
        ("There are seven ships", "7", 1.0),
        ("1,200 cars", "1200", 1.0),
        ("-3.5 m", "-3.5", 1.0),
        ("one hundred and five", "105", 1.0),
        ("two thousand three hundred", "2300", 1.0),
        ("twenty-one", "21", 1.0),
        ("There are no ships", "0", 1.0),
        ("building P2 has 4", "4", 1.0),
        ("seven or 8", "7", 1.0),
        ("several", "3", None),
    ],
)
def test_numbers_named(text: str, true: str, credit: float | None) -> None:
    assert RULES["number"](text, true) == credit


def test_vrsbench_leaves_the_rest_to_gpt() -> None:
    result = answer_accuracy(["pool", "no", "a park"], ["pond", "yes", "park"], match="vrsbench")
    assert (result["accuracy"], result["undecided"]) == (pytest.approx(1 / 3), 1)


@pytest.mark.parametrize("rule", ["exact", "contains", "contained", "choice", "number", "yes_no"])
def test_an_empty_answer_is_never_right(rule: str) -> None:
    true = {"choice": "A", "number": "0", "yes_no": "no"}.get(rule, "rural")
    assert answer_accuracy(["", "  "], [true, true], match=rule)["accuracy"] == 0.0
    assert answer_accuracy([true], [true], match=rule)["accuracy"] == 1.0


def test_order_of_items_changes_nothing() -> None:
    rng = random.Random(0)
    rows = [(rng.choice(["yes", "no", "", "Yes."]), rng.choice(["yes", "no"]), rng.choice("abc")) for _ in range(200)]
    first = answer_accuracy(*_columns(rows)[:2], groups=_columns(rows)[2])
    rng.shuffle(rows)
    again = answer_accuracy(*_columns(rows)[:2], groups=_columns(rows)[2])
    for key in ("accuracy", "groups", "group_mean", "empty", "undecided"):
        assert first[key] == again[key]


@pytest.mark.parametrize(
    ("predictions", "references", "match", "message"),
    [
        (["a"], [], "exact", "predictions has 1, references has 0"),
        ([], [], "exact", "no items"),
        (["a", 1], ["a", "b"], "exact", r"predictions\[1\] is 1"),
        ("a", "b", "exact", "one string"),
        (["a"], ["b"], "fuzzy", "match is 'fuzzy'"),
        (["a", "b"], ["A", "blue"], "choice", r"references\[1\].*'blue'"),
    ],
)
def test_bad_input_names_the_item(predictions: Any, references: Any, match: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        answer_accuracy(predictions, references, match=match)


def test_unknown_subset_is_named() -> None:
    with pytest.raises(ValueError, match=r"subsets\[0\] is 'HR'"):
        rsvqa_accuracy(["yes"], ["yes"], subsets=["HR"])


def _columns(rows: list[tuple[str, str, str]]) -> tuple[list[str], list[str], list[str]]:
    return [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows]
