"""The same answers are read the same way from version to version, so that scores can be compared."""

from itertools import groupby

import pytest

from tests.codec.readings import Case, read, recorded


def _group(case: Case) -> list[str]:
    return [case.reader, *case.how.split(" ")[: 1 if case.reader == "detect" else None]]


READ = {
    " ".join(key): list(group)
    for key, group in groupby(sorted(recorded(), key=lambda one: _group(one[0])), key=lambda one: _group(one[0]))
}
"""Cases with their readings, by reader and dialect."""


@pytest.mark.parametrize("name", READ)
def test_answers_are_read_and_written_as_they_were(name: str) -> None:
    differing: list[tuple[Case, object, object]] = []
    for case, before in READ[name]:
        now = plain(read(case))
        if now != before:
            differing.append((case, before, now))
    assert not differing, (
        f"{len(differing)} of {len(READ[name])} answers; where that is meant, see tests/codec/readings.py"
    )


def plain(found: object) -> object:
    """Return values as JSON gives them back."""
    return [plain(one) for one in found] if isinstance(found, list | tuple) else found


def test_the_record_has_every_reader_and_dialect() -> None:
    assert len(READ) > 60 and sum(map(len, READ.values())) > 1_000
    assert {name.split()[0] for name in READ} == {"boxes", "detect", "mentions", "place", "sets", "written"}
