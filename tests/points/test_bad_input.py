"""What a user, a model or a segmenter may get wrong: a clear error or the documented value, and nothing lost."""

import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rscovlm.codec.dialect import Dialect
from rscovlm.codec.places import read_place
from rscovlm.codec.set_of_points import SetOfPoints
from rscovlm.geometry import Frame
from rscovlm.geometry.masks import Mask
from rscovlm.points.polygons import polygons_of
from rscovlm.tasks.areas import area_rows, mask_rows
from rscovlm.tasks.change import change
from rscovlm.tasks.cyclic import mask_round_trips
from rscovlm.tasks.segment import segment
from tests.tasks.test_one_home import Trained

DIALECT = Dialect.preset("rscovlm-v1")
IMAGE = Image.new("RGB", (200, 100))
TWO = "[(10,20),(60,60)],[(30,30)] roof\n[(70,20),(90,60)],[(80,30)] roof\n"


class Faulty:
    """A segmenter that gives whatever it is made with."""

    def __init__(self, given: Callable[[tuple[int, int], int], Any]) -> None:
        self.given = given

    def segment(self, image: Any, prompts: Any) -> Any:
        height, width = np.asarray(image).shape[:2]
        return self.given((height, width), len(prompts))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            lambda size, count: None,
            "Faulty.segment gave a NoneType for 2 prompts; it must give a list of one mask each",
        ),
        (lambda size, count: [], "gave 0 for 2 prompts"),
        (lambda size, count: [Mask.of(np.ones(size))], "gave 1 for 2 prompts"),
        (lambda size, count: iter([]), "gave a list_iterator for 2 prompts"),
        (lambda size, count: [None] * count, "gave a NoneType for an image of 200x100"),
        (lambda size, count: [np.ones(size)] * count, "gave a ndarray for an image of 200x100"),
        (lambda size, count: [Mask.of(np.ones((7, 5)))] * count, "gave a Mask of 5x7 for an image of 200x100"),
    ],
)
def test_a_segmenter_that_gives_something_else_is_named(given: Any, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        segment(Trained(DIALECT, TWO), IMAGE, ["roof"], segmenter=Faulty(given))


def test_a_segmenter_that_finds_nothing_is_counted() -> None:
    nothing = Faulty(lambda size, count: [Mask.of(np.zeros(size))] * count)
    found = segment(Trained(DIALECT, TWO), IMAGE, ["roof"], segmenter=nothing)
    assert (found.masks, found.polygons(), found.problems, len(found.prompts)) == ((), [], {"empty_mask": 2}, 2)


@pytest.mark.parametrize(
    ("answer", "masks", "problems"),
    [
        ("", 0, {"nothing_readable": 1}),
        ("There are none.", 0, {}),
        ("I see a lake.", 0, {"nothing_readable": 1}),
        ("[(5,5),(9,9)] change", 1, {"converted": 1}),
        ('[{"polygon": [[[5, 5], [9, 9]]], "label": "change"}]', 0, {"too_few_points": 1}),
        ("[(5,5),(9,9),(9,5)] change", 1, {"open_polygon": 1}),
        ("[(5,5),(9,9),(9,5),(5,9),(5,5)] change", 1, {"self_crossing": 1}),
        ("[(5,5),(5,5),(5,5),(5,5)] change", 0, {"degenerate": 1, "empty_mask": 1}),
        ("[(0,0),(0.4,0),(0.4,0.4),(0,0)] change", 0, {"empty_mask": 1, "space_suspect": 1}),
        ("[(900,900),(950,900),(950,950),(900,900)] change", 0, {"empty_mask": 1, "outside": 1}),
        ("[(5,5),(6,5),(6,6),(5,6),(5,5)] change", 1, {}),
    ],
)
def test_every_odd_outline_is_counted_and_can_be_written(answer: str, masks: int, problems: dict[str, int]) -> None:
    """Counts, masks and polygons are plain numbers, as rows want them."""
    found = change(Trained(DIALECT, answer), IMAGE, IMAGE, check_shift=False)
    assert (len(found.masks), found.problems) == (masks, problems)
    rows = {"problems": found.problems, "objects": area_rows(found.polygons())}
    assert json.loads(json.dumps({**rows, "masks": mask_rows(found.labels, found.masks)}))["problems"] == problems


@pytest.mark.parametrize("preset", ["rscovlm-v1", "qwen3-vl", "gemini"])
def test_counts_are_plain_numbers_in_every_dialect(preset: str) -> None:
    text, grid = SetOfPoints(Dialect.preset(preset).codec), Frame(504, 504)
    for answer in (
        "[(0,0),(0.4,0),(0.4,0.4),(0,0)] a",
        "[(0,0),(9999,0),(9999,9999),(0,0)] a",
        "[(1,1)] a",
        "[(0.1,0.2)]",
    ):
        for form in ("corners", "prompt", "polygon"):
            read = text.decode(answer, grid, form=form)
            assert {type(count) for count in read.problems.values()} <= {int}, (answer, form)


def test_masks_of_another_size_and_empty_ones_are_refused() -> None:
    engine = Trained(DIALECT, "")
    with pytest.raises(ValueError, match="mask 0 is one of 20x10 pixels and the image has 200x100; bring it there"):
        mask_round_trips(engine, IMAGE, [Mask.of(np.ones((10, 20)))])
    with pytest.raises(ValueError, match="an empty mask has no box; leave it out"):
        mask_round_trips(engine, IMAGE, [Mask.of(np.zeros((100, 200)))])
    with pytest.raises(ValueError, match="a mask of 5x5 pixels is not one of an image of 6x5"):
        Mask.of(np.ones((5, 5)), Frame(6, 5))
    assert polygons_of(Mask.of(np.zeros((5, 5)))).objects == ()


@pytest.mark.parametrize(
    ("text", "coordinates", "problems"),
    [
        ("(95, 200)", None, {"latitude_out_of_range": 1}),
        ("91N 12E", None, {"latitude_out_of_range": 1}),
        ("(12.5, 200)", (12.5, -160.0), {"longitude_wrapped": 1}),
        ("lat 41.9 lon 541", None, {"longitude_out_of_range": 1}),
        ("[Rome, (95, 12)]", (12.0, 95.0), {"order_swapped": 1}),
        ("48d 75' N 5 E", None, {"minutes_out_of_range": 1}),
        ("(nan, 3)", None, {"no_coordinates": 1}),
    ],
)
def test_places_off_the_earth_are_counted(text: str, coordinates: Any, problems: dict[str, int]) -> None:
    read = read_place(text)
    assert (read.coordinates, dict(read.problems)) == (coordinates, problems)
