"""What a decoder at a server cannot hold: it spells in characters the tags that a model knows as tokens."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from rscovlm.codec import Codec
from rscovlm.codec.grammar import Grammar
from rscovlm.codec.tags import pieces


def special_tokens_of(tokenizer: Any) -> set[str] | None:
    """Return the texts of a tokenizer's special tokens; None where there is no tokenizer."""
    from rscovlm.processing.tokenizer import special_texts

    return None if tokenizer is None else special_texts(tokenizer)


def check_spelt(grammar: Grammar, codec: Codec, tokens: Collection[str] | None) -> None:
    """Refuse a grammar whose tags the model writes as special tokens.

    vLLM, SGLang and others hold an answer to the characters of its tokens, and special tokens have none for them: under the
    grammar a model would spell ``<|box_start|>`` letter by letter, which its training never showed. Tried with
    llguidance (`tests/engines/test_held_answers.py`).

    Args:
        grammar: What the answer is to be held to.
        codec: How the model writes boxes.
        tokens: Special tokens of the model's tokenizer; None where nobody knows: those of published checkpoints are assumed.

    Raises:
        ValueError: The grammar writes such tags.
    """
    tags = codec.tags
    if tags is None or not (tags.special if tokens is None else codec.written_in(tokens)):
        return
    templates = (tags.label, tags.boxes, *map(tags.template, tags.kinds))
    fixed = {part.strip() for text in templates for part in pieces(text) if isinstance(part, str) and "<" in part}
    held = grammar.regex(1)
    spelt = sorted((part for part in fixed if len(part) > 1 and re.escape(part) in held), key=len)
    if spelt:
        raise ValueError(
            f"the grammar of dialect {codec.name!r} writes {spelt[-1]!r}, which the model knows as a special token, and servers' decoders "
            "spell it in characters; ask without a grammar (no --constrained), hold the model in the process "
            "(engines.Transformers), or give processor= where its tokenizer has other tokens"
        )
