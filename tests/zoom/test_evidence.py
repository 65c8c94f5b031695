"""Evidence that is painted over: an engine that reads pixels must change its answer, one that guesses does not."""

from __future__ import annotations

from rscovlm.geometry import Boxes
from rscovlm.rasters import open_image
from rscovlm.zoom import check_evidence
from rscovlm.zoom.summary import ZoomQuestion
from tests.zoom.eye import Eye, land
from tests.zoom.scripted import Scripted

ASKED = "What colour is the square?"


def question(box: list[float], answer: str = "blue") -> ZoomQuestion:
    return ZoomQuestion(open_image(land(3, [("blue", 700, 400)])), ASKED, answer, Boxes([box], "hbb"))


def test_hiding_the_evidence_changes_what_is_read_from_it() -> None:
    (check,) = check_evidence(Eye(), [question([690, 390, 722, 422])])
    assert (check.shown, check.hidden, check.right, check.changed, check.fault) == ("blue", "unknown", True, True, "")


def test_a_region_that_shows_nothing_and_a_guess_are_named() -> None:
    elsewhere, guessed = question([100, 100, 140, 140]), question([690, 390, 722, 422], "red")
    (wrong,) = check_evidence(Eye(), [elsewhere])
    assert (wrong.fault, wrong.shown) == ("wrong with its evidence", "unknown")
    (same,) = check_evidence(Scripted(lambda *_: "red"), [guessed])
    assert same.fault == "the same without its evidence"


def test_only_questions_with_evidence_count() -> None:
    bare = ZoomQuestion(land(3, []), ASKED, "blue")
    checks = check_evidence(Eye(), [bare, question([690, 390, 722, 422])])
    assert [check.number for check in checks] == [1]
