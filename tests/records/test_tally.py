"""Counts of what was dropped: by reason, with places, across parts and over a resume."""

import json
from typing import Any

import pytest

from rscovlm.records.tally import Rejected, Strict, Tally, TooManyRejected


def _counted() -> Tally:
    tally = Tally(0.5, examples=2)
    tally.keep(6)
    for number in range(3):
        tally.drop("no box", f"row {number}", "it has 3 numbers" if number else "")
    tally.drop("missing file", "row 7")
    tally.set_aside("another split", "row 8")
    tally.set_aside("another split", "row 9")
    return tally


def test_the_table_lists_reasons_by_how_many_and_some_places() -> None:
    assert _counted().table().splitlines() == [
        "10 rows: 6 kept, 4 dropped; 2 more set aside",
        "        3  no box",
        "           row 0",
        "           row 1: it has 3 numbers",
        "        1  missing file",
        "           row 7",
        "        2  another split",
        "           row 8",
        "           row 9",
    ]
    assert Tally().table() == "0 rows: 0 kept, 0 dropped"


def test_counts_come_back_from_a_file() -> None:
    tally, again = _counted(), Tally(0.5)
    again.load(json.loads(json.dumps(tally.to_dict())))
    assert (again.kept, again.dropped, again.places) == (tally.kept, tally.dropped, tally.places)
    assert again.seen == 10
    foreign: list[Any] = [None, [], {}, {"kept": "x", "dropped": {}, "places": {}}]
    for content in (*foreign, {"kept": 1, "dropped": {"a": "b"}, "places": {}}):
        with pytest.raises(ValueError, match="these are no counts"):
            again.load(content)
    assert again.seen == 10


def test_parts_add_up() -> None:
    tally, other = _counted(), Tally(examples=9)
    error = ValueError("first")
    other.drop("no box", "elsewhere", cause=error)
    other.keep()
    tally.add(other)
    assert (tally.kept, tally.dropped["no box"], tally.aside["another split"], tally.seen) == (7, 4, 2, 12)
    assert tally.cause is error
    assert tally.places["no box"] == ["row 0", "row 1: it has 3 numbers"]  # two examples, as it was made


@pytest.mark.parametrize(
    ("error", "reason", "place"),
    [
        (Rejected("too dark", "mean 3"), "too dark", "row 4: mean 3"),
        (FileNotFoundError("a.png"), "missing file", "row 4: a.png"),
        (PermissionError("a.png"), "unreadable file", "row 4: a.png"),
        (UnicodeDecodeError("utf-8", b"x", 0, 1, "bad"), "malformed row", "row 4: UnicodeDecodeError: 'utf-8'"),
    ],
)
def test_what_data_causes_is_counted_where_it_happened(error: Exception, reason: str, place: str) -> None:
    tally = Tally()
    with tally.row("outer"):
        with tally.row("row 4"):
            assert tally.at == "row 4"
            raise error
        assert tally.at == "outer"
    assert tally.at == ""
    assert tally.dropped == {reason: 1}
    assert tally.places[reason][0].startswith(place)
    assert tally.cause is error


def test_the_share_that_may_be_lost_is_reached_and_not_passed() -> None:
    tally = Tally(0.25)
    tally.keep(3)
    tally.drop("no box", "row 3")
    tally.set_aside("another split", "row 4")
    tally.finish()
    tally.drop("no box", "row 5", cause=KeyError("box"))
    tally.check(8)  # of eight rows two are a quarter
    with pytest.raises(TooManyRejected, match=r"40.00% of the rows cannot be used, more than 25.00%") as refused:
        tally.check(7)
    assert isinstance(refused.value.__cause__, KeyError)
    with pytest.raises(TooManyRejected):
        tally.finish()
    for limit in (-0.1, 1.1):
        with pytest.raises(ValueError, match="is not a share"):
            Tally(limit)


def test_units_are_counted_as_they_are_read() -> None:
    tally = Tally(0.5)
    units = tally.counted("abc")
    assert (next(units), tally.kept) == ("a", 1)
    assert list(units) == ["b", "c"]
    assert tally.kept == 3
    for place in "defg":
        tally.drop("no box", place)
    passed = tally.checked("xy")
    assert [next(passed), next(passed)] == ["x", "y"]
    with pytest.raises(TooManyRejected):
        next(passed)


def test_strict_names_the_place() -> None:
    with pytest.raises(Rejected, match="row 3: it has 3 numbers"):
        Strict().drop("no box", "row 3", "it has 3 numbers")
    with pytest.raises(Rejected, match="row 3: no box"):
        Strict().drop("no box", "row 3")
