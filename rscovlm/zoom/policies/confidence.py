"""How sure a model is that something is so, from 0 to 1."""

from __future__ import annotations

import math
import re
from functools import cache
from importlib.resources import files

import yaml

from rscovlm.engines.engine import Reply
from rscovlm.zoom.policies.inquiry import EngineCall, Inquiry
from rscovlm.zoom.windows import ZoomView

_YES, _NO = re.compile(r"\s*\W*yes\b", re.IGNORECASE), re.compile(r"\s*\W*no\b", re.IGNORECASE)
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


@cache
def words() -> dict[str, str]:
    """Return the sentences that policies ask with, by name."""
    loaded: dict[str, str] = yaml.safe_load((files("rscovlm.zoom.policies") / "words.yaml").read_text("utf-8"))
    return loaded


def ask_whether(inquiry: Inquiry, view: ZoomView, what: str) -> EngineCall:
    """Return a question of yes or no about a view.

    Args:
        inquiry: The question that is worked on.
        view: What is shown.
        what: ``seen``, ``closer`` or ``enough``.
    """
    text = words()[what].replace("{question}", inquiry.question)
    return inquiry.ask([view], text, max_new_tokens=16, logprobs=True)


def yes(reply: Reply) -> float | None:
    """Return the probability of yes, from the tokens where the engine gives their probability, else as written.

    Returns:
        From 0 to 1; None where the reply says neither yes nor no.

    >>> yes(Reply("Yes, 80")), yes(Reply("no")), yes(Reply("No.", token_logprobs=[-0.5, 0], token_texts=["No", "."]))
    (0.8, 0.0, 0.3934693402873666)
    >>> yes(Reply("Yes, 80", token_logprobs=[float("nan")], token_texts=["Yes"]))
    0.8
    """
    said = True if _YES.match(reply.text) else False if _NO.match(reply.text) else None
    if said is None:
        return None
    sure = _of_tokens(reply)
    if sure is None:
        number = _NUMBER.search(reply.text)
        sure = min(float(number.group()), 100.0) / 100 if number else 1.0
    return sure if said else 1.0 - sure


def _of_tokens(reply: Reply) -> float | None:
    """Return the probability of the token that says yes or no, the first that is no blank; None where it has none."""
    if not reply.token_logprobs or not reply.token_texts:
        return None
    for logprob, text in zip(reply.token_logprobs, reply.token_texts, strict=False):
        if text.strip():
            # Servers send null, and half precision gives NaN, where a probability is lost: neither may rank a part.
            known = isinstance(logprob, (int, float)) and not math.isnan(logprob)
            return math.exp(min(logprob, 0.0)) if known else None
    return None
