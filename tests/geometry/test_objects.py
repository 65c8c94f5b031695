"""Labelled objects."""

from rscovlm.geometry import Boxes, Frame, Objects


def test_no_rows_can_be_chosen() -> None:
    objects = Objects(Boxes([[0, 0, 1, 1]], "hbb", Frame(4, 4)), ("ship",))
    assert len(objects[[]]) == 0
    assert objects[0] == objects[[0]] == objects[-1]
