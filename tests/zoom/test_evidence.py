"""Evidence that is painted over: an engine that reads pixels must change its answer, one that guesses does not."""

from __future__ import annotations

import numpy as np
import pytest

from rscovlm.geometry import Boxes, Frame
from rscovlm.rasters import open_image
from rscovlm.zoom import check_evidence
from rscovlm.zoom.evidence import hidden_pair
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


@pytest.mark.parametrize(("margin", "grown"), [(None, 0.1), (0.25, 0.25)])
def test_the_grey_reaches_a_margin_beyond_the_region_and_no_further(margin: float | None, grown: float) -> None:
    """A tenth of each side unless it is said otherwise, and the pixel that the border runs through."""
    pixels = np.zeros((300, 400, 3), np.uint8)
    pixels[..., 0] = 200  # the mean of all channels is neither of them
    x1, y1, x2, y2 = 100, 60, 180, 100
    asked = ZoomQuestion(pixels, ASKED, "red", Boxes([[x1, y1, x2, y2]], "hbb", Frame(400, 300)))
    options = {} if margin is None else {"margin": margin}
    shown, hidden = hidden_pair(Eye(), asked, **options)
    overview = np.asarray(hidden.images()[0].convert("RGB"))
    assert shown.images()[0].size == hidden.images()[0].size == (400, 300)
    ys, xs = np.nonzero((overview != (200, 0, 0)).any(axis=2))
    assert (overview[ys, xs] == 67).all()
    across, down = grown * (x2 - x1) + 1, grown * (y2 - y1) + 1
    assert (xs.min(), ys.min(), xs.max(), ys.max()) == pytest.approx(
        (x1 - across, y1 - down, x2 + across, y2 + down), abs=1
    )
    assert len(xs) == (np.ptp(xs) + 1) * (np.ptp(ys) + 1)
