"""The wording file: phrases for questions and instructions for the models that write them."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from importlib import resources
from typing import Any

import numpy as np
import yaml

from rscovlm.codec.prompts import plural as english_plural


@lru_cache(maxsize=1)
def wording() -> dict[str, Any]:
    """Read the shipped `prompts.yaml`."""
    text = (resources.files("rscovlm.data.synthesis") / "prompts.yaml").read_text(encoding="utf-8")
    content: dict[str, Any] = yaml.safe_load(text)
    return content


def spoken(label: str) -> str:
    """Write a class name as words: `large-vehicle` is 'large vehicle'."""
    return " ".join(label.replace("-", " ").replace("_", " ").split()).lower()


def plural(label: str) -> str:
    """Write the plural of a class name as words.

    >>> [plural(name) for name in ("large-vehicle", "bus", "Fishing Boat", "ferry", "torch")]
    ['large vehicles', 'buses', 'fishing boats', 'ferries', 'torches']
    """
    return english_plural(spoken(label))


def generator(seed: int, *parts: str) -> np.random.Generator:
    """Give random numbers that depend on the seed and the names alone, not on what was drawn before."""
    digest = hashlib.sha256("\x1f".join([str(seed), *parts]).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))
