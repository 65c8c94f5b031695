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
        "presence_mo_dota": ("presence_acc", "rscovlm_vhm_presence"),
        "color_dota-test_fair1m-val_open": ("color_acc", "vhm_colour"),
        "abspos_dota-test_mc": ("abspos_position_acc", "vhm_choice"),
        "relpos_dota-test_mc": ("relpos_position_acc", "vhm_choice"),
        "imgType_mcq": ("modality_acc", "vhm_choice"),
    }
    seen = 0
    for folder in {row["image_path"] for row in data["rows"]} - {"counting_dota-test_open"}:
        rows = [row for row in data["rows"] if row["image_path"] == folder]
        name, rule = rules.get(folder, (folder, "rscovlm_vhm"))
        result = answer_accuracy([r["output"] for r in rows], [r["ground_truth"] for r in rows], match=rule)
        assert result["accuracy"] == pytest.approx(data["expected"][name], abs=1e-12), folder
        seen += 1
    assert seen == 11
    rows = [row for row in data["rows"] if row["image_path"].startswith("RSVQA")]
    table = rsvqa_accuracy(
        [r["output"] for r in rows],
        [r["ground_truth"] for r in rows],
        subsets=[r["image_path"] for r in rows],
        match="rscovlm_vhm",
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
    ("vhm_presence", "I do not know", "no", 1.0, "yes_no", None),
    ("teochat", " yes", "yes", 0.0, "exact", 1.0),  # a blank too many
    ("identical", "yes .", "yes", 0.0, "exact", 1.0),  # a blank before the period
    ("teochat", "twolane", "two-lane", 1.0, "exact", 0.0),
    ("teochat_keywords", "It is unknown", "no", 1.0, "yes_no", None),  # "no" inside "unknown"
    ("teochat_keywords", "bottom center", "top center", 1.0, "exact", 0.0),  # both hold "center"
    ("teochat_keywords", "top left or bottom right", "bottom right", 1.0, "exact", 0.0),
    ("teochat_keywords", "Yes, four", "yes", 1.0, "yes_no", 1.0),
    ("teochat_keywords", "", "yes", 0.0, "yes_no", None),
    ("teochat_keywords", "Four!", "four", 1.0, "exact", 1.0),
    ("vrsbench", "there are 21", "2", 1.0, "number", 0.0),
]


@pytest.mark.parametrize(("peer", "answer", "true", "theirs", "rule", "ours"), TRAPS)
def test_traps(peer: str, answer: str, true: str, theirs: float, rule: str, ours: float | None) -> None:
    assert RULES[peer](answer, true) == theirs
    assert RULES[rule](answer, true) == ours


COLOURS = ["(A) Blue", "(B) Dark red", "(C) red", "(D) A green ship", "(E) The image does not feature it."]
COUNTS = ["(A) 3", "(B) 13", "(C) 30", "(D) 4", "(E) This image doesn't feature the count."]

# Answer, true letter, options, what MME-RealWorld's own script answers (recorded from a run of it), and what we say.
CHOICES = [
    ("Answer: B", "A", COLOURS, 1.0, 0.0),  # the capital A of "Answer"
    ("", "A", COLOURS, 1.0, None),  # nothing stands in the first option
    ("blue", "A", COLOURS, 1.0, 1.0),
    ("Blue", "A", COLOURS, 0.0, 1.0),  # its capital B is read as a letter
    ("It is blue.", "A", COLOURS, 0.0, 1.0),  # only whole answers are looked up in the options
    ("red", "C", COLOURS, 0.0, 1.0),  # stands in "Dark red", which comes first
    ("dark red", "B", COLOURS, 1.0, 1.0),
    ("it is dark red", "B", COLOURS, 0.0, 1.0),  # the longer of two options within one another
    ("a", "D", COLOURS, 0.0, 0.0),
    ("ship", "D", COLOURS, 1.0, None),  # a part of an option
    ("The answer is a green ship", "D", COLOURS, 1.0, 1.0),  # "a" is an article, and the option's words stand there
    ("(B) red", "B", COLOURS, 1.0, None),  # letter and text disagree
    ("The best option is C", "C", COLOURS, 1.0, 1.0),
    ("The correct answer is (C) red.", "C", COLOURS, 1.0, 1.0),
    ("c", "C", COLOURS, 1.0, 1.0),
    ("3", "A", COUNTS, 1.0, 1.0),
    ("13", "B", COUNTS, 1.0, 1.0),
    ("0", "C", COUNTS, 1.0, None),  # a digit of "30"
    ("1", "B", COUNTS, 1.0, None),
    ("there are 4", "D", COUNTS, 0.0, 1.0),
]


@pytest.mark.parametrize(("answer", "true", "options", "theirs", "ours"), CHOICES)
def test_choices_by_their_own_text(
    answer: str, true: str, options: list[str], theirs: float, ours: float | None
) -> None:
    for rule, credit in (("mme_realworld", theirs), ("choice", ours)):
        result = answer_accuracy([answer], [true], match=rule, options=[options])
        assert (result["correct"], result["undecided"]) == ([credit or 0.0], int(credit is None)), rule
    plain = [option[4:] for option in options]
    assert answer_accuracy([answer], [true], match="choice", options=[plain])["correct"] == [ours or 0.0]


