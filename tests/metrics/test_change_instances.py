"""AP_nc of changed objects beside AP_nc of boxes and beside a plain loop; parts beside rasterio's."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rscovlm.geometry.parts import number_parts
from rscovlm.metrics import ap_nc, change_ap_nc, change_score

SIDE = 60


def boxes(rng: np.random.Generator, count: int) -> list[tuple[int, int, int, int]]:
    """Boxes on a grid of cells, so that no two of them touch, diagonals included."""
    found = []
    for cell in rng.permutation(16)[:count]:
        x, y = (int(cell) % 4) * 15, (int(cell) // 4) * 15
        x1, y1 = x + int(rng.integers(0, 5)), y + int(rng.integers(0, 5))
        found.append((x1, y1, x1 + int(rng.integers(1, 9)), y1 + int(rng.integers(1, 9))))
    return found


def drawn(sides: list[tuple[int, int, int, int]]) -> NDArray[np.uint8]:
    out = np.zeros((SIDE, SIDE), np.uint8)
    for x1, y1, x2, y2 in sides:
        out[y1:y2, x1:x2] = 255
    return out


def item(sides: list[tuple[int, int, int, int]]) -> dict[str, Any]:
    quads = [[x1, y1, x2, y1, x2, y2, x1, y2] for x1, y1, x2, y2 in sides]
    return {"boxes": np.array(quads, float).reshape(-1, 8), "labels": ["change"] * len(quads)}


def test_objects_that_are_boxes_score_as_boxes_do() -> None:
    """Mean over many orders: both draw theirs by content, each in its own way."""
    rng = np.random.default_rng(0)
    true = [boxes(rng, int(rng.integers(0, 7))) for _ in range(8)]
    found = [[one for one in row if rng.random() < 0.7] for row in true]
    found = [[(x1, y1, x2 + int(rng.integers(0, 2)), y2) for x1, y1, x2, y2 in row] for row in found]
    found = [row + boxes(rng, 2) for row in found]
    masks, truths = [drawn(row) for row in found], [drawn(row) for row in true]
    # Boxes that came to touch each other are one object.
    kept = [at for at, (row, mask) in enumerate(zip(found, masks, strict=True)) if number_parts(mask).max() == len(row)]
    assert len(kept) >= 4
    many: dict[str, Any] = {"repeats": 4000}
    mine = change_ap_nc([masks[at] for at in kept], [truths[at] for at in kept], **many)
    theirs = ap_nc([item(found[at]) for at in kept], [item(true[at]) for at in kept], **many)
    for name in ("ap_nc50", "ap_nc75"):
        assert mine[name]["mean"] == pytest.approx(theirs[name]["mean"], abs=0.01)
        assert mine[name]["std"] == pytest.approx(theirs[name]["std"], abs=0.01)
    assert mine["ap_nc"]["mean"] == pytest.approx(theirs["ap_nc50_95"]["mean"], abs=0.01)
    for name in ("precision", "recall"):
        assert mine[name] == pytest.approx(theirs[name])
    assert mine["f1"] == pytest.approx(theirs["mf1"])


def plain(found: list[NDArray[Any]], true: list[NDArray[Any]], orders: list[list[int]]) -> float:
    """Area under the curve at IoU 0.5, the mean over orders, by loops."""
    rows, positives = [], 0
    for number, (mine, theirs) in enumerate(zip(found, true, strict=True)):
        names = [int(name) for name in np.unique(theirs) if name]
        positives += len(names)
        for own in (int(name) for name in np.unique(mine) if name):
            overlaps = [
                ((mine == own) & (theirs == other)).sum() / ((mine == own) | (theirs == other)).sum() for other in names
            ]
            best = int(np.argmax(overlaps)) if overlaps else -1
            rows.append((number, best, overlaps[best] if overlaps else 0.0))
    values = []
    for order in orders:
        taken: set[tuple[int, int]] = set()
        precisions, right = [], 0
        for rank, at in enumerate(order, 1):
            number, best, overlap = rows[at]
            if overlap > 0.5 and (number, best) not in taken:
                taken.add((number, best))
                right += 1
                precisions.append((right, right / rank))
        envelope = [max(value for other, value in precisions if other >= count) for count, _ in precisions]
        values.append(sum(envelope) / positives)
    return float(np.mean(values))


def test_a_plain_loop_gives_the_same() -> None:
    from itertools import permutations

    rng = np.random.default_rng(1)
    true = [np.kron(rng.integers(0, 3, (4, 4)), np.ones((5, 5), int)) for _ in range(2)]
    found = [np.where(rng.random((20, 20)) < 0.85, one, 0) for one in true]
    found[1] = np.where(found[1] == 1, 3, found[1])
    found[1][:9, :9] = 1
    count = sum(len(np.unique(one)) - 1 for one in found)
    orders = [list(order) for order in permutations(range(count))]
    options: dict[str, Any] = {"instances": "labels", "interpolation": "area", "iou_thresholds": (0.5,)}
    mine = change_ap_nc(found, true, repeats=20_000, **options)
    assert mine["ap_nc50"]["mean"] == pytest.approx(plain(found, true, orders), abs=5e-3)
    assert 0 < mine["ap_nc50"]["mean"] < 1


def test_no_order_changes_a_result_and_edges_are_as_documented() -> None:
    rng = np.random.default_rng(2)
    true = [drawn(boxes(rng, 4)) for _ in range(6)]
    found = [drawn(boxes(rng, 5)) | one for one in true]
    first = change_ap_nc(found, true)
    order = rng.permutation(6)
    assert change_ap_nc([found[at] for at in order], [true[at] for at in order]) == first
    assert change_ap_nc([one > 0 for one in found], true) == first
    assert change_ap_nc(iter(found), iter(true)) == first
    same = change_ap_nc(true, true)
    assert {same[name]["min"] for name in ("ap_nc50", "ap_nc75", "ap_nc")} == {1.0} and same["f1"] == 1
    nothing = change_ap_nc([np.zeros((4, 4))] * 2, [np.zeros((4, 4))] * 2)
    assert (nothing["ap_nc"]["mean"], nothing["found"], nothing["true"], nothing["items"]) == (0.0, 0, 0, 2)
    alarm = change_ap_nc([np.eye(4)], [np.zeros((4, 4))])
    assert (alarm["found"], alarm["false_alarm_items"], alarm["precision"]) == (1, 1, 0.0)
    missed = change_ap_nc([np.zeros((4, 4))], [np.eye(4)])
    assert (missed["true"], missed["recall"], missed["ap_nc50"]["max"]) == (1, 0.0, 0.0)


def test_pixels_do_not_hide_what_objects_show() -> None:
    """One large building found and nine small ones missed: the pixels look good, the objects do not."""
    true = np.zeros((100, 100), np.uint8)
    true[:60, :60] = 1
    for number in range(9):
        true[80:84, number * 10 : number * 10 + 4] = 1
    found = true.copy()
    found[80:] = 0
    assert change_score([found], [true])["f1"] > 0.97
    result = change_ap_nc([found], [true])
    assert (result["precision"], result["recall"]) == (1.0, 0.1)
    assert result["ap_nc50"]["mean"] == pytest.approx(2 / 11)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"instances": "objects"}, "use 'parts' or 'labels'"),
        ({"interpolation": "voc"}, "interpolation is 'voc'"),
        ({"repeats": 0}, "at least 1"),
        ({"iou_thresholds": (0.7, 0.5)}, "increasing"),
        ({"instances": "labels"}, "give whole numbers from 0"),
    ],
)
def test_settings_without_a_meaning_are_refused(options: dict[str, Any], words: str) -> None:
    mask = np.zeros((4, 4)) if options.get("instances") == "labels" else np.eye(4)
    with pytest.raises(ValueError, match=words):
        change_ap_nc([mask], [mask], **options)
    with pytest.raises(ValueError, match="of one size"):
        change_ap_nc([np.eye(3)], [np.eye(4)])
    with pytest.raises(ValueError, match="there are no masks"):
        change_ap_nc([], [])


@pytest.mark.parametrize("diagonal", [True, False])
def test_parts_are_those_of_rasterio(diagonal: bool) -> None:
    features = pytest.importorskip("rasterio.features")
    rng = np.random.default_rng(5)
    for height, width, share in (
        (1, 1, 1.0),
        (1, 40, 0.5),
        (40, 1, 0.5),
        (37, 53, 0.3),
        (37, 53, 0.6),
        (200, 200, 0.55),
    ):
        mask = rng.random((height, width)) < share
        numbers = number_parts(mask, diagonal=diagonal)
        assert np.array_equal(numbers > 0, mask)
        found = list(features.shapes(numbers, mask=mask, connectivity=8 if diagonal else 4))
        # Each part is connected, and no two of them touch.
        parts = list(features.shapes(mask.astype(np.uint8), mask=mask, connectivity=8 if diagonal else 4))
        assert len(found) == len(parts) == numbers.max()
        firsts = [int(np.flatnonzero(numbers.ravel() == part)[0]) for part in range(1, numbers.max() + 1)]
        assert firsts == sorted(firsts)
    assert number_parts(np.zeros((0, 5))).shape == (0, 5)
    with pytest.raises(ValueError, match="give \\(h, w\\)"):
        number_parts(np.zeros(5))
    snake = np.zeros((99, 99), bool)
    snake[::2], snake[1::4, -1], snake[3::4, 0] = True, True, True
    assert number_parts(snake, diagonal=False).max() == 1
