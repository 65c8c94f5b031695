"""Grammars that a server's decoder cannot hold are refused by name; the engine in the process holds them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from rscovlm.codec.dialect import Dialect
from rscovlm.codec.grammar import choice_grammar
from rscovlm.engines import Conversation, Server
from rscovlm.engines.held_answers import check_spelt, special_tokens_of
from rscovlm.engines.vllm import VLLM
from rscovlm.processing.resolution import PixelBudget
from tests.engines.test_spelling import OTHERS, TAGGED, answers, tags_of, tokenizer_with

SPECIAL = {"qwen2-vl", "qwen-vl", "internvl", "rex-omni", "florence-2", "deepseek-vl2"}
ASKED = [{"role": "user", "content": "Where is the ship?"}]


def grammar_of(name: str) -> Any:
    codec = Dialect.preset(name).codec
    kind: Any = "hbb" if "hbb" in codec.kinds else codec.kinds[0]
    return codec.grammar(kind=kind, categories=["ship"], largest=1008)


@pytest.mark.parametrize("name", [name for name in TAGGED if tags_of(name) and name != "molmo"])
def test_a_decoder_of_characters_takes_no_special_token(name: str) -> None:
    """llguidance, as vLLM and SGLang call it, on the EBNF that they are sent."""
    from llguidance import LLMatcher
    from llguidance.gbnf_to_lark import any_to_lark
    from llguidance.hf import from_tokenizer

    special, spelt = tokenizer_with(tags_of(name)), tokenizer_with([])
    reads = from_tokenizer(special)

    def held(text: str, grammar: Any, tokenizer: Any) -> bool:
        matcher = LLMatcher(reads, any_to_lark(grammar.ebnf(5)))
        assert not matcher.is_error(), matcher.get_error()
        tokens = tokenizer(text)["input_ids"]
        return bool(matcher.validate_tokens(tokens) == len(tokens))

    for text, grammar in answers(name):
        tagged = any(tag in text for tag in tags_of(name))
        assert held(text, grammar, spelt)
        assert held(text, grammar, special) == (not tagged), text
        if tagged:
            with pytest.raises(ValueError, match="special token, and servers' decoders"):
                check_spelt(grammar, Dialect.preset(name).codec, special_tokens_of(special))


@pytest.mark.parametrize("name", [name for name in (*TAGGED, *OTHERS) if name != "molmo"])
def test_where_no_tokenizer_is_known_published_ones_decide(name: str) -> None:
    dialect = Dialect.preset(name)
    assert dialect.codec.tags is None or dialect.codec.tags.special == (name in SPECIAL)
    server = Server("http://127.0.0.1:9/v1", "m", dialect=dialect, budget=PixelBudget(), tries=1, probe=False)
    conversation = [Conversation(ASKED, grammar=grammar_of(name))]
    if name in SPECIAL:
        with pytest.raises(ValueError, match=rf"dialect '{name}' writes '.*<.*', which the model knows as a special"):
            server.generate(conversation)
    else:  # it is sent, to an address where nobody listens
        with pytest.raises(Exception, match="no answer in 1 tries"):
            server.generate(conversation)
    # An answer without coordinates has no tags.
    check_spelt(choice_grammar(["ship", "plane"]), dialect.codec, None)


def test_a_stated_tokenizer_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    dialect, budget = Dialect.preset("internvl"), PixelBudget()
    for tags, refused in ((["<box>"], True), ([], False)):
        processor = SimpleNamespace(dialect=dialect, budget=budget, tokenizer=tokenizer_with(tags))
        server = Server("http://127.0.0.1:9/v1", "m", processor=processor, tries=1, probe=False)
        words = "special token, and servers' decoders" if refused else "no answer in 1 tries"
        with pytest.raises(Exception, match=words):
            server.generate([Conversation(ASKED, grammar=grammar_of("internvl"))])
        llm = SimpleNamespace(get_tokenizer=lambda tags=tags: tokenizer_with(tags))
        engine = VLLM(llm, dialect=dialect, budget=budget, probe=False)
        with pytest.raises(
            (ValueError, ModuleNotFoundError), match=r"special token, and servers' decoders" if refused else "vllm"
        ):
            engine._bound(Conversation(ASKED, grammar=grammar_of("internvl")), 64)
