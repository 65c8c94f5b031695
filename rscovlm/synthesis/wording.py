"""The wording file: phrases for questions and instructions for the models that write them."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from importlib import resources
from typing import Any

import numpy as np
import yaml


@lru_cache(maxsize=1)
def wording() -> dict[str, Any]:
    """Read the shipped `prompts.yaml`."""
    text = (resources.files("rscovlm.synthesis") / "prompts.yaml").read_text(encoding="utf-8")
    content: dict[str, Any] = yaml.safe_load(text)
    return content


def generator(seed: int, *parts: str) -> np.random.Generator:
    """Give random numbers that depend on the seed and the names alone, not on what was drawn before."""
    digest = hashlib.sha256("\x1f".join([str(seed), *parts]).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))
