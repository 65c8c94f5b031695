"""Answers that say that there is nothing."""

from __future__ import annotations

import re

from rscovlm.codec import patterns
from rscovlm.codec.tag_patterns import TagPattern

_TAG = re.compile(r"<[^<>\n]{0,64}+>")


def says_none(text: str, none: str, tags: TagPattern | None = None) -> bool:
    """Tell whether a text without any object says that there is none.

    Args:
        text: What a model wrote.
        none: The dialect's own answer where there is nothing.
        tags: The dialect's tags: its own answer may stand between them, behind the class.
    """
    said = text.strip().strip(".").lower()
    own = none.strip().strip(".").lower()
    if said == own or patterns.NONE.search(text) is not None or patterns.EMPTY_LIST.fullmatch(text) is not None:
        return True
    return tags is not None and any(part.strip().strip(".").lower() == own for part in _TAG.split(text))
