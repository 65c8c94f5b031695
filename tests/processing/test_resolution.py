"""plan_size against the installed processors' own rule, and the properties of the modes that are ours."""

import itertools
import math
import random

import pytest

from rscovlm.processing.resolution import MAX_ASPECT_RATIO, PixelBudget, Size, plan_size

BUDGETS = [
    PixelBudget(),
    PixelBudget(factor=32),
    PixelBudget(min_pixels=56 * 56, max_pixels=28 * 28 * 1280),
    PixelBudget(min_pixels=65_536, max_pixels=16_777_216, factor=32),
    PixelBudget(min_pixels=1008 * 1008, max_pixels=1008 * 1008),
    PixelBudget(min_pixels=1, max_pixels=28 * 28),
]


def stock(width: int, height: int, budget: PixelBudget) -> Size | None:
    """The processor's answer, None where it refuses."""
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

    try:
        rows, columns = smart_resize(height, width, budget.factor, budget.min_pixels, budget.max_pixels)
    except ValueError:
        return None
    return Size(columns, rows)


def ours(width: int, height: int, budget: PixelBudget) -> Size | None:
    try:
        return plan_size(width, height, budget)
    except ValueError:
        return None


def sides(rng: random.Random) -> list[int]:
    """Every small side, every rounding tie up to 2,000, and sides up to 30,000 drawn evenly on a log scale."""
    ties = [n for n in range(14, 2000, 14)] + [n for n in range(16, 2000, 16)]
    drawn = [round(math.exp(rng.uniform(0, math.log(30_000)))) for _ in range(150)]
    return sorted({*range(1, 40), *ties, *drawn, 1000, 1008, 1009, 29_999, 30_000})


@pytest.mark.parametrize("budget", BUDGETS, ids=str)
def test_native_equals_the_stock_rule_over_a_dense_sweep(budget: PixelBudget) -> None:
    lengths = sides(random.Random(budget.max_pixels))
    refused = 0
    for width, height in itertools.product(lengths, lengths[::2]):
        expected = stock(width, height, budget)
        assert ours(width, height, budget) == expected, (width, height)
        refused += expected is None
    assert refused > 100  # the sweep reaches the aspect limit


def test_every_width_at_a_few_heights() -> None:
    budget = PixelBudget()
    for height in (151, 997, 8192):
        for width in range(1, 30_001):
            assert ours(width, height, budget) == stock(width, height, budget), (width, height)


@pytest.mark.parametrize("mode", ["max", "fixed"])
@pytest.mark.parametrize("factor", [28, 32])
@pytest.mark.parametrize("side", [112, 336, 448, 1008])
def test_max_and_fixed_are_idempotent_and_within_the_budget(mode: str, factor: int, side: int) -> None:
    rng = random.Random(side)
    for _ in range(300):
        width = round(math.exp(rng.uniform(0, math.log(30_000))))
        height = max(1, round(width * math.exp(rng.uniform(-5, 5))))
        if max(width, height) / min(width, height) > MAX_ASPECT_RATIO:
            continue
        size = plan_size(width, height, max_pixels=side * side, min_pixels=1, factor=factor, mode=mode)
        assert plan_size(*size, max_pixels=side * side, min_pixels=1, factor=factor, mode=mode) == size
        assert size.width % factor == size.height % factor == 0
        assert size.width * size.height <= side * side
        columns, rows = size.width // factor, size.height // factor
        if mode == "fixed":
            assert columns * rows == side * side // factor**2
        else:  # no further row or column fits
            assert min((columns + 1) * rows, columns * (rows + 1)) * factor**2 > side * side


def test_max_keeps_the_shape_where_tokens_are_many() -> None:
    for width, height in [(512, 400), (600, 450), (3000, 1000), (100, 90)]:
        size = plan_size(width, height, mode="max")
        assert abs(math.log(size.width / size.height * height / width)) < 0.06
        assert size.width * size.height > 0.93 * 1008 * 1008


def test_a_token_count_with_no_usable_grid_is_named() -> None:
    with pytest.raises(ValueError, match="exactly 211 tokens"):
        plan_size(500, 500, min_pixels=1, max_pixels=211 * 28 * 28, mode="fixed")


def test_square_images_meet_the_budget_exactly() -> None:
    for mode in ("max", "fixed"):
        assert plan_size(512, 512, mode=mode) == (1008, 1008)
        assert plan_size(9000, 9000, max_pixels=336 * 336, mode=mode) == (336, 336)


@pytest.mark.parametrize(("width", "height"), [(201, 1), (1, 201), (30_000, 149)])
def test_aspect_ratio_over_the_limit_is_named(width: int, height: int) -> None:
    with pytest.raises(ValueError, match=f"{width}x{height}.*aspect ratio.*200"):
        plan_size(width, height)
    assert plan_size(min(width, 200), min(height, 200)).width > 0


@pytest.mark.parametrize("width", [0, -5, 1.5, "12", None, True])
def test_a_side_that_is_no_positive_integer_is_named(width: int) -> None:
    with pytest.raises(ValueError, match="width is"):
        plan_size(width, 10)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"min_pixels": 0}, "min_pixels is 0"),
        ({"min_pixels": 2_000_000}, "above max_pixels"),
        ({"min_pixels": 1, "max_pixels": 500}, "holds no token"),
        ({"mode": "largest"}, "mode 'largest'"),
        ({"factor": 2.5}, "factor is 2.5"),
    ],
)
def test_impossible_budgets_are_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PixelBudget(**values)  # type: ignore[arg-type]
