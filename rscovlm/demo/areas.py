"""Masks, a change map and a trace of conditions on the part of the large scene that was searched, each compared with the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rscovlm.codec.categories import plural
from rscovlm.demo.report import Figure, ReportedSection
from rscovlm.demo.searching import classes, search
from rscovlm.engines import Transformers
from rscovlm.exports.mask_drawing import tint_masks
from rscovlm.exports.matches import MatchedObjects, draw_matches, match_objects
from rscovlm.geometry import Objects
from rscovlm.geometry.masks import Mask
from rscovlm.geometry.window import Window
from rscovlm.points.box_masks import masks_of_boxes
from rscovlm.points.condition_rules import parse_by_rules
from rscovlm.points.condition_solver import ConditionSolver, SolvedConditions, TraceEntry
from rscovlm.points.loading import load_segmenter
from rscovlm.points.segmenter import FilledShapes, Segmenter
from rscovlm.rasters import Raster, open_image
from rscovlm.scenes import SceneLayout, SceneObject

COMPARED = 252
"""Side of the square whose two dates are compared, in pixels: 25 tiles a date."""

LIGHTS = 1.0, 0.88
"""How bright the dates are."""

SAME = 0.3
"""Overlap from which masks of two dates show one object."""


@dataclass(frozen=True)
class SearchedPart:
    """The part that was searched.

    Attributes:
        raster: Its picture.
        window: Where it lies in the scene.
        layout: The scene.
        held: What was found in it, compared with the truth.
    """

    raster: Raster
    window: Window
    layout: SceneLayout
    held: MatchedObjects

    def places(self, window: Window) -> list[int]:
        """Return the numbers of the scene's objects of the classes that lie whole in a window of the part."""
        return [
            place
            for place, thing in enumerate(self.layout.objects)
            if thing.label in classes() and _whole(self.thing(place, window), window)
        ]

    def thing(self, place: int, window: Window) -> SceneObject:
        """Return an object of the scene in pixels of a window of the part."""
        x, y = (float(start + begin) for start, begin in zip(self.window[:2], window[:2], strict=True))
        return self.layout.objects[place].moved(-x, -y)

    def mask(self, place: int, window: Window) -> Mask:
        """Return the true mask of an object in pixels of a window of the part."""
        return Mask.of(self.thing(place, window).mask(*window.size))


def look(engine: Transformers, part: SearchedPart, seed: int) -> list[ReportedSection]:
    """Return the sections about masks, change and conditions.

    Args:
        engine: Who finds objects.
        part: The part that was searched.
        seed: Of what comes and goes between the dates.
    """
    segmenter = load_segmenter("embedded") or FilledShapes()
    return [masks_section(segmenter, part), change_section(engine, segmenter, part, seed), conditions_section(part)]


def masks_section(segmenter: Segmenter, part: SearchedPart) -> ReportedSection:
    """Draw the masks of all found objects, and compare those of matched ones with the true masks."""
    found, size = part.held.found, (part.raster.width, part.raster.height)
    drawn = masks_of_boxes(segmenter, part.raster, found)
    filled = masks_of_boxes(FilledShapes(), part.raster, found)
    whole = Window.whole(*size)
    places = part.places(whole)
    quads = np.array([part.thing(place, whole).quad.ravel() for place in places]).reshape(-1, 8)
    overlaps, boxes = [], []
    for row, true in part.held.matched:
        (same,) = np.nonzero(np.abs(quads - part.held.true.boxes.coords[true]).max(axis=1) < 0.01)
        if len(same):
            thing = part.mask(places[int(same[0])], whole).full()
            overlaps.append(overlap(drawn[row].full(), thing))
            boxes.append(overlap(filled[row].full(), thing))
    text = [
        "The segmenter in the package, SAM 2 in miniature, is given the box of each object found and draws its mask."
    ]
    if overlaps:
        text.append(
            f"Mean IoU with the true masks of the {len(overlaps)} objects that are there: {np.mean(overlaps):.2f}; "
            f"of their boxes, filled: {np.mean(boxes):.2f}."
        )
    else:
        text.append("None of the found objects is there, so no mask is held against a true one.")
    picture = tint_masks(part.raster.read(whole).image, drawn)
    return ReportedSection("Masks", text, [Figure(picture, f"{len(drawn)} masks, tinted magenta.")])


