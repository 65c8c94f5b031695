"""Policies on pictures whose marks can be read only from near, with an engine that looks at pixels, and with hostile ones."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from PIL import Image

from rscovlm.codec.dialect import Dialect
from rscovlm.engines import Reply
from rscovlm.geometry import Frame
from rscovlm.geometry.window import Window
from rscovlm.processing.resolution import PixelBudget, plan_size
from rscovlm.rasters import open_image
from rscovlm.zoom import ZoomChain, compare
from rscovlm.zoom.policies import NAMES, POLICIES, policy_named
from rscovlm.zoom.policies.distance import DistanceRouter, Need, route
from rscovlm.zoom.policies.grid import compose
from rscovlm.zoom.policies.inquiry import Look, Policy, answer_calls
from rscovlm.zoom.policies.tree import quarters, split
from rscovlm.zoom.summary import ZoomQuestion
from rscovlm.zoom.windows import ZoomView
from tests.zoom.eye import COLOURS, Eye, land
from tests.zoom.scripted import Scripted

SEEDS = (1, 2, 3)
KINDS = ("one", "two", "all")
SMALL = PixelBudget(max_pixels=448 * 448)


@cache
def questions(kind: str) -> tuple[ZoomQuestion, ...]:
    """One small thing; two far things to compare; all to count. One question a seed."""
    rows = []
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        first, other = (str(name) for name in rng.choice(list(COLOURS), 2))
        if kind == "one":
            x, y = rng.integers(40, 1290, 2)
            squares = [(first, int(x), int(y))]
            asked, answer = "What colour is the square?", first
        elif kind == "two":
            near, far = rng.integers(40, 500, 2), rng.integers(800, 1290, 2)
            squares = [(first, int(near[0]), int(near[1])), (other, int(far[0]), int(far[1]))]
            asked = "Do the two squares have the same colour?"
            answer = "yes" if first == other else "no"
        else:
            cells = rng.permutation(16)[: int(rng.integers(3, 7))]
            squares = [
                (str(rng.choice(list(COLOURS))), int(cell % 4) * 330 + 90, int(cell // 4) * 330 + 90) for cell in cells
            ]
            asked, answer = "How many squares are there?", str(len(squares))
        rows.append(ZoomQuestion(open_image(land(seed, squares)), asked, answer))
    return tuple(rows)


@pytest.mark.parametrize("kind", KINDS)
def test_a_policy_answers_what_a_single_look_cannot(kind: str) -> None:
    policies: list[str | Policy] = [
        "none",
        *(policy_named(name) for name in ("tree", "grid", "assess")),
        policy_named("branch", regions=8),
    ]
    table = compare(Eye(), questions(kind), policies, max_visual_tokens=6000)
    gains = {row.policy: row.gain for row in table}
    assert table[0].policy == "none" and table[0].gain == 0
    assert max(gains.values()) >= 0.2, gains
    assert gains["branch"] >= 0.2, gains
    if kind == "one":
        assert min(gains[name] for name in ("tree", "grid", "assess", "branch")) == 1.0
    assert all(row.harm == 0 for row in table)


@pytest.mark.parametrize("name", ["tree", "assess"])
def test_a_written_confidence_serves_where_there_are_no_probabilities(name: str) -> None:
    with_logprobs, written = (
        ZoomChain(Eye(logprobs=logprobs), policy=name, max_visual_tokens=6000).ask(row.image, row.question)
        for logprobs in (True, False)
        for row in questions("one")[:1]
    )
    assert with_logprobs.answer == written.answer == questions("one")[0].answer
    assert with_logprobs.windows == written.windows
    assert written.confidence == pytest.approx(with_logprobs.confidence)


@pytest.mark.parametrize("name", POLICIES)
def test_many_questions_are_asked_in_the_batches_of_the_longest(name: str) -> None:
    rows = questions("one")
    alone, together = Eye(), Eye()
    single = []
    counts = []
    for row in rows:
        before = len(alone.batches)
        single.append(ZoomChain(alone, policy=name).ask(row.image, row.question))
        counts.append(len(alone.batches) - before)
    chain = ZoomChain(together, policy=name)
    many = chain.ask_many([(row.image, row.question) for row in rows])
    assert [one.answer for one in many] == [one.answer for one in single]
    assert [one.looks for one in many] == [one.looks for one in single]
    # Two kinds of conversation may wait at one time: those with probabilities, and answers.
    assert len(together.batches) <= 2 * max(counts)
    assert sum(together.batches) == sum(alone.batches)


SAYINGS = (
    "yes",
    "no",
    "yes, 100",
    "maybe",
    "",
    "0,0,5000,5000 region\n" * 40,
    "-5,-5,1e9,1e9 region",
    "nothing",
    "{}[]<",
)


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("saying", SAYINGS)
def test_no_engine_makes_a_policy_spend_more_than_its_limits(name: str, saying: str) -> None:
    image = land(0, [("red", 50, 50)], side=500)
    policy = policy_named(name)
    result = ZoomChain(Scripted(lambda *_: saying, budget=SMALL), policy=policy, max_visual_tokens=900).ask(
        [image, image], "How many squares are there?"
    )
    assert len(result.steps) <= policy.max_calls + 2  # the answer, and its repetition without the tool
    assert result.searched_tokens <= policy.max_visual_tokens
    assert sum(view.tokens for view in result.views) <= 900
    assert result.policy == name
    for look in result.looks:
        assert Window(*look.window) == Window(*look.window).clipped(500, 500) and not Window(*look.window).empty


@pytest.mark.parametrize("name", sorted(set(POLICIES) - {"distance"}))
def test_a_small_budget_ends_the_search_and_is_counted(name: str) -> None:
    policy = policy_named(name, max_visual_tokens=300)
    row = questions("one")[0]
    result = ZoomChain(Eye(), policy=policy).ask(row.image, row.question)
    assert result.searched_tokens <= 300
    assert result.problems["budget_spent"] == 1 or not result.looks or name == "vote"


def test_windows_are_read_from_the_original_and_lead_to_the_answer() -> None:
    row = questions("one")[0]
    result = ZoomChain(Eye(), policy="tree").ask(row.image, row.question)
    assert len(result.windows) == 1 and result.zoomed
    shown = np.asarray(result.crops[0].image.convert("RGB"), dtype=int)
    x1, y1, x2, y2 = result.windows[0]
    native = np.asarray(row.image.read((x1, y1, x2, y2)).image.convert("RGB"), dtype=int)
    assert shown.shape[:2] == (y2 - y1, x2 - x1) or shown.shape != native.shape
    assert (shown.max(2) - shown.min(2)).max() > 100
    assert [turn["role"] for turn in result.messages][-1] == "assistant"
    assert result.draw().size == result.views[0].image.size


def test_a_question_about_all_of_something_is_not_settled_by_the_whole() -> None:
    # The model is sure of what it sees at first, which is no reason to believe that it sees all.
    image = land(3, [("red", 200, 200), ("blue", 900, 1000)], size=80)
    whole = (0, 0, 1344, 1344)
    one = ZoomChain(Eye(), policy="tree").ask(image, "What colour is the square?")
    assert [look.window for look in one.looks] in ([], [whole])
    every = ZoomChain(Eye(), policy="tree").ask(image, "How many squares are there?")
    assert len(every.looks) > 2 and any(look.window != whole for look in every.looks)


def test_the_model_may_be_left_to_choose_and_none_never_looks() -> None:
    row = questions("one")[0]
    none = ZoomChain(Eye(), policy="none").ask(row.image, row.question)
    plain = ZoomChain(Eye()).ask(row.image, row.question, zoom=False)
    assert (none.answer, none.windows, none.calls) == (plain.answer, plain.windows, plain.calls) == ("unknown", [], 1)


def test_a_question_about_a_question_that_may_not_zoom_needs_no_policy() -> None:
    row = questions("one")[0]
    assert ZoomChain(Eye(), policy="tree").ask(row.image, row.question, zoom=False).looks == ()


def test_an_experts_boxes_are_looked_into_first() -> None:
    row = questions("one")[0]
    asked: list[str] = []

    def expert(raster: object, question: str) -> list[list[float]]:
        asked.append(question)
        return [[0.0, 0.0, 1344.0, 1344.0]]

    ZoomChain(Eye(), policy=policy_named("assess", expert=expert)).ask(row.image, row.question)
    assert asked == [row.question]


@pytest.mark.parametrize(
    ("metres", "need", "gsd", "scale", "way"),
    [
        (15, "detect", 0.5, 0.1, "overview"),  # 30 pixels, 3 in the overview, 2 needed
        (15, "recognise", 0.5, 0.1, "zoom"),  # 8 needed
        (15, "identify", 0.5, 0.5, "overview"),  # 15 of 12.8
        (5, "identify", 0.5, 1.0, "decline"),  # 10 of 12.8
        (5, "orient", 1.0, 0.5, "zoom"),  # 5 pixels, 2.5 in the overview, 2.8 needed
    ],
)
def test_the_router_counts_pixels_on_the_target(metres: float, need: str, gsd: float, scale: float, way: str) -> None:
    assert route(metres, need, gsd=gsd, scale=scale).way == way  # type: ignore[arg-type]


def test_the_router_declines_with_its_reason_and_asks_nothing() -> None:
    engine = Eye()
    chain = ZoomChain(engine, policy=DistanceRouter(metres=2, need="identify", gsd=1.0))
    result = chain.ask(questions("one")[0].image, "Which car is it?")
    assert (result.stopped, result.answer, engine.batches) == ("declined", "", [])
    assert "2 m are 2.0 pixels at 1 m" in result.declined


def test_the_router_takes_the_distance_that_the_image_states() -> None:
    image = open_image(land(0, [], side=200), gsd=1.0)
    result = ZoomChain(Eye(), policy=DistanceRouter(metres=2, need="identify")).ask(image, "Which car is it?")
    assert (result.stopped, dict(result.problems)) == ("declined", {"routed_decline": 1})


def test_parts_cover_a_window_without_overlap() -> None:
    for window in (Window(3, 5, 103, 60), Window(0, 0, 7, 301), Window(0, 0, 1000, 10), Window(0, 0, 2, 2)):
        for parts in (quarters(window), split(window, 3)):
            covered = np.zeros((window.y2, window.x2), int)
            for part in parts:
                covered[part.y1 : part.y2, part.x1 : part.x2] += 1
            assert (covered[window.y1 :, window.x1 :] == 1).all() and covered.sum() == window.area


def test_an_unknown_policy_and_a_setting_without_meaning_are_refused() -> None:
    with pytest.raises(ValueError, match="policy is 'three'; did you mean 'tree'"):
        ZoomChain(Eye(), policy="three")
    with pytest.raises(ValueError, match="votes is 1; give a number from 2 up"):
        policy_named("vote", votes=1)
    assert set(NAMES) == {"call", "none", *POLICIES}


LEAST: dict[str, dict[str, float]] = {
    "tree": {"depth": 1, "patience": 1, "max_calls": 1},
    "grid": {"depth": 1, "base": 0, "max_calls": 2},
    "assess": {"depth": 0, "candidates": 1, "max_calls": 1},
    "branch": {"regions": 1, "max_calls": 3},
    "vote": {"votes": 2, "margin": 0},
}


@pytest.mark.parametrize("name", LEAST)
def test_every_setting_has_its_least_value(name: str) -> None:
    for setting, least in LEAST[name].items():
        policy_named(name, **{setting: least})
        with pytest.raises(ValueError, match=f"{setting} is .*; give a number from {least:g} up"):
            policy_named(name, **{setting: least - 1})


def test_settings_are_those_that_figures_were_measured_with() -> None:
    """Another default changes what every user gets; it needs figures of its own, and this table changed."""
    assert [policy_named(name).name for name in POLICIES] == list(POLICIES)
    found = {name: vars(policy_named(name)) for name in POLICIES}
    assert found == {
        "tree": {
            "depth": 5,
            "threshold": 0.8,
            "floor": 0.2,
            "fall": 0.2,
            "patience": 4,
            "collect_depth": 2,
            "weight": 0.3,
            "max_calls": 64,
            "max_visual_tokens": 60_000,
        },
        "grid": {"similarity": None, "base": 0.25, "depth": 4, "max_calls": 96, "max_visual_tokens": 60_000},
        "assess": {
            "expert": None,
            "threshold": 0.5,
            "depth": 2,
            "candidates": 4,
            "max_calls": 32,
            "max_visual_tokens": 30_000,
        },
        "branch": {"regions": 4, "same": 0.5, "max_calls": 16, "max_visual_tokens": 20_000},
        "distance": {"metres": 10.0, "need": "recognise", "gsd": None, "then": policy_named("tree")},
        "vote": {"votes": 5, "margin": 0.1, "max_calls": 16, "max_visual_tokens": 20_000},
    }


@pytest.mark.parametrize("name", sorted(set(POLICIES) - {"distance"}))
def test_the_users_own_system_turn_stands_before_the_answer_and_nothing_else(name: str) -> None:
    """What a policy asks for itself is no turn of the user's conversation."""
    row, engine = questions("two")[0], Eye(budget=SMALL)
    chain = ZoomChain(engine, policy=name)
    search = chain.search([row.image], chain.overviews([row.image]), row.question, system="Answer in one word.")
    sent = []
    while not search.done:
        sent += [call.conversation for call in search.calls]
        search.receive(answer_calls(engine, search.calls))
    told = [
        any("one word" in str(turn["content"]) for turn in one.messages if turn["role"] == "system") for one in sent
    ]
    assert search.result().answer
    # Each view of a vote may be the answer; elsewhere the answer is what is asked last.
    assert told == ([True] * 5 if name == "vote" else [False] * (len(sent) - 1) + [True])


