"""What the demo's page states of masks, change and conditions is held against the scene it was drawn from."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

from rscovlm.demo import areas, searching
from rscovlm.demo.areas import SearchedPart, change_section, conditions_section, instruction, masks_section, solved
from rscovlm.demo.report import Figure, ReportedSearch, Story, write_report
from rscovlm.exports.matches import match_objects
from rscovlm.geometry import Boxes, Frame, Objects
from rscovlm.geometry.masks import Mask
from rscovlm.geometry.window import Window
from rscovlm.points.loading import load_segmenter
from rscovlm.points.segmenter import FilledShapes
from rscovlm.rasters import open_image
from rscovlm.scenes import LayoutConfig, SceneLayout
from tests.demo.test_demo import parsed, words


@cache
def part(found: str = "true") -> SearchedPart:
    """The liveliest part of a small scene, in which all, or nothing, was found."""
    layout = SceneLayout(0, LayoutConfig(2048, 2048))
    window = searching.liveliest(layout)
    frame = Frame(*window.size)
    part = SearchedPart(
        open_image(layout.render(*window)), window, layout, match_objects(*[Objects.empty("quad", frame)] * 2)
    )
    things = [part.thing(place, Window.whole(*window.size)) for place in part.places(Window.whole(*window.size))]
    quads = np.stack([thing.quad.ravel() for thing in things])
    true = Objects(Boxes(quads, "quad", frame), tuple(thing.label for thing in things))
    said = true if found == "true" else Objects.empty("quad", frame)
    return SearchedPart(part.raster, window, layout, match_objects(said, true))


def figures_in(text: str) -> list[float]:
    """The decimal numbers of a sentence."""
    return [float(number) for number in re.findall(r"\d\.\d\d", text)]


def test_masks_are_held_against_the_outlines_that_were_drawn() -> None:
    segmenter = load_segmenter("embedded")
    assert segmenter is not None
    section = masks_section(segmenter, part())
    mask, filled = figures_in(section.text[1])
    assert f"the {len(part().held.true)} objects" in section.text[1]
    assert mask > 0.8 and mask > filled + 0.1
    # The filled boxes, by outlines instead of pixels.
    whole = Window.whole(part().raster.width, part().raster.height)
    outlines = [shapely.Polygon(part().thing(place, whole).polygon) for place in part().places(whole)]
    boxes = [
        shapely.box(*one.bounds) for one in (shapely.Polygon(part().thing(p, whole).quad) for p in part().places(whole))
    ]
    exact = [one.intersection(box).area / one.union(box).area for one, box in zip(outlines, boxes, strict=True)]
    assert filled == pytest.approx(np.mean(exact), abs=0.03)
    assert "None of the found objects" in masks_section(FilledShapes(), part("nothing")).text[1]


@pytest.mark.parametrize("blind", [False, True])
def test_the_change_is_what_was_left_out(blind: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    window = areas.busiest(part())
    places = part().places(window)
    assert len(places) == max(
        len(part().places(Window(x, y, x + 252, y + 252))) for x in range(0, 379, 63) for y in range(0, 379, 63)
    )
    drawn: list[set[int]] = []

    def search(engine: object, raster: object, **_: int) -> object:
        left = [] if blind else [place for place in places if place not in drawn[len(asked)]]
        asked.append(len(left))
        frame = Frame(areas.COMPARED, areas.COMPARED)
        quads = [part().thing(place, window).quad.ravel() for place in left]
        found = (
            Objects(Boxes(np.stack(quads), "quad", frame), ("thing",) * len(left))
            if left
            else Objects.empty("quad", frame)
        )
        return type("Found", (), {"objects": found})

    class Outlines:
        """Draws the true mask of the object whose box it is given."""

        def segment(self, image: object, prompts: Any) -> list[Mask]:
            boxes = {tuple(_box(place)): place for place in places}
            return [
                part().mask(boxes[tuple(round(value, 6) for value in one.box.coords[0].tolist())], window)
                for one in prompts
            ]

    def _box(place: int) -> list[float]:
        quad = part().thing(place, window).quad
        return [float(round(value, 6)) for value in (*quad.min(axis=0), *quad.max(axis=0))]

    asked: list[int] = []
    original = areas.dated

    def dated(one: SearchedPart, where: Window, gone: list[int], light: float) -> object:
        drawn.append(set(gone))
        return original(one, where, gone, light)

    monkeypatch.setattr(areas, "search", search)
    monkeypatch.setattr(areas, "dated", dated)
    section = change_section(None, Outlines(), part(), 0)  # type: ignore[arg-type]
    assert drawn[0] and drawn[1] and not drawn[0] & drawn[1]
    assert figures_in(section.text[1]) == ([0.0, 0.0, 0.0] if blind else [1.0, 1.0, 1.0])
    assert len({figure.image.tobytes() for figure in section.figures}) == 3


def test_an_object_left_out_is_not_drawn() -> None:
    window = areas.busiest(part())
    place = part().places(window)[0]
    full, without = (np.asarray(areas.dated(part(), window, gone, 1.0), int) for gone in ([], [place]))
    changed = np.abs(full - without).max(axis=2) > 0
    mask = part().mask(place, window).full()
    assert changed[mask].mean() > 0.9
    rows, columns = np.nonzero(mask)
    # Its shadow and the smoothing of its edge reach a few pixels further.
    changed[max(rows.min() - 6, 0) : rows.max() + 7, max(columns.min() - 6, 0) : columns.max() + 7] = False
    assert not changed.any()


def test_the_trace_counts_what_each_step_keeps() -> None:
    true = part().held.true
    words_asked = instruction(true)
    section = conditions_section(part())
    assert words_asked in section.text[0]
    answer = solved(words_asked, true)
    assert 0 < len(answer.objects) <= 2
    kept = [int(re.search(r"(\d+)(?: of \d+ kept| found)", line)[1]) for line in section.text[1:-1]]  # type: ignore[index]
    assert kept == [entry.after for entry in answer.trace] and kept[-1] == len(answer.objects)
    assert (
        f"leave {len(answer.objects)}; of these the answer has {len(answer.objects)}, and 0 besides" in section.text[-1]
    )
    nothing = conditions_section(part("nothing"))
    assert f"leave {len(answer.objects)}; of these the answer has 0, and 0 besides" in nothing.text[-1]


def test_the_sections_stand_on_the_page(tmp_path: Path) -> None:
    section = conditions_section(part())
    search = ReportedSearch([Figure(section.figures[0].image, "found")], sections=[section])
    write_report(Story("A title", "lead", search=search), tmp_path / "report.html")
    text = words(parsed(tmp_path / "report.html")[0])
    assert "Conditions, step by step" in text and section.text[-1] in text
