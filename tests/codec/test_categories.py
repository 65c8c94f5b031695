"""Names of classes: singular and plural, order, and which one a written label means."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rscovlm.codec.categories import Matcher, plural, ranks, referent, singular, spoken

PLURALS = {
    "ship": "ships", "small vehicle": "small vehicles", "storage tank": "storage tanks", "Plane": "Planes",
    "bus": "buses", "overpass": "overpasses", "box": "boxes", "church": "churches", "bush": "bushes", "waltz": "waltzes",
    "ferry": "ferries", "city": "cities", "chimney": "chimneys", "bay": "bays", "highway": "highways", "quay": "quays", "toy": "toys",
    "aircraft": "aircraft", "hovercraft": "hovercraft", "bridge": "bridges", "house": "houses", "tennis court": "tennis courts",
    "oasis": "oasises",
}  # fmt: skip


@pytest.mark.parametrize(("one", "many"), PLURALS.items())
def test_plurals_and_back(one: str, many: str) -> None:
    assert plural(one) == many
    if one not in ("oasis", "waltz"):
        assert singular(many) == one


@pytest.mark.parametrize(
    ("many", "one"),
    [
        ("two people", "two person"), ("oases", "oasis"), ("gases", "gas"), ("Buses", "bus"), ("dies", "die"), ("pies", "pie"),
        ("glasses", "glass"), ("sandwiches", "sandwich"), ("dishes", "dish"), ("taxes", "tax"), ("fizzes", "fizz"), ("bases", "base"),
        ("gas", "gas"), ("as", "as"), ("campus", "campus"), ("tennis", "tennis"), ("grass", "grass"), ("bays", "bay"), ("ship", "ship"),
        ("SHIPS", "SHIP"), ("ground track fields", "ground track field"), ("ss fields", "ss field"), ("beaches", "beach"),
    ],
)  # fmt: skip
def test_singulars(many: str, one: str) -> None:
    assert singular(many) == one


def test_a_referent_has_no_article() -> None:
    assert [referent(text) for text in ("the ship", "The ship", " the  ship", "theatre", "ship")] == [
        "ship",
        "ship",
        " ship",
        "theatre",
        "ship",
    ]
    for nothing in ("", "  ", "the "):
        if not nothing.strip().removeprefix("the "):
            with pytest.raises(ValueError, match="say what to find"):
                referent(nothing)


@given(st.permutations(["large-vehicle", "Plane", "baseball diamond", "storage_tank"]))
def test_places_follow_the_alphabet_of_spoken_names(names: list[str]) -> None:
    order = ["baseball diamond", "large vehicle", "plane", "storage tank"]
    assert ranks(names, None) == [order.index(spoken(name)) for name in names]
    assert ranks(["PLANE", "StorageTank", "largevehicle"], names) == [2, 3, 1]
    # Of names that are one name without blanks, the written one is meant.
    assert ranks(["a bc", "abc", "a-b c"], ["abc", "a bc", "a b c"]) == [1, 2, 0]
    with pytest.raises(ValueError, match="label 1 is 'ship'"):
        ranks(["plane", "ship"], names)
    with pytest.raises(ValueError, match="give a list of names"):
        ranks(["plane"], "plane")


def test_the_first_of_names_that_are_alike_is_meant() -> None:
    match = Matcher(["Small-Vehicle", "small vehicle", "smallvehicle"])
    assert match("small_vehicle") == ("Small-Vehicle", None)
    assert match("small vehicle") == ("small vehicle", None)
    assert match("SMALLvehicle") == ("smallvehicle", None)
    assert match("small vehicles") == ("small vehicles", "unknown_label")


@pytest.mark.parametrize(
    ("label", "cutoff", "category"),
    [
        ("plane", 1.0, "plane"),
        ("planes", 0.9, "plane"),  # 10 of 11 characters are alike in both
        ("planes", 0.91, None),
        ("storage tan", 0.9, "storage tank"),
        ("shp", 0.85, "ship"),
        ("shp", 0.86, None),
        ("x" * 2000, 0.001, None),  # long labels are not compared
        ("plane" + "x" * 39, 0.2, "plane"),
        ("plane" + "x" * 50, 0.2, None),
    ],
)
def test_labels_that_are_close_enough_are_matched_and_counted(label: str, cutoff: float, category: str | None) -> None:
    match, problems = Matcher(["plane", "ship", "storage tank"], cutoff), Counter[str]()
    expected = (
        (label, "unknown_label") if category is None else (category, None if label == category else "matched_label")
    )
    assert match(label) == expected
    assert (match.counted(label, problems), +problems) == (expected[0], Counter([expected[1]] if expected[1] else []))
    assert match.counted("", problems) == "" and sum(problems.values()) <= 1


@given(
    st.lists(st.text("abc", min_size=1, max_size=6), min_size=1, max_size=4),
    st.text("abc", max_size=14),
    st.floats(0.05, 1),
)
def test_a_label_is_matched_wherever_a_name_is_similar_enough(names: list[str], label: str, cutoff: float) -> None:
    from rapidfuzz.distance import Indel

    best = max(Indel.normalized_similarity(label, name) for name in names)
    found, problem = Matcher(names, cutoff)(label)
    if best >= cutoff:
        assert Indel.normalized_similarity(label, found) == best and found in names
    else:
        assert (found, problem) == (label, "unknown_label")