def test_a_canvas_lays_parts_out_as_they_lie_on_their_images() -> None:
    """Rows and columns without a part are left out; each part stands at the upper left corner of its cell, at its own size."""
    cells = {  # source and window of a part -> row and column on the canvas
        (0, (200, 0, 300, 50)): (0, 1),
        (0, (0, 100, 100, 150)): (1, 0),
        (0, (700, 100, 800, 150)): (1, 2),
        (1, (200, 0, 300, 50)): (2, 1),
    }
    pairs = []
    for number, (source, window) in enumerate(cells):
        size = (40 + number, 30 - number)
        picture = Image.new("RGB", size, (50 * number + 50, 10, 200))
        pairs.append((Look(window, source, 0.5), ZoomView(picture, Frame(*size), window, source, 1)))
    canvas = compose(pairs, SMALL)
    width, height = 43, 30  # of the largest part
    pixels = np.asarray(canvas.image)
    assert pixels.shape == (3 * height, 3 * width, 3)
    assert canvas.tokens == SMALL.tokens(plan_size(3 * width, 3 * height, SMALL))
    expected = np.zeros_like(pixels)
    for number, (row, column) in enumerate(cells.values()):
        y, x = row * height, column * width
        expected[y : y + 30 - number, x : x + 40 + number] = (50 * number + 50, 10, 200)
    assert np.array_equal(pixels, expected)


