"""The page of policies says what the scores say, whole and loading nothing."""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from rscovlm.engines import Conversation, Reply
from rscovlm.geometry import Boxes
from rscovlm.processing.resolution import PixelBudget
from rscovlm.zoom import PolicyScore, compare, write_comparison
from rscovlm.zoom.comparison import table
from rscovlm.zoom.comparison_page import COLUMNS, verdict
from rscovlm.zoom.summary import ZoomQuestion
from tests.zoom.eye import Eye
from tests.zoom.scripted import Scripted, call, texts
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


def test_figures_of_a_comparison_are_means_over_the_questions() -> None:
    """Four questions, counted by hand: what a policy gains and spoils, what its windows show, what it costs."""
    true = ["red", "red", "red", "red"]
    plain, zoomed = ["red", "red", "no", "no"], ["red", "no", "red", "red"]
    image = Image.new("RGB", (400, 300))
    boxes: list[Boxes | None] = [Boxes([[100, 100, 150, 150]], "hbb"), Boxes([[300, 200, 340, 230]], "hbb"), None, None]
    asked = [
        ZoomQuestion(image, f"@{number}", truth, evidence)
        for number, (truth, evidence) in enumerate(zip(true, boxes, strict=True))
    ]

    def script(conversation: Conversation, turn: int) -> Reply:
        text = "".join(texts(conversation))
        number = int(text.split("@")[1][0])
        if "<tools>" in text and not turn and number < 3:
            return Reply(call(90, 90, 160, 160), tokens=3, seconds=0.5)
        return Reply((zoomed if "<tools>" in text or turn else plain)[number], tokens=2, seconds=0.25)

    engine = Scripted(script, budget=PixelBudget(28 * 28, 448 * 448))
    none, one = compare(engine, asked, ["call"])
    assert (none.policy, none.accuracy, none.gain, none.harm, none.zoom_rate) == ("none", 0.5, 0.0, 0.0, 0.0)
    assert (none.evidence_rate, none.calls, none.seconds >= 0.25) == (None, 1.0, True)
    assert (one.policy, one.accuracy, one.gain, one.harm, one.zoom_rate) == ("call", 0.75, 0.25, 0.25, 0.75)
    assert (one.evidence_rate, one.calls, one.declined) == (0.5, 1.75, 0)
    assert one.seconds == pytest.approx((3 * 0.75 + 0.25) / 4, abs=0.2)
    assert one.visual_tokens > none.visual_tokens == 14 * 11
    assert [result.answer for result in one.results] == zoomed
    assert one.to_dict() == {
        name: getattr(one, name) if name != "problems" else dict(one.problems)
        for name in ("policy", "accuracy", "gain", "harm", "zoom_rate", "evidence_rate", "visual_tokens", "calls")
        + ("seconds", "declined", "problems")
    }
    lines = table([none, one]).splitlines()
    assert lines[2].startswith("| none | 0.50 | +0.00 | 0.00 | 0.00 |  | 154 | 1.0 | ")
    assert lines[3].startswith(f"| call | 0.75 | +0.25 | 0.25 | 0.75 | 0.50 | {one.visual_tokens:.0f} | 1.8 | ")


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
