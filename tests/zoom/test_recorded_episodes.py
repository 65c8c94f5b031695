"""Whole conversations of the chain are recorded: every word the model is told, every window it is shown, every count.

Checkpoints were trained on these words, and results of others were measured with these windows. They are changed on purpose only, by
``python -m tests.zoom.test_recorded_episodes``.
"""

from __future__ import annotations

import json
import random
import zlib
from pathlib import Path
from typing import Any

import pytest

from rscovlm.codec import Codec
from rscovlm.engines import Conversation, Reply
from rscovlm.processing.resolution import PixelBudget
from rscovlm.zoom import ZoomChain
from rscovlm.zoom.result import ZoomResult
from tests.zoom.scripted import Scripted, call, texts
from tests.zoom.test_policy_traces import Labelled

FILE = Path(__file__).with_name("recorded_episodes.json")
BUDGET = PixelBudget(84 * 84, 280 * 280, 28)
SIZES = {"wide": [(1300, 700)], "tall": [(300, 2000)], "two": [(900, 600), (500, 1100)], "strip": [(4000, 12)]}
CODECS = {"rscovlm-v1": 1.0, "qwen3-vl": 1000 / 280}
"""Dialects, and how many of their units a pixel of the overview has, more or less."""


def replies(seed: int, unit: float, several: bool) -> list[Reply]:
    """Draw what a model writes: calls of every kind, good ones most often, and an answer at last."""
    rng = random.Random(seed)
    written = []
    for _ in range(6):
        x, y = (rng.uniform(0, 200 * unit) for _ in range(2))
        w, h = (rng.uniform(5 * unit, 90 * unit) for _ in range(2))
        image = rng.choice([None, 1, 2, 3, 9]) if several else None
        kind = rng.choice(
            ["good"] * 8
            + [
                "over",
                "over",
                "outside",
                "inverted",
                "flat",
                "other tool",
                "broken",
                "two",
                "words",
                "six",
                "again",
                "again",
            ]
        )
        good = call(round(x), round(y), round(x + w), round(y + h), image=image)
        written.append({
            "good": good,
            "over": call(-50 * unit, -20 * unit, x + w, y + h),
            "outside": call(2000 * unit, 2000 * unit, 2100 * unit, 2050 * unit),
            "inverted": call(x + w, y + h, x, y),
            "flat": call(x, y, x, y + h),
            "other tool": good.replace("image_zoom_in", "crop"),
            "broken": good.replace("]}", ""),
            "two": f"I look twice. {good}{call(x / 2, y / 2, x, y)}",
            "words": f"There is something.\n{good}",
            "six": call(1, 2, 3, 4, 5, 6),
            "again": call(0, 0, 400 * unit, 400 * unit),  # all that was shown last
        }[kind])  # fmt: skip
    finish = rng.choice(["stop", "stop", "stop", "length"])
    last = rng.choice(["A ship.", "A ship.", "", f"Now: 2. {written[0]}"])
    made = [Reply(text, tokens=len(text), seconds=0.5) for text in written[: rng.randint(1, 6)]]
    return [*made, Reply(last if seed % 2 else "Two.", 3, 0.25, finish)]  # type: ignore[arg-type]


def answered(seed: int, layout: Any, scene: str, codec: str) -> ZoomResult:
    said = replies(seed, CODECS[codec], len(SIZES[scene]) > 1)

    def script(conversation: Conversation, turn: int) -> Reply:
        asked = texts(conversation)[-1].endswith("Answer the question now.")
        return said[-1 if asked else min(turn, len(said) - 1)]

    engine = Scripted(script, codec, BUDGET)
    assert isinstance(engine.codec, Codec)
    chain = ZoomChain(
        engine,
        layout=layout,
        max_steps=1 + seed % 4,
        max_visual_tokens=(58, 120, 400)[seed % 3],
        max_refusals=seed % 5,
        min_side=(28, 1)[seed % 2],
    )
    return chain.ask([Labelled(number, *size) for number, size in enumerate(SIZES[scene])], "What is there?")


def told(result: ZoomResult) -> dict[str, Any]:
    lines = texts(Conversation(result.messages))
    steps = [f"{step.call} {step.refusal} {step.view} {step.tokens} {step.finish}" for step in result.steps]
    return {
        "answer": result.answer,
        "stopped": f"{result.stopped} {result.finish}",
        "windows": [" ".join(map(str, window)) for window in result.windows],
        "sources": [view.source for view in result.views],
        "problems": dict(sorted((+result.problems).items())),
        "spent": [result.tokens, result.visual_tokens, result.calls],
        "words": f"{zlib.crc32(chr(10).join([*lines, *steps, json.dumps(result.tools)]).encode()):08x}",
    }


CASES = [
    (seed, layout, scene, codec)
    for seed, (layout, scene, codec) in enumerate(
        (layout, scene, codec) for layout in ("reference", "native") for codec in CODECS for scene in SIZES for _ in range(4)
    )
]  # fmt: skip


@pytest.mark.parametrize("layout", ["reference", "native"])
@pytest.mark.parametrize("codec", CODECS)
def test_conversations_are_as_they_were_recorded(layout: str, codec: str) -> None:
    recorded = json.loads(FILE.read_text(encoding="utf-8"))
    for case in CASES:
        if (case[1], case[3]) == (layout, codec):
            result = answered(*case)
            assert told(result) == recorded[" ".join(map(str, case))], case
            assert sum(view.tokens for view in result.views) <= (58, 120, 400)[case[0] % 3]
            assert len(result.crops) <= 1 + case[0] % 4


def test_recorded_conversations_end_in_every_way_and_refuse_for_every_reason() -> None:
    """A record of easy cases alone would hold little."""
    recorded = json.loads(FILE.read_text(encoding="utf-8")).values()
    stopped = {one["stopped"].split()[0] for one in recorded}
    assert {"answer", "length", "max_steps", "max_visual_tokens", "no_progress", "refused"} <= stopped
    problems = {name for one in recorded for name in one["problems"]}
    assert problems >= {
        "bad_arguments", "call_after_limit", "clipped", "extra_calls", "inverted", "malformed", "outside", "repeated", "unknown_tool", "zero_area",
    }  # fmt: skip


if __name__ == "__main__":
    found = {" ".join(map(str, case)): told(answered(*case)) for case in CASES}
    FILE.write_text(
        "{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in found.items()) + "\n}\n", "utf-8"
    )
