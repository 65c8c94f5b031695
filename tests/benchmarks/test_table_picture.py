"""The picture of a table: marks stand where their figures are."""

from xml.etree import ElementTree

import numpy as np
import pytest

from rscovlm.benchmarks.grids import GridCell, GridRow, ReportGrid
from rscovlm.benchmarks.table_picture import to_svg

SVG = "{http://www.w3.org/2000/svg}"


def _grid(*rows: GridRow) -> ReportGrid:
    return ReportGrid("t", "T & <b>", ("first", "second"), rows)


def _across(svg: str) -> tuple[ElementTree.Element, float, float]:
    """Return the picture, and where 0 and 100 % stand."""
    root = ElementTree.fromstring(svg)
    places = {
        text.text: float(text.get("x", "")) for text in root.iter(f"{SVG}text") if "quiet" in text.get("class", "")
    }
    return root, places["0 %"], places["100 %"]


def test_marks_stand_at_their_figures() -> None:
    published = GridRow("other <x>", (GridCell(25.0), None), published=True)
    ours = GridRow("mine", (GridCell(50.0, 40.0, 65.0, "p"), GridCell(75.0, None, None, "p")))
    root, zero, whole = _across(to_svg(_grid(published, ours)))
    found = {}
    for circle in root.iter(f"{SVG}circle"):
        title = circle.find(f"{SVG}title")
        if title is not None and title.text:
            found[title.text] = 100 * (float(circle.get("cx", "")) - zero) / (whole - zero)
    assert found == {
        "other <x>, first: 25.00": pytest.approx(25, abs=0.1),
        "mine, first: 50.00 [40.00, 65.00]": pytest.approx(50, abs=0.1),
        "mine, second: 75.00": pytest.approx(75, abs=0.1),
    }
    (line,) = [one for one in root.iter(f"{SVG}line") if one.get("class") == "a"]
    ends = [100 * (float(line.get(key, "")) - zero) / (whole - zero) for key in ("x1", "x2")]
    assert ends == pytest.approx([40, 65], abs=0.1)
    assert {"50.00", "75.00"} <= {text.text for text in root.iter(f"{SVG}text")}


def test_a_figure_above_a_hundred_fits() -> None:
    root, zero, _ = _across(to_svg(_grid(GridRow("mine", (GridCell(131.4), GridCell(0.0))))))
    (most,) = [float(text.get("x", "")) for text in root.iter(f"{SVG}text") if text.text == "200 %"]
    places = [
        float(circle.get("cx", "")) for circle in root.iter(f"{SVG}circle") if circle.find(f"{SVG}title") is not None
    ]
    assert places == pytest.approx([zero + (most - zero) * 1.314 / 2, zero], abs=0.1)


@pytest.mark.parametrize("published", [True, False])
def test_the_legend_names_what_is_drawn(published: bool) -> None:
    others = [GridRow("theirs", (GridCell(1.0), None), published=True)] if published else []
    root = ElementTree.fromstring(to_svg(_grid(*others, GridRow("mine", (GridCell(2.0), None)))))
    words = [text.text for text in root.iter(f"{SVG}text")]
    assert ("○ published" in words) == published and "mine" in words
    assert to_svg(_grid()).startswith("<svg")


def test_no_mark_hides_another_and_further_conventions_are_not_drawn() -> None:
    rows = [GridRow(f"run {k}", (GridCell(50.0), GridCell(50.0)), drawn=k != 3) for k in range(10)]
    root = ElementTree.fromstring(to_svg(_grid(*rows)))
    marks = []
    for mark in root.iter():
        title = mark.find(f"{SVG}title")
        if title is not None and mark.tag != f"{SVG}svg":
            middle = mark.get("cy") or str(
                np.mean([float(one.split(",")[1]) for one in mark.get("points", "").split()])
            )
            marks.append((title.text or "", mark.get("class"), mark.tag, float(middle)))
    assert {name.split(",")[0] for name, *_ in marks} == {f"run {k}" for k in range(10) if k != 3}
    heights = sorted(height for *_, height in marks)
    assert len(heights) == 18 and min(np.diff(heights)) > 7
