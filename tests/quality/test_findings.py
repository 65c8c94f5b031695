"""What a finding says and how the report ranks them, by hand, on an image that is no square and boxes that are none."""

import json
from pathlib import Path

import numpy as np
import pytest

from rscovlm.quality.findings import Finding, Report
from rscovlm.quality.lint import box_faults, lint
from rscovlm.records.record import Annotation, ImageRef, Record

SIZE = ImageRef("x.png", width=100, height=80)


@pytest.mark.parametrize(
    ("box", "check", "beyond", "weight"),
    [
        ((90, 10, 104, 20), "box outside", 4.0, 0.04),
        ((-7, 10, 30, 20), "box outside", 7.0, 0.07),
        ((10, -30, 20, 50), "box outside", 30.0, 0.375),
        ((10, 60, 20, 88), "box outside", 8.0, 0.1),
        ((10, 10, 100.6, 20), "box outside", 0.6, 0.006),
        ((10, 10, 200, 20), "box outside", 100.0, 1.0),
        ((10, 10, 201, 20), "box far outside", 101.0, 1.01),
        ((10, 10, 20, 161), "box far outside", 81.0, 81 / 80),
        # Those that touch an edge from outside show nothing of the image.
        ((100, 10, 140, 20), "box far outside", 40.0, 0.4),
        ((-50, 10, 0, 20), "box far outside", 50.0, 0.5),
        ((10, 80, 20, 100), "box far outside", 20.0, 0.25),
        ((10, -16, 20, 0), "box far outside", 16.0, 0.2),
    ],
)
def test_how_far_a_box_lies_outside(box: tuple[float, ...], check: str, beyond: float, weight: float) -> None:
    ((found, detail, ranked),) = box_faults(Annotation(box, "ship", "hbb"), SIZE)
    assert (found, detail) == (check, f"{beyond:.1f} px outside 100x80")
    assert ranked == pytest.approx(weight, rel=1e-9)


@pytest.mark.parametrize("image", [None, ImageRef("x.png", width=0, height=0)])
def test_nothing_is_outside_of_an_image_of_unknown_size(image: ImageRef | None) -> None:
    assert box_faults(Annotation((900, 10, 990, 20), "ship", "hbb"), image) == []
    assert [fault[0] for fault in box_faults(Annotation((9, 10, 9, 20), "ship", "hbb"), image)] == ["box inverted"]


def test_all_are_counted_and_the_worst_are_kept(tmp_path: Path) -> None:
    report = Report(keep=3)
    for weight in (4, 9, 1, 7, 2, 8, 3, 6, 5):
        report.add(Finding("size", f"place {weight}", "too small", weight))
    report.add(Finding("class names", "Ship", "ships", 2))
    assert report.counts == {"size": 9, "class names": 1}
    assert [finding.weight for finding in report.worst("size")] == [9, 8, 7]
    assert report.worst("leak") == []
    assert report.errors == 9
    assert report.table().splitlines() == [
        "0 records, 0 images: 9 errors, 1 warnings",
        "   error        9  size: the image has another size than the record says",
        "                   place 9: too small",
        " warning        1  class names: names that differ only in spelling",
        "                   Ship: ships",
    ]
    report.write(tmp_path / "new" / "lint.json")
    written = json.loads((tmp_path / "new" / "lint.json").read_text(encoding="utf-8"))
    assert written["checks"]["class names"] == {
        "level": "warning",
        "count": 1,
        "worst": [{"place": "Ship", "detail": "ships", "weight": 2, "others": []}],
    }


@pytest.mark.parametrize(
    ("task", "spellings"), [("detection", 1), ("classification", 1), ("counting", 0), ("segmentation", 0)]
)
def test_spellings_are_compared_where_a_source_keeps_to_a_list(task: str, spellings: int) -> None:
    rows = [
        Record(str(k), "made", "train", task, (SIZE,), classes=(name,), categories=(name, ""), answer="1")
        for k, name in enumerate(("tennis-court", "TennisCourts", "glass", "glas"))
    ]
    report = lint(rows)
    assert report.counts["class names"] == spellings
    if spellings:
        (found,) = report.worst("class names")
        assert found.detail == "'tennis-court' (1), 'TennisCourts' (1)" and found.weight == 2


@pytest.mark.parametrize(("wide", "high"), [(1, 1), (9000, 4500)])  # shares, and pixels of an image ten times as large
@pytest.mark.parametrize(("boxes", "found"), [(19, 0), (20, 1)])
def test_a_scale_is_judged_from_twenty_boxes_on(wide: int, high: int, boxes: int, found: int) -> None:
    sides = np.sort(np.random.default_rng(1).random((boxes, 2, 2)), axis=1) * (wide, high)
    rows = [
        Record(
            str(k),
            "made",
            "train",
            "detection",
            (ImageRef(f"{k}.png", width=900, height=450),),
            objects=(Annotation(tuple(box.ravel().round(4).tolist()), "ship", "hbb"),),
            categories=("ship",),
        )
        for k, box in enumerate(sides)
    ]
    assert lint(rows).counts["scale"] == found
