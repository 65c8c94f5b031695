"""What policies ask about a scene, each with the true reply, as training samples.

A policy runs with the truth in place of a model. Some replies that it is given are wrong on purpose, so that it also looks where
nothing is; the reply that is trained is the true one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rscovlm.codec import Codec
from rscovlm.codec.dialect import Dialect
from rscovlm.engines.engine import Conversation, Reply
from rscovlm.experiments.embedded import budget
from rscovlm.experiments.policies.pads import SAME, SIDE, PadQuestion, count_question, holds, legible
from rscovlm.geometry import Boxes, Objects
from rscovlm.mixtures.renderer import Sample
from rscovlm.rasters import Raster, open_image
from rscovlm.scenes.pad import GLYPHS, QUESTION
from rscovlm.zoom import ZoomChain, ZoomView
from rscovlm.zoom.layouts import ZOOM_REQUEST, answer_turn
from rscovlm.zoom.policies import policy_named
from rscovlm.zoom.policies.confidence import words
from rscovlm.zoom.policies.inquiry import EngineCall, Inquiry
from rscovlm.zoom.search import Search

_ANSWER_TOKENS = 16
_FLIPPED, _DROPPED, _ADDED = 0.12, 0.1, 0.3
"""Shares of replies to yes-or-no questions that are turned round, of boxes left out, and of plans with a box too many."""

_KEPT = 3
"""Most samples of one prompt and one reply that a run gives."""

_RELISTED = 3
"""Lists with other markings that a run gives besides its own: the overview shows none of them, so each is as true as the first."""


class Unasked:
    """Stands where a chain wants an engine: the lessons answer by themselves."""

    def __init__(self) -> None:
        self.codec, self.dialect, self.budget = Codec.preset("rscovlm-v1"), Dialect.preset("rscovlm-v1"), budget()

    def generate(self, conversations: Sequence[Conversation], **_: Any) -> list[Reply]:
        """Refuse.

        Raises:
            RuntimeError: Always.
        """
        raise RuntimeError(f"{len(conversations)} conversations were to be answered; lessons ask no engine")


@dataclass
class TaughtInquiry(Inquiry):
    """An inquiry that knows the true reply to each of its calls.

    Attributes:
        scene: The scene that is asked about.
        taught: Calls with the prompt that they come from and their true reply, in order.
    """

    scene: Any = None
    taught: list[tuple[EngineCall, str, str]] = field(default_factory=list)

    def ask(self, views: Sequence[Any], text: str, **options: Any) -> EngineCall:
        """Return the call, and keep its true reply."""
        call = super().ask(views, text, **options)
        prompt = prompt_of(text)
        self.taught.append((call, prompt, _truth(self, prompt, views, text)))
        return call


def prompt_of(text: str) -> str:
    """Return the name of the sentence that a policy asks with; ``answer`` for the question itself.

    >>> prompt_of(words()["seen"].replace("{question}", "Is it dry?")), prompt_of("Is it dry?")
    ('seen', 'answer')
    """
    for name, sentence in words().items():
        if text.startswith(sentence.partition("{")[0]):
            return name
    return "ground" if text.startswith("find the ") else "answer"


_LISTED = ("- [", "]: ", "nothing")
"""What stands around a reading in a list. With the space in the mark before it, a marking is one and the same token where it is read,
listed and asked for: as pieces that differ by the place (" p", "l", "us") two readings were not compared in 100 steps."""


def phrases() -> list[str]:
    """Return the fixed texts of what policies ask, each of which may be one token."""
    asked = [SAME, SAME.rstrip("?"), QUESTION.rstrip("?"), count_question("").removesuffix("?")]
    pieces = [*asked, "\nQuestion: ", *_LISTED]
    for sentence in words().values():
        for placeholder in ("{question}", "{count}", "{evidence}"):
            sentence = sentence.replace(placeholder, "{}")
        pieces += [piece for piece in sentence.split("{}") if len(piece) > 2]
    return list(dict.fromkeys(pieces))


def _truth(inquiry: TaughtInquiry, prompt: str, views: Sequence[Any], text: str) -> str:
    scene: PadQuestion = inquiry.scene
    if prompt in ("plan", "ground"):
        return _boxes(inquiry, views[0], kind="quad" if prompt == "plan" else "hbb")
    if prompt == "gather":
        return _from_list(scene, text)
    if prompt in ("answer", "canvas"):
        return scene.answer
    (view,) = views
    read = [pad.glyph for pad in scene.pads if legible(pad, view.window, view.frame.width)]
    if prompt == "part":
        return ", ".join(read) or "nothing"
    if prompt == "closer":
        return "yes" if any(holds(pad, view.window) for pad in scene.pads) else "no"
    if prompt == "seen" or scene.task == "one":
        return "yes" if read else "no"
    # To count, each part that shows a marking is wanted; the whole never shows them.
    return "yes" if len(read) >= (2 if scene.task == "compare" else 1) else "no"


def _boxes(inquiry: TaughtInquiry, view: ZoomView, *, kind: Any) -> str:
    # The region that shows a marking, as in the model's own calls: it is read there at twice the size that its pad gives it.
    boxes = Boxes(np.stack([pad.crop for pad in inquiry.scene.pads]), "hbb", inquiry.rasters[0].frame)
    found = Objects(boxes.as_kind(kind), ("region",) * len(boxes))
    return inquiry.dialect.codec.encode(found, view.frame, kind=kind)


def _from_list(scene: PadQuestion, text: str) -> str:
    """Return what follows from the list of what was seen; the truth where the list does not say."""
    seen = [
        word.strip(",")
        for line in text.splitlines()
        if line.startswith("- ")
        for word in line.partition(": ")[2].split()
    ]
    seen = [word for word in seen if word in GLYPHS]
    if scene.task == "one" and seen:
        return seen[0]
    if scene.task == "compare" and len(seen) >= 2:
        return "yes" if len(set(seen)) == 1 else "no"
    if scene.task == "count":
        return str(seen.count(scene.question.removesuffix("?").split()[-1]))
    return scene.answer


def _given(inquiry: TaughtInquiry, prompt: str, truth: str, rng: np.random.Generator) -> Reply:
    """Return the reply that the policy gets: the true one, or a wrong one on purpose."""
    if truth in ("yes", "no") and prompt in ("seen", "closer", "enough"):
        word = truth if rng.random() >= _FLIPPED else {"yes": "no", "no": "yes"}[truth]
        sure = float(rng.uniform(0.55, 1.0))
        return Reply(word, tokens=2, token_logprobs=[float(np.log(sure)), 0.0], token_texts=[word, ""])
    if prompt in ("plan", "ground"):
        boxes = [pad.crop + rng.normal(0, 10, 4) for pad in inquiry.scene.pads if rng.random() >= _DROPPED]
        if rng.random() < _ADDED:
            corner = rng.uniform(0, SIDE - 160, 2)
            boxes.append(np.concatenate([corner, corner + rng.uniform(80, 160, 2)]))
        placed = [Boxes([list(box)], "hbb", inquiry.rasters[0].frame) for box in boxes]
        codec, seen = inquiry.dialect.codec, inquiry.overviews[0].frame
        lines = [",".join(f"{value:g}" for value in codec.encode_box(box, seen)) + " region" for box in placed]
        return Reply("\n".join(lines))
    return Reply(truth)


def lessons_of(scene: PadQuestion, policy: str, rng: np.random.Generator) -> list[Sample]:
    """Run a policy on a scene, and return what it asked with the true replies, at most `_KEPT` of a kind.

    Args:
        scene: The scene and its question.
        policy: Name of the policy; ``none`` asks about the overview alone, ``offered`` with the tool at hand.
        rng: Decides which replies are wrong on purpose, and what is kept.
    """
    engine = Unasked()
    chain = ZoomChain(engine)
    raster = open_image(scene.image)
    overviews = chain.overviews([raster])
    if policy in ("none", "offered"):
        episode = chain.go_on([raster], overviews, scene.question, zoom=policy == "offered")
        return [_sample(episode.pending, scene.answer)]
    search, inquiry = _searched(chain, scene, policy, raster, overviews)
    taught: list[tuple[Conversation, str, str]] = []
    while not search.done:
        calls = list(search.calls)
        fresh = {id(call): (prompt, truth) for call, prompt, truth in inquiry.taught}
        known = [fresh.get(id(call), ("answer", scene.answer)) for call in calls]
        taught += [(call.conversation, *one) for call, one in zip(calls, known, strict=True)]
        search.receive([_given(inquiry, prompt, truth, rng) for prompt, truth in known])
    kept: Counter[tuple[str, str]] = Counter()
    samples = []
    for place in rng.permutation(len(taught)):
        conversation, prompt, truth = taught[int(place)]
        same = prompt, truth if prompt in ("seen", "closer", "enough") else truth == "nothing" and "nothing" or ""
        kept[same] += 1
        if kept[same] <= _KEPT:
            samples.append(_sample(conversation, truth))
        if prompt == "gather":
            samples += [_relisted(samples[-1], scene, rng) for _ in range(_RELISTED)]
    return samples


def _relisted(sample: Sample, scene: PadQuestion, rng: np.random.Generator) -> Sample:
    """Return a question about a list with other markings in it, and what follows from that list."""
    *before, asked, _ = sample["messages"]
    *pictures, block = asked["content"]
    target = scene.question.removesuffix("?").split()[-1] if scene.task == "count" else str(rng.choice(GLYPHS))
    # One marking is favoured, so that two are often the same and counts reach all of them.
    lines = [
        f"{line.partition(': ')[0]}: {target if rng.random() < 0.5 else rng.choice(GLYPHS)}"
        if line.startswith("- ")
        else line
        for line in block["text"].splitlines()
    ]
    text = "\n".join(lines)
    turn = {**asked, "content": [*pictures, {**block, "text": text}]}
    return {**sample, "messages": [*before, turn, answer_turn(_from_list(scene, text))]}


def kind_of(sample: Sample) -> str:
    """Return what a lesson teaches: its prompt, with the reply where that is one of two, or by how much is shown."""
    asked = next(turn for turn in sample["messages"] if turn["role"] == "user")["content"][-1]["text"]
    reply = sample["messages"][-1]["content"][0]["text"]
    prompt, shown = prompt_of(asked), len(sample["images"])
    if prompt in ("seen", "closer", "enough"):
        return f"{prompt} {reply}"
    if prompt == "part":
        return "nothing" if reply == "nothing" else "part"
    if prompt == "answer":
        return "look" if shown == 2 else "looks" if shown > 2 else "offered" if ZOOM_REQUEST in asked else "guess"
    return prompt


def _searched(
    chain: ZoomChain, scene: PadQuestion, policy: str, raster: Raster, overviews: Sequence[ZoomView]
) -> tuple[Search, TaughtInquiry]:
    """Begin a search whose inquiry knows the truth."""
    named, engine = policy_named(policy), Unasked()
    inquiry = TaughtInquiry(
        scene.question,
        [raster],
        overviews,
        engine.dialect,
        engine.budget,
        chain.limits,
        named.max_calls,
        named.max_visual_tokens,
        scene=scene,
    )

    def answer(zoom: bool) -> Any:
        return chain.go_on([raster], overviews, scene.question, zoom=zoom)

    return Search(named, inquiry, answer, _ANSWER_TOKENS), inquiry


def _sample(conversation: Conversation, reply: str) -> Sample:
    """Return a conversation with its reply as a training sample."""
    turns = []
    for turn in conversation.messages:
        content = turn["content"]
        if not isinstance(content, str):
            content = [{"type": "image"} if block["type"] == "image" else block for block in content]
        turns.append({**turn, "content": content})
    # Calls that a policy made in the model's name are no lesson: some look where nothing is.
    return {
        "messages": [*turns, answer_turn(reply)],
        "images": conversation.images(),
        "tools": conversation.tools,
        "last": True,
    }