def test_mme_realworld_without_options_takes_the_letters() -> None:
    answers = ["Answer: B", "", "b", "(c)", "red"]
    assert answer_accuracy(answers, ["A", "A", "B", "C", "A"], match="mme_realworld")["correct"] == [1, 1, 1, 1, 0]


@pytest.mark.parametrize(
    ("match", "options", "message"),
    [
        ("exact", [["a"]], "'exact', which looks at no options"),
        ("choice", [], "0 entries for 1 items"),
        ("choice", ["(A) a"], r"options\[0\] is '\(A\) a'"),
        ("choice", [["(A) a", "(A) b"]], r"references\[0\].*same letter"),
        ("choice", [["(B) a", "(C) b"]], r"references\[0\].*'A' is none of the options"),
    ],
)
def test_bad_options_are_named(match: str, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        answer_accuracy(["a"], ["A"], match=match, options=options)


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


@pytest.mark.parametrize(
    ("text", "true", "credit"),
    [
        ("A, C", "AC", 1.0),
        ("C and A", "AC", 1.0),
        ("AC", "A, C", 1.0),
        ("(A)(C)", "AC", 1.0),
        ("The answers are A and C.", "AC", 1.0),
        ("A", "AC", 0.0),
        ("A, B, C", "AC", 0.0),
        ("A, C", "A", 0.0),
        ("A or C", "AC", None),
        ("BAD", "AB", None),
        ("<think>A? No, B or C.</think>\n<answer>B</answer>", "B", 1.0),
        ("I weigh A against B.</think>B", "B", 1.0),
        ("（Ｂ）", "B", 1.0),
        ("Ｂ．港口", "B", 1.0),
        ("B、港口", "B", 1.0),
        ("【B】", "B", 1.0),
        ("答案是B", "B", 1.0),
        ("答案：Ａ、Ｃ", "AC", 1.0),
        ("选B。", "B", 1.0),
    ],
)
def test_letters_are_sets(text: str, true: str, credit: float | None) -> None:
    assert RULES["choice"](text, true) == credit


def test_choices_with_several_right_options() -> None:
    options = [["（A）pier", "（B）barn", "（C）crane", "（D）well"]] * 5
    answers = ["A、C", "pier and crane", "A", "<answer>C, A</answer>", "a barn"]
    result = answer_accuracy(answers, ["AC"] * 5, match="choice", options=options)
    assert result["correct"] == [1.0, 1.0, 0.0, 1.0, 0.0]
    with pytest.raises(ValueError, match="'AE' is none of the options"):
        answer_accuracy(["A"], ["AE"], match="choice", options=options[:1])


# Answer, true answer, VHM's own program (fitzpchao/RSEvalKit, restated from its description) and RSCoVLM's variant.
VHM = [
    ("vhm", "It is a dense residential area.", "dense residential", 0.0, 1.0),
    ("vhm", "dense residential", "denseresidential", 1.0, 0.0),
    ("vhm", "Yes, there is.", "yes", 0.0, 1.0),
    ("vhm", "yes.", "yes", 0.0, 1.0),
    ("vhm", "", "rural", 1.0, 1.0),
    ("vhm_presence", "No", "no", 0.0, 1.0),
    ("vhm_presence", "No, there is none.", "no", 1.0, 1.0),
    ("vhm_presence", "True", "yes", 0.0, 1.0),
    ("vhm_presence", "no", "no", 1.0, 1.0),
]


@pytest.mark.parametrize(("rule", "text", "true", "theirs", "variant"), VHM)
def test_vhms_program_and_its_variant_have_a_name_each(
    rule: str, text: str, true: str, theirs: float, variant: float
) -> None:
    assert RULES[rule](text, true) == theirs
    assert RULES[f"rscovlm_{rule}"](text, true) == variant


def test_counts_stand_beside_the_table() -> None:
    result = rsvqa_accuracy(
        ["yes", "There are seven", "12", "between 0 and 10"],
        ["yes", "7", "13", "between 0 and 10"],
        subsets=["RSVQA_HR-presence", "HR-count", "hr-count", "LR-count"],
    )
    assert result["counts"] == {"HR-count": {"accuracy": 0.5, "items": 2}, "LR-count": {"accuracy": 1.0, "items": 1}}
    assert result["average"] == result["overall"] == 1.0 and "HR-comp" in result["missing"]
    alone = rsvqa_accuracy(["3"], ["3"], subsets=["LR-count"])
    assert alone["average"] is None and alone["counts"]["LR-count"]["accuracy"] == 1.0


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("TRUE.", "yes"),
        ("False", "no"),
        ("yes, no doubt", "unknown"),
        ("a harbour", "unknown"),
        ("There is NO ship", "no"),
        ("Yes!", "yes"),
    ],
)
def test_presence_as_the_reference_system_reads_it(answer: str, said: str) -> None:
    for reference in ("yes", "no", "unknown"):
        assert RULES["rscovlm_vhm_presence"](answer, reference) == float(reference == said)