def change_section(engine: Transformers, segmenter: Segmenter, part: SearchedPart, seed: int) -> ReportedSection:
    """Draw two dates of a square of the part, compare the masks of what is found in each, and compare the change with the truth."""
    window = busiest(part)
    places = part.places(window)
    order = [int(row) for row in np.random.default_rng([seed, 67]).permutation(places)]
    many = max(1, len(places) // 4)
    absent = order[:many], order[many : 2 * many]
    pictures = [dated(part, window, gone, light) for gone, light in zip(absent, LIGHTS, strict=True)]
    masks = []
    for picture in pictures:
        raster = open_image(picture)
        found = search(engine, raster, tile=84, overlap=42)
        masks.append(masks_of_boxes(segmenter, raster, found.objects))
    changed = unmatched(*masks), unmatched(*reversed(masks))
    size = (COMPARED, COMPARED)
    true = [union([part.mask(place, window) for place in gone], size) for gone in reversed(absent)]
    said = [union(some, size) for some in changed]
    why = (
        "The miniature was not trained to compare two images: objects are found in each date, the segmenter draws their masks, "
        "and what has no counterpart at the other date is the change. Both dates are drawn from the scene, in other light and "
        "with some objects left out."
    )
    right = [overlap(one, two) for one, two in zip(said, true, strict=True)]
    measured = (
        f"IoU of all that changed with the truth: {overlap(said[0] | said[1], true[0] | true[1]):.2f} (gone {right[0]:.2f}, new "
        f"{right[1]:.2f}). Calling nothing changed has 0."
    )
    drawn = [tint_masks(picture, some) for picture, some in zip(pictures, changed, strict=True)]
    captions = ("The earlier date; tinted: what is gone later.", "The later date; tinted: what is new.")
    figures = [Figure(picture, caption, 3) for picture, caption in zip(drawn, captions, strict=True)]
    both = tint_masks(pictures[1], [Mask.of(one) for one in true if one.any()])
    figures.append(Figure(both, "The true change, gone and new, on the later date.", 3))
    return ReportedSection("A change map", [why, measured], figures)


def conditions_section(part: SearchedPart) -> ReportedSection:
    """Solve an instruction with conditions on what was found, show its trace, and compare the answer with that on the truth."""
    words = instruction(part.held.true)
    mine, true = solved(words, part.held.found), solved(words, part.held.true)
    held = match_objects(mine.objects, true.objects)
    lead = f"“{words}”, read by rules and solved step by step, geometry deciding what geometry can:"
    trace = [f"{number}. {_traced(entry)}" for number, entry in enumerate(mine.trace, 1)]
    verdict = (
        f"Among the objects that are there the same steps leave {len(true.objects)}; of these the answer has {len(held.matched)}, "
        f"and {len(held.false)} besides."
    )
    text = [lead, *trace, verdict]
    picture = draw_matches(part.raster.read(Window.whole(part.raster.width, part.raster.height)), held)
    return ReportedSection(
        "Conditions, step by step", text, [Figure(picture, f"The answer, {len(mine.objects)} objects.")]
    )


def instruction(true: Objects) -> str:
    """Return an instruction of two conditions about what there is most of, which something there meets.

    >>> from rscovlm.geometry import Boxes, Frame
    >>> instruction(Objects(Boxes([[0, 0, 9, 9], [20, 0, 29, 9]], "hbb", Frame(30, 30)), ("ship", "ship")))
    'the two largest ships in the left half of the image'
    """
    counts = {name: true.labels.count(name) for name in dict.fromkeys(true.labels)}
    names = sorted(counts, key=lambda name: -counts[name]) or [classes()[0]]
    places = [
        *(
            f"{word} the {plural(name)}"
            for name in names[1:]
            for word in ("to the left of", "to the right of", "above", "below")
        ),
        *(f"in the {side} half of the image" for side in ("left", "right")),
    ]
    tried = [f"the two largest {plural(names[0])} {place}" for place in places]
    return next((words for words in tried if len(solved(words, true).objects)), tried[-1])


def solved(words: str, objects: Objects) -> SolvedConditions:
    """Solve an instruction on objects that are known by their labels.

    Raises:
        ValueError: The objects have no frame.
    """

    def find(what: str, many: bool) -> Objects:
        places = [place for place, label in enumerate(objects.labels) if what in (label, plural(label))]
        return objects[np.array(places, dtype=np.intp)]

    frame = objects.boxes.frame
    if frame is None:
        raise ValueError("the objects have no frame; give them that of their image")
    return ConditionSolver(find, frame).solve(parse_by_rules(words))


def busiest(part: SearchedPart) -> Window:
    """Return the square of the part with the most objects."""
    steps = range(0, part.raster.width - COMPARED + 1, COMPARED // 4)
    squares = [Window(x, y, x + COMPARED, y + COMPARED) for x in steps for y in steps]
    return max(squares, key=lambda square: len(part.places(square)))


def dated(part: SearchedPart, window: Window, gone: Sequence[int], light: float) -> Image.Image:
    """Draw a square of the part at a date at which some of the scene's objects are not there, in light of some strength."""
    x, y = (int(start + begin) for start, begin in zip(part.window[:2], window[:2], strict=True))
    drawn = part.layout.without(gone).render(x, y, x + window.width, y + window.height)
    return drawn.point(lambda level: min(255, round(light * level)))


def unmatched(masks: Sequence[Mask], others: Sequence[Mask]) -> list[Mask]:
    """Return the masks that overlap none of the others by `SAME`."""
    full = [other.full() for other in others]
    return [mask for mask in masks if mask.area and max((overlap(mask.full(), one) for one in full), default=0) < SAME]


def union(masks: Sequence[Mask], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return all that some masks cover, (height, width)."""
    out = np.zeros(size[::-1], bool)
    for mask in masks:
        out |= mask.full()
    return out


def overlap(one: NDArray[np.bool_], two: NDArray[np.bool_]) -> float:
    """Return the IoU of two masks, 1 for two empty ones."""
    either = int((one | two).sum())
    return int((one & two).sum()) / either if either else 1.0


def _traced(entry: TraceEntry) -> str:
    number = f"{entry.after} of {entry.before} kept" if entry.before else f"{entry.after} found"
    return f"{entry.words}: {number}, by {'the model' if entry.by == 'model' else entry.by}{f' ({entry.note})' if entry.note else ''}"


def _whole(thing: SceneObject, window: Window) -> bool:
    return bool((thing.quad >= 0).all() and (thing.quad <= window.size).all())