@pytest.mark.parametrize(("name", "score"), [("tree", -1.0), ("grid", 0.0), ("assess", 0.0)])
def test_who_says_neither_yes_nor_no_is_not_sure_at_all(name: str, score: float) -> None:
    result = ZoomChain(Scripted(lambda *_: "maybe", budget=SMALL), policy=name).ask(
        land(0, [], side=300), "What is it?"
    )
    assert result.looks and {look.score for look in result.looks} == {score}


def test_the_router_counts_what_the_shorter_scale_shows() -> None:
    """An overview of whole patches is never scaled alike on both sides: what is shown of a target is the smaller of the two."""
    image = open_image(Image.new("RGB", (1000, 300)), gsd=1.0)
    engine = Scripted(lambda *_: "yes", budget=PixelBudget(28 * 28, 112 * 112, 28))
    (overview,) = ZoomChain(engine).overviews([image])
    across, down = overview.frame.width / 1000, overview.frame.height / 300
    assert abs(across - down) > 0.005
    for side, way in ((8.001 / min(across, down), "overview"), (7.999 / min(across, down), "zoom")):
        result = ZoomChain(engine, policy=DistanceRouter(metres=side)).ask(image, "What is it?")
        assert result.problems[f"routed_{way}"] == 1, way


def test_a_vote_takes_what_most_views_give() -> None:
    said = iter(["ship", "plane", "Plane.", "plane", "boat"])
    engine = Scripted(lambda *_: Reply(next(said)), budget=SMALL)
    result = ZoomChain(engine, policy="vote").ask(land(0, []), "What is it?")
    assert (result.answer, result.confidence) == ("plane", 0.6)


