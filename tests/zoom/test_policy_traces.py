"""Every part that a policy looks at, in order, with its score, is recorded: another order or score is another policy.

The engine knows where the target lies and reads from each picture which window it shows, so nothing is drawn or recognised.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from rscovlm.codec import Codec
from rscovlm.engines import Conversation, Reply
from rscovlm.geometry import Frame
from rscovlm.processing.resolution import PixelBudget
from rscovlm.rasters import Raster
from rscovlm.rasters.view import View
from rscovlm.zoom import ZoomChain, policies
from rscovlm.zoom.policies import policy_named
from rscovlm.zoom.policies.inquiry import Policy
from rscovlm.zoom.result import ZoomResult

BUDGET = PixelBudget(28 * 28, 168 * 168, 28)
ONE, ALL = "What colour is the square?", "How many squares are there?"


class Labelled(Raster):
    """A raster without content whose pictures say what they show."""

    def __init__(self, number: int, width: int, height: int) -> None:
        self.width, self.height, self.path, self.number = width, height, "labelled", number
        self.frame = Frame(width, height)

    def read(self, window: Any, max_pixels: int | None = None, *, size: tuple[int, int] | None = None) -> View:
        x1, y1, x2, y2 = window
        wanted = size or (x2 - x1, y2 - y1)
        picture = Image.new("RGB", wanted)
        picture.info["shows"] = (self.number, x1, y1, x2, y2)
        return View(picture, self.frame.cropped(*window).resized(*wanted), None, None)


class Oracle:
    """Answers by where the targets lie: (image, x, y)."""

    def __init__(self, targets: Sequence[tuple[int, int, int]], *, near: float = 260.0) -> None:
        self.codec, self.budget = Codec.preset("rscovlm-v1"), BUDGET
        self.targets, self.near = targets, near
        self.asked: list[str] = []

    def generate(
        self, conversations: Sequence[Conversation], *, max_new_tokens: int = 1024, logprobs: bool = False
    ) -> list[Reply]:
        self.asked.append(f"{len(conversations)} of {max_new_tokens} {'with probabilities' if logprobs else ''}")
        for one in conversations:
            pictures = [(picture.size, picture.info.get("shows")) for picture in one.images()]
            self.asked.append(f"{pictures} {[(turn['role'], _words(turn)) for turn in one.messages]}")
        return [self._reply(one, max_new_tokens) for one in conversations]

    def _reply(self, conversation: Conversation, most: int) -> Reply:
        pictures = [picture for picture in conversation.images() if "shows" in picture.info]
        text = str(conversation.messages[-1]["content"])
        held = [
            ((x - x1) / (x2 - x1), (y - y1) / (y2 - y1), picture)
            for picture in pictures
            for number, x1, y1, x2, y2 in [picture.info["shows"]]
            for image, x, y in self.targets
            if image == number and x1 <= x < x2 and y1 <= y < y2
        ]
        if most == 16:
            number, x1, y1, x2, y2 = pictures[0].info["shows"]
            tilt = (x1 + 2 * y1 + 5 * number) % 97 / 970  # so that no two parts are equally good
            if "as it is" in text:
                if held and max(x2 - x1, y2 - y1) <= self.near:
                    return _sure(0.97 - tilt)
                return _sure(0.25 + tilt + (0.1 if held else 0.0))
            return _sure((0.8 if held else 0.2) + tilt * (1 if "closer" in text else -1))
        if "find the" in text:
            lines = [
                f"{u * one.width - 9:.0f},{v * one.height - 6:.0f},{u * one.width + 9:.0f},{v * one.height + 6:.0f} region"
                for u, v, one in held
            ]
            return Reply("\n".join(lines))
        return Reply(f"{len(held)} of {len(conversation.images())}" if held else "nothing")


def _words(turn: dict[str, Any]) -> str:
    return "".join(block.get("text", "<image>") for block in turn["content"])


def _sure(sure: float) -> Reply:
    said, probability = ("yes", sure) if sure >= 0.5 else ("no", 1 - sure)
    return Reply(said, tokens=1, token_logprobs=[math.log(probability)], token_texts=[said])


def _expert(raster: Any, question: str) -> list[list[float]]:
    return [[5, 5, 40, 30], [raster.width - 300, raster.height - 250, raster.width - 20, raster.height - 9]]


def _alike(question: str, pictures: Sequence[Image.Image]) -> list[float]:
    return [picture.info["shows"][1] % 13 / 13 for picture in pictures]


POLICIES: dict[str, Callable[..., Policy]] = {
    "tree": lambda **limits: policy_named("tree", **limits),
    "patient tree": lambda **limits: policy_named("tree", patience=2, fall=0.3, floor=0.1, depth=3, weight=0.6, **limits),
    "grid": lambda **limits: policy_named("grid", **limits),
    "grid with a similarity": lambda **limits: policy_named("grid", similarity=_alike, base=0.4, depth=2, **limits),
    "assess": lambda **limits: policy_named("assess", **limits),
    "assess with an expert": lambda **limits: policy_named("assess", expert=_expert, threshold=0.8, depth=3, candidates=2, **limits),
    "branch": lambda **limits: policy_named("branch", **limits),
    "branch in two": lambda **limits: policy_named("branch", regions=2, same=0.1, **limits),
    "distance": lambda **limits: policy_named("distance", then=policy_named("tree", **limits)),
    "distance near enough": lambda **limits: policy_named("distance", gsd=0.1, then=policy_named("tree", **limits)),
    "distance in between": lambda **limits: policy_named("distance", gsd=1.0, then=policy_named("tree", **limits)),
    "distance too far": lambda **limits: policy_named("distance", gsd=1.5, then=policy_named("tree", **limits)),
    "vote": lambda **limits: policy_named("vote", **limits),
    "vote of nine": lambda **limits: policy_named("vote", votes=9, margin=0.2, **limits),
}  # fmt: skip
SCENES: dict[str, tuple[list[tuple[int, int]], list[tuple[int, int, int]], str]] = {
    "wide": ([(1500, 900)], [(0, 1210, 133)], ONE),
    "two images": ([(700, 1100), (640, 480)], [(0, 90, 1001), (1, 500, 77)], ONE),
    "all of one": ([(1500, 900)], [(0, 1210, 133), (0, 77, 801), (0, 700, 450)], ALL),
    "strip": ([(3000, 300)], [(0, 2210, 33)], ONE),
    "nothing there": ([(600, 800)], [], ONE),
}
LIMITS: dict[str, dict[str, int]] = {
    "free": {},
    "few tokens": {"max_visual_tokens": 330},
    "few calls": {"max_calls": 13},
    "next to nothing": {"max_visual_tokens": 95, "max_calls": 5},
}
CASES = [f"{policy}, {scene}, {limit}" for policy in POLICIES for scene in SCENES for limit in LIMITS]
FILE = Path(__file__).with_name("policy_traces.json")


def _checksum(lines: Sequence[str]) -> str:
    return f"{zlib.crc32(chr(10).join(lines).encode()):08x}"


def traced(case: str) -> tuple[dict[str, Any], Policy, ZoomResult]:
    """Run a case; return what is recorded of it, the policy and the result."""
    name, scene, limit = case.split(", ")
    sizes, targets, question = SCENES[scene]
    policy = POLICIES[name](**LIMITS[limit])
    images = [Labelled(number, *size) for number, size in enumerate(sizes)]
    engine = Oracle(targets)
    result = ZoomChain(engine, policy=policy, max_visual_tokens=220).ask(images, question)
    looks = [f"{look.source}: {' '.join(map(str, look.window))}: {look.score:.4f}" for look in result.looks]
    told = {
        "answer": result.answer,
        "stopped": result.stopped,
        "confidence": None if result.confidence is None else round(result.confidence, 6),
        "calls": result.calls,
        "tokens": result.searched_tokens,
        "problems": dict(sorted((+result.problems).items())),
        "shown": [" ".join(map(str, window)) for window in result.windows],
        "asked": _checksum(engine.asked),
        # The first of many, and a checksum of all.
        "looks": [*looks[:6], f"{len(looks)} in all, {_checksum(looks)}"],
    }
    return told, policy, result


def _as_recorded(*names: str) -> None:
    recorded: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    for case in CASES:
        if case.split(", ")[0] in names:
            told, policy, result = traced(case)
            assert told == recorded[case], case
            assert result.searched_tokens <= policy.max_visual_tokens, case
            # What follows the search is the answer and, where it calls the tool, its repetition.
            assert len(result.steps) <= policy.max_calls + 2, case


def test_the_tree_looks_where_it_was_recorded_to_look() -> None:
    _as_recorded("tree", "patient tree")


def test_the_grid_cuts_what_it_was_recorded_to_cut() -> None:
    _as_recorded("grid", "grid with a similarity")


def test_assessing_asks_as_it_was_recorded_to_ask() -> None:
    _as_recorded("assess", "assess with an expert")


def test_branches_are_those_that_were_recorded() -> None:
    _as_recorded("branch", "branch in two")


def test_questions_are_routed_by_distance_as_recorded() -> None:
    _as_recorded("distance", "distance near enough", "distance in between", "distance too far")


def test_votes_are_taken_from_the_recorded_views() -> None:
    _as_recorded("vote", "vote of nine")


def test_every_policy_is_recorded() -> None:
    assert {case.split(", ")[0] for case in json.loads(FILE.read_text(encoding="utf-8"))} == set(POLICIES)
    assert {POLICIES[name]().name for name in POLICIES} == set(policies.POLICIES)


def test_the_target_is_found_where_nothing_limits_the_search() -> None:
    """A recorded trace that missed its target would be a fault that is recorded."""
    cases = [f"{name}, {scene}, free" for name in ("tree", "grid", "assess", "branch") for scene in ("wide", "strip")]
    for case in cases:
        result, ((_, x, y), *_) = traced(case)[2], SCENES[case.split(", ")[1]][1]
        assert any(x1 <= x < x2 and y1 <= y < y2 for x1, y1, x2, y2 in result.windows), case


@pytest.mark.parametrize(("side", "cuts"), [(1, 1), (389, 1), (391, 2), (513, 2), (515, 3), (895, 4), (897, 5)])
def test_a_grid_cuts_five_parts_for_each_doubling_twice_of_224_pixels(side: int, cuts: int) -> None:
    """``5 log4(side / 224)`` parts, as the docstring has it from the paper: 224 x 4 ** (k / 5) pixels allow k."""
    assert cuts == max(1, math.floor(5 * math.log(max(side, 224) / 224, 4)))
    policy = policy_named("grid", max_calls=500, max_visual_tokens=10**6)
    chain = ZoomChain(Oracle([]), policy=policy, max_visual_tokens=220, min_side=1)
    result = chain.ask([Labelled(0, side, side)], ONE)
    assert len(result.looks) == cuts * (9 if side > 1 else 1)
