"""Cleaning changes what its rules name, nothing else, settles after one pass, and says what it did."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rscovlm.data.sources import convert
from rscovlm.quality.cleaning import Cleaner, survey
from rscovlm.records.record import Annotation, ImageRef, Record, Turn
from tests.data.sources.layouts import chat, picture, text
from tests.records.strategies import records as any_record

IMAGE = ImageRef("a.png", width=200, height=100)
CLEANER = Cleaner()
SHIP = Annotation((20, 20, 60, 40), "", "hbb")


def _talk(question: str, answer: str, *objects: Annotation) -> Record:
    turns = (Turn("user", question), Turn("assistant", answer))
    return Record("1", "s", "train", "conversation", (IMAGE,), turns=turns, objects=objects)


@pytest.mark.parametrize(
    ("question", "clean"),
    [
        ("<image>[vqa] How many ships?", "<image>How many ships?"),
        ("<image>\n[refer] where is the ship?", "<image>where is the ship?"),
        ("[VQA][caption] Describe the image", "Describe the image"),
        ("[unknown] tag", "[unknown] tag"),
        ("see [refer] here", "see [refer] here"),
    ],
)
def test_tags_before_a_sentence_go(question: str, clean: str) -> None:
    assert Cleaner().clean(_talk(question, "Two.")).turns[0].text == clean


@pytest.mark.parametrize(
    ("question", "kept"), [("<image>[identify] <box:0>", "<box:0>"), ("[refer] the red roof", "the red roof")]
)
def test_tags_before_a_fragment_become_a_question(question: str, kept: str) -> None:
    record = _talk(question, "A ship.", SHIP)
    found = Cleaner().clean(record).turns[0].text
    assert kept in found
    assert "[" not in found
    assert found.count(" ") > kept.count(" ")
    assert found[-1] in ".?"
    assert found.startswith("<image>") == question.startswith("<image>")
    assert Cleaner().clean(record).turns[0].text == found


def test_phrasings_vary_between_texts() -> None:
    cleaner = Cleaner()
    firsts = {cleaner.clean(_talk(f"[refer] roof {i}", "-")).turns[0].text.split()[0] for i in range(40)}
    assert len(firsts) == 4


@pytest.mark.parametrize(
    ("dirty", "clean"),
    [
        ("A port ,with  two ships .", "A port, with two ships."),
        ("There are are.. two", "There are are. two"),
        ("two,, three", "two, three"),
        ("Is it a port. ?", "Is it a port?"),
        ("surounded by teh buidlings", "surrounded by the buildings"),
        ("Teh the the end", "The the end"),
        ("1,000 m , 2.5 m ... and so on", "1,000 m, 2.5 m ... and so on"),
        ("a airport", "an airport"),
        ("A field () .", "A field."),
        ("at <box:0> , left", "at <box:0>, left"),
        ("line \n next", "line\nnext"),
        ("ratio 3:4, time 10:30, 12.5.", "ratio 3:4, time 10:30, 12.5."),
        ("(A) red", "(A) red"),
        ("B", "B"),
        ("e.g. U.S. roads", "e.g. U.S. roads"),
    ],
)
def test_punctuation_and_typos(dirty: str, clean: str) -> None:
    assert Cleaner().clean(_talk("?", dirty, SHIP)).turns[1].text == clean


@settings(max_examples=60)
@given(
    st.lists(
        st.sampled_from(["a", "teh", " ", ".", ",", "?", "\n", "<box:0>", "[refer]", "()", "3", "the", "<image>"]),
        max_size=9,
    )
)
def test_one_pass_settles_any_text(pieces: list[str]) -> None:
    once = CLEANER.clean(_talk("".join(pieces), "".join(pieces), SHIP))
    assert CLEANER.clean(once) == once


@settings(max_examples=30)
@given(any_record())
def test_only_words_change(record: Record) -> None:
    clean = CLEANER.clean(record)
    for name in (
        "id",
        "source",
        "split",
        "task",
        "images",
        "objects",
        "regions",
        "classes",
        "choices",
        "categories",
        "masks",
        "extra",
    ):
        assert getattr(clean, name) == getattr(record, name)


def test_boxes_echoed_by_the_answer_go_and_others_stay() -> None:
    cleaner = Cleaner()
    echoed = cleaner.clean(_talk("What is at <box:0>?", "<box:0> is a ship.", SHIP))
    assert echoed.turns[1].text == "is a ship."
    only = cleaner.clean(_talk("Find it near <box:0>.", "<box:0>", SHIP))
    assert only.turns[1].text == "<box:0>"
    other = cleaner.clean(
        _talk("What is at <box:0>?", "A ship beside <box:1>.", SHIP, Annotation((1, 1, 2, 2), "", "hbb"))
    )
    assert other.turns[1].text == "A ship beside <box:1>."


def test_scales_are_surveyed_and_boxes_unified(tmp_path: Path) -> None:
    picture(tmp_path, "images/a.png", 400, 300)
    rows = [
        {
            "id": i,
            "image": "a.png",
            "conversations": chat("<image>\nWhere is it?", f"At [{i}, {i + 1}, {i + 9}, {i + 19}]."),
        }
        for i in range(0, 980, 20)
    ]
    text(tmp_path, "vhm.json", rows)
    records = list(convert("vhm", tmp_path))
    guesses = survey(records)
    assert (guesses["vhm"].scale, guesses["vhm"].certain) == (1000, True)
    cleaner = Cleaner(scales={name: guess.scale for name, guess in guesses.items()})
    first, second, *_ = cleaner.clean_all(records)
    assert first.turns[1].text == "At <box:0>."
    assert second.objects[0].box == pytest.approx((8, 6.3, 11.6, 11.7))
    (rule,) = cleaner.report()["rules"]
    assert (rule["rule"], rule["substitutions"], rule["records"]) == ("boxes of scale 1000", len(rows), len(rows))
    assert rule["examples"][1] == {"before": "At [20, 21, 29, 39].", "after": "At <box:0>."}


def test_the_report_counts_what_changed() -> None:
    cleaner = Cleaner()
    list(cleaner.clean_all([_talk("[vqa] How ?", "Two  ships  here"), _talk("Which?", "This.")]))
    report = cleaner.report()
    assert (report["records"], report["changed"]) == (2, 1)
    counts = {row["rule"]: (row["substitutions"], row["records"]) for row in report["rules"]}
    assert counts == {"tag [vqa]": (1, 1), "spaces": (2, 1), "space before punctuation": (1, 1)}
    assert "'Two  ships  here' -> 'Two ships here'" in cleaner.table()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("ruels: []", "unknown parts"),
        ("rules: [{name: x, find: '('}]", "'x' cannot"),
        ("rules: [{name: x, side: me}]", "side 'me'"),
    ],
)
def test_malformed_rule_files_are_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(content)
    with pytest.raises(ValueError, match=message):
        Cleaner(path)


def test_five_numbers_are_lifted_as_the_set_says() -> None:
    image = ImageRef("a.png", width=500, height=500)
    turns = (Turn("user", "<image>Where?"), Turn("assistant", "At [20, 40, 60, 60, 0]."))
    record = Record("1", "s", "train", "conversation", (image,), turns=turns)
    for corners, box in ((True, (200, 250, 200, 100, 0)), (False, (100, 200, 300, 300, 0))):
        cleaned = Cleaner(scales={"s": 100}, corners={"s": corners}).clean(record)
        assert cleaned.objects[0].box == box and cleaned.turns[1].text == "At <box:0>."
    unsure = Cleaner(scales={"s": 100}, corners={"s": None}).clean(record)
    assert not unsure.objects and unsure.turns[1].text == "At [20, 40, 60, 60, 0]."


def test_what_a_converter_left_is_not_surveyed() -> None:
    image = ImageRef("a.png", width=512, height=512)
    box = Annotation((1, 2, 3, 4), "pier", "hbb")
    marked = [
        Record(str(k), "s", "train", "conversation", (image,), objects=(box,),
               turns=(Turn("user", "<image>Where?"), Turn("assistant", "At <box:0>.")))
        for k in range(3)
    ]  # fmt: skip
    left = Record(
        "9", "s", "train", "conversation", (image,), turns=(Turn("user", "?"), Turn("assistant", "[90, 9, 132, 24]"))
    )
    assert survey([*marked, left]) == {} and survey([left])["s"].certain is False


@pytest.mark.parametrize(
    ("question", "clean"),
    [
        ("<image>\n{VQA} Is there a harbour?", "<image>Is there a harbour?"),
        ("<image>{CLS} Choose the class.", "<image>Choose the class."),
        ("{IT} Count the ships. Answer the number.", "Count the ships. Answer the number."),
        ("{IDK} Is the plane red?", "Is the plane red?"),
        ("{VG} Where is the big ship?", "Where is the big ship?"),
        ("[seg] Segment the roads", "Segment the roads"),
        ("[change] What is new?", "What is new?"),
        ("[geoloc] Where was this taken?", "Where was this taken?"),
        ("{x} stays", "{x} stays"),
    ],
)
def test_tags_of_vhm_and_georsmllm_go(question: str, clean: str) -> None:
    assert Cleaner().clean(_talk(question, "Two.")).turns[0].text == clean


@pytest.mark.parametrize(
    ("question", "wordings"),
    [
        ("[refer] 2 ships", ("the 2 ships",)),
        ("[refer] red roof on the left", ("the red roof on the left",)),
        ("[refer] these roofs", ("Locate these roofs.", "Find these roofs", "Point out these", "the box of these")),
        ("[refer] where's the ship", ("where's the ship",)),
        ("[refer] I need the place of the ship", ("I need the place of the ship",)),
        ("[identify] <box:0>, <box:0>", ("What is at <box:0>, <box:0>?", "what is at <box:0>, <box:0>.")),
        ("[identify] what's this <box:0>", ("what's this <box:0>",)),
        ("[identify] the object at <box:0>", ("Identify the object at <box:0>.", "Name the object at <box:0>.")),
        ("[identify] object <box:0>", ("Identify the object <box:0>.", "Name the object <box:0>.")),
        ("[identify] <box:0> is what kind of ship", ("<box:0> is what kind of ship",)),
        ("[detection] ships", ("all of the ships.",)),
        ("[seg] roads {2}", ("the roads {2}.",)),
    ],
)
def test_wordings_fit_one_thing_and_several(question: str, wordings: tuple[str, ...]) -> None:
    found = Cleaner().clean(_talk(question, "A ship.", SHIP)).turns[0].text
    assert found.endswith(wordings) or any(words in found for words in wordings)
    assert not any(words in found for words in ("is at the", "Where is 2", "is these", "What is at where"))


def test_boxes_beyond_the_image_and_stray_numbers_keep_their_scale(tmp_path: Path) -> None:
    """One number too large neither hides a box of its own scale, nor makes `clean` guess another from what was refused."""
    picture(tmp_path, "Images_train/Images_train/a.png", 400, 200)
    answers = ["{<90><10><154><30>}", "{<10><20><30><40>}", "{<76><982><82><99>}"]
    rows = [
        {"id": i, "image": "a.png", "conversations": chat("<image>\n?", answer)} for i, answer in enumerate(answers)
    ]
    text(tmp_path, "VRSBench_train.json", rows)
    found = list(convert("vrsbench", tmp_path))
    assert survey(found) == {}
    cleaner = Cleaner()
    clean = list(cleaner.clean_all(found))
    assert [[item.box for item in record.objects] for record in clean] == [
        [(360, 20, 616, 60)],
        [(40, 40, 120, 80)],
        [],
    ]
    assert clean[2].turns[1].text == answers[2]
    assert cleaner.changes["boxes that cannot be, left as text"].substitutions == 1


@pytest.mark.parametrize("rows", [1, 19])
def test_no_scale_is_certain_from_a_few_boxes(rows: int) -> None:
    records = [_talk(f"What is at [{i}, {i}, {i + 30}, {i + 40}]?", "A ship.") for i in range(rows)]
    assert not survey(records)["s"].certain