@pytest.mark.parametrize(("name", "task"), [("assess", "ground"), ("branch", "detect")])
def test_boxes_are_asked_for_in_the_form_of_the_task(name: str, task: str) -> None:
    """A model that was trained to point knows the form from the system turn; without it it may answer in words."""
    row, engine = questions("one")[0], Eye(budget=SMALL)
    chain = ZoomChain(engine, policy=name)
    search = chain.search([row.image], chain.overviews([row.image]), row.question)
    systems = []
    while not search.done:
        systems += [turn["content"] for call in search.calls for turn in call.conversation.messages[:-1]]
        search.receive(answer_calls(engine, search.calls))
    form = Dialect.preset("rscovlm-v1").ask(task, expression="x", classes=["region"]).system
    assert form and str(form) in str(systems)


@pytest.mark.parametrize(("need", "pixels"), [("detect", 2.0), ("orient", 2.8), ("recognise", 8.0), ("identify", 12.8)])
def test_pixels_needed_are_two_for_each_of_johnsons_cycles(need: Need, pixels: float) -> None:
    # A target of so many metres at 0.5 m a pixel, shown at half the size.
    assert route(0.5 * pixels * 0.99, need, gsd=0.5, scale=0.5).way == "decline"
    assert route(0.5 * pixels * 1.01, need, gsd=0.5, scale=0.5).way == "zoom"
    assert route(pixels * 1.01, need, gsd=0.5, scale=0.5).way == "overview"
    assert route(pixels, need, gsd=0.5, scale=0.5).needed == pytest.approx(pixels)
    # An enlarged overview shows no more than the original.
    assert route(0.5 * pixels * 0.9, need, gsd=0.5, scale=2.0).way == "decline"
    assert route(0.5 * pixels * 1.1, need, gsd=0.5, scale=2.0).shown == pytest.approx(1.1 * pixels)
