"""The page of policies says what the scores say, whole and loading nothing."""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest

from rscovlm.zoom import PolicyScore, compare, write_comparison
from rscovlm.zoom.comparison_page import COLUMNS, verdict
from tests.zoom.eye import Eye
from tests.zoom.test_policies import questions


def score(policy: str, accuracy: float, gain: float, harm: float, tokens: float) -> PolicyScore:
    return PolicyScore(policy, accuracy, gain, harm, 0.5, None, tokens, 2.5, 0.25, 0, Counter(), [None] * 40)  # type: ignore[list-item]


NONE = score("none", 0.5, 0.0, 0.0, 100)


def test_the_sentence_names_the_best_the_cheap_and_the_harmful() -> None:
    said = verdict([NONE, score("tree", 0.92, 0.42, 0.05, 5000), score("branch", 0.90, 0.40, 0.0, 700)])
    assert said == (
        "40 questions. tree answers best: +42 points above a single look, at 5000 visual tokens. branch comes within 3 points of "
        "it at 700. Right answers are lost by tree (5 points)."
    )
    assert verdict([NONE, score("vote", 0.4, -0.1, 0.1, 500)]) == (
        "40 questions. No policy answers better than a single look. Right answers are lost by vote (10 points)."
    )
    assert verdict([NONE]).endswith("than a single look. None loses right answers.")
    # As good for less is the better choice.
    assert "branch answers best" in verdict([NONE, score("tree", 0.9, 0.4, 0, 9), score("branch", 0.9, 0.4, 0, 3)])


class Cells(HTMLParser):
    """Collects the cells of tables, and whether every tag closes."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag != "meta":
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


def test_the_page_holds_every_figure_of_a_comparison(tmp_path: Path) -> None:
    scores = compare(Eye(), questions("one"), ["branch", "vote"], max_visual_tokens=6000)
    write_comparison({"<one> thing": scores}, tmp_path / "page.html", notes=["a & b"])
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    page = Cells()
    page.feed(text)
    assert not page.open and not page.sources and "&lt;one&gt; thing" in text and "a &amp; b" in text
    assert page.rows[0] == ["policy", *COLUMNS]
    for row, one in zip(page.rows[1:], scores, strict=True):
        assert row[0] == one.policy
        assert row[1:4] == [
            f"{100 * one.accuracy:.0f} %",
            f"{100 * one.gain:+.0f}" if one.gain else "0",
            f"{100 * one.harm:.0f}",
        ]
        assert row[6].replace(",", "") == f"{one.visual_tokens:.0f}" and row[7] == f"{one.calls:.1f}"
    # On a narrow screen the head is gone, and each cell brings its name.
    names = re.findall(r'data-name="([^"]+)"', text)
    assert names == [*COLUMNS] * len(scores)
    write_comparison({"again": scores}, tmp_path / "page.html")
    (tmp_path / "notes.html").write_text("mine", encoding="utf-8")
    with pytest.raises(ValueError, match=r"notes\.html"):
        write_comparison({"one": scores}, tmp_path / "notes.html")
    with pytest.raises(ValueError, match="there are no scores"):
        write_comparison({}, tmp_path / "other.html")
