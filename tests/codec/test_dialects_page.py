"""The page on dialects shows what the code does: its table is made here, and every answer on it is read.

``RSCOVLM_WRITE_PAGES=1`` writes the table anew.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest

from rscovlm.codec import Codec
from rscovlm.codec.dialect import Dialect
from rscovlm.codec.presets import preset_names
from rscovlm.geometry import Boxes, Frame, Objects

PAGE = Path(__file__).parents[2] / "docs" / "dialects.md"
GRID = Frame(1000, 500)
SHIP = Objects(Boxes([[287, 97, 333, 148]], "hbb", GRID), ("ship",))
BEGIN, END = "<!-- table: begin -->\n", "<!-- table: end -->"


def _row(name: str) -> str:
    dialect = Dialect.preset(name)
    codec = dialect.codec
    spaces = codec.space if codec.obb_space is None else f"{codec.space}; oriented {codec.obb_space}"
    order = "y" if codec.layout(codec.kind).names[0].startswith("y") else "x"
    forms = ", ".join(f"**{kind}**" if kind == codec.kind else kind for kind in codec.kinds)
    corners = " (corners and angle)" if codec.layout("obb").form == "corners" and "obb" in codec.kinds else ""
    label = "named" if codec.labelled else "not named"
    answer = codec.encode(SHIP, GRID).replace("\n", "⏎").replace("\t", "").replace("|", "\\|")
    asked = dialect.ask("detect", classes=["plane", "ship"]).user.replace("|", "\\|")
    # A fence is code inside code: more backticks around it than in it.
    answer = f"```` {answer} ````" if "`" in answer else f"`{answer}`"
    cells = (
        f"[`{name}`]({dialect.source})",
        codec.style,
        spaces,
        order,
        f"{forms}{corners}",
        label,
        answer,
        _read(codec),
        f"`{asked}`",
    )
    return "| " + " | ".join(cells) + " |\n"


def _read(codec: Codec) -> str:
    """Return what the dialect's own answer is read as: the numbers of the box in pixels of the grid, and the class."""
    decoded = codec.decode(codec.encode(SHIP, GRID), GRID)
    assert not decoded.problems.keys() - {"no_label"}
    if decoded.points is not None:
        (x, y), label = decoded.points.points[0][0], decoded.point_labels[0]
        return f"point {x:.4g}, {y:.4g} {label}"
    (box,) = decoded.objects.boxes.as_kind("hbb").coords
    kind = decoded.objects.boxes.kind
    return f"{kind} within {', '.join(f'{side:.4g}' for side in box)} {decoded.objects.labels[0] or '(no class)'}"


def table() -> str:
    """Return the table of the page."""
    head = "| dialect | style | space | first | kinds | class | the answer | what is read | what `detect` asks |\n|---|---|---|---|---|---|---|---|---|\n"
    return head + "".join(map(_row, preset_names()))


def test_the_page_shows_what_the_code_does() -> None:
    page = PAGE.read_text(encoding="utf-8")
    if os.environ.get("RSCOVLM_WRITE_PAGES"):
        page = page.partition(BEGIN)[0] + BEGIN + table() + END + page.partition(END)[2]
        PAGE.write_text(page, encoding="utf-8")
    assert page.partition(BEGIN)[2].partition(END)[0] == table(), "run this test with RSCOVLM_WRITE_PAGES=1"


@pytest.mark.parametrize("name", preset_names())
def test_the_answers_on_the_page_are_read(name: str) -> None:
    row = next(line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith(f"| [`{name}`]"))
    answer = (
        re.split(r"(?<!\\) \| ", row)[6]
        .removeprefix("```` ")
        .removesuffix(" ````")
        .strip("`" if "```" not in row else "")
        .replace("⏎", "\n")
        .replace("\\|", "|")
    )
    decoded = Codec.preset(name).decode(answer, GRID, kind="hbb", categories=["ship"])
    assert not decoded.dropped
    if decoded.points is not None:
        np.testing.assert_allclose(decoded.points.points[0], [[310, 122.5]], atol=0.5)
        assert decoded.point_labels == ("ship",)
    else:
        unit = 10 if Codec.preset(name).space == "0-100" else 1.0
        np.testing.assert_allclose(decoded.objects.boxes.coords, [[287, 97, 333, 148]], atol=unit)
        assert decoded.objects.labels == ("ship",)


@pytest.mark.parametrize("name", preset_names())
def test_every_dialect_has_words_for_what_it_writes(name: str) -> None:
    dialect = Dialect.preset(name)
    for kind in dialect.codec.kinds:
        assert "ship" in dialect.ask("detect", kind=kind, classes=["plane", "ship"]).user
        assert "red ship" in dialect.ask("ground", kind=kind, expression="red ship").user
    assert dialect.source.startswith("https://")
    for task, values in (("caption", {}), ("answer", {"question": "Is it?"}), ("classify", {"classes": ["a", "b"]})):
        assert dialect.ask(task, **values).user


def test_paligemma_parts_classes_in_its_own_way_and_molmo_makes_no_boxes() -> None:
    assert Dialect.preset("paligemma").ask("detect", classes=["plane", "ship"]).user == "detect plane ; ship"
    with pytest.raises(ValueError, match="'molmo' answers 'detect' with points"):
        Dialect.preset("molmo").form("detect")
