"""Answers that can always be read: tokens that would leave a grammar are never chosen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from transformers import LogitsProcessor

from rscovlm.engines.automaton import Automaton
from rscovlm.engines.spelling import Place, Spelling, readable

if TYPE_CHECKING:
    from rscovlm.codec.grammar import Grammar


class Vocabulary:
    """The bytes of a tokenizer's tokens, each as the character of that number.

    Bytes, because a rare character may be several tokens, none of them a character of its own.

    Args:
        tokenizer: Whose tokens.
        ends: Tokens that end a turn.

    Attributes:
        texts: The bytes of each ordinary token.
        added: The bytes of each added one, special ones included, without those that end a turn.
        ends: Tokens that end a turn.
    """

    def __init__(self, tokenizer: Any, ends: Iterable[int]) -> None:
        self.ends = sorted(ends)
        added = {number: str(token) for number, token in tokenizer.added_tokens_decoder.items()}
        special = {*tokenizer.all_special_ids, *added}
        self.added = {number: as_bytes(text) for number, text in added.items() if number not in self.ends}
        numbers = [number for number in range(len(tokenizer)) if number not in special]
        read = _byte_reader(tokenizer)
        self.texts = {number: text for number in numbers if (text := read(number))}
        self._sorted = sorted((text, number) for number, text in self.texts.items())

    def within(self, spelling: Spelling, start: Place) -> Iterator[int]:
        """Yield the ordinary tokens that may follow."""
        return readable(self._sorted, start, spelling.step)


class Masks:
    """Which tokens may follow, for each place in a grammar; found when first needed and kept.

    A text that is an added token of the vocabulary, such as a tag of Qwen2-VL's, is written by that token and never spelt.

    Args:
        grammar: What answers look like.
        vocabulary: The tokens there are.
        max_objects: Objects of an answer at most.

    Raises:
        ValueError: ``max_objects`` is below 1.
    """

    def __init__(self, grammar: Grammar, vocabulary: Vocabulary, max_objects: int) -> None:
        if max_objects < 1:
            raise ValueError(f"max_objects is {max_objects}; give a number from 1 up")
        self.grammar, self.vocabulary, self.max_objects = grammar, vocabulary, max_objects
        # Where no character ends an object and stands nowhere else, objects cannot be counted: the expression bounds them.
        counted = bool(grammar.end) or grammar.between is None
        automaton = Automaton(as_bytes(grammar.pattern if counted else grammar.regex(max_objects)))
        self._spelling = Spelling(automaton, vocabulary.added)
        self.start = self._spelling.start
        self._more = (grammar.between or "")[:1]
        self._allowed: dict[tuple[Place, int], torch.Tensor] = {}

    def text(self, token: int) -> str:
        """Return the bytes of a token that answers may hold; empty for any other."""
        return self.vocabulary.texts.get(token) or self._spelling.tokens.get(token, "")

    def after(self, place: Place, token: int) -> Place:
        """Return the place after a token; its state is empty where no answer continues like that."""
        if token in self._spelling.tokens:
            return self._spelling.take(place, self._spelling.tokens[token])
        return self._spelling.walk(place, self.vocabulary.texts.get(token, ""))

    def accepts(self, place: Place) -> bool:
        """Return whether what was read is a whole answer."""
        return self._spelling.automaton.accepts(place[0])

    def allowed(self, place: Place, left: int) -> torch.Tensor:
        """Return the tokens that may follow a place when ``left`` more objects may end."""
        key = place, min(left, 8)
        if key not in self._allowed:
            found = [number for number in self._possible(place) if not self._too_many(self.text(number), key[1])]
            done = self.accepts(place)
            self._allowed[key] = torch.tensor([*found, *self.vocabulary.ends] if done or not found else found)
        return self._allowed[key]

    def _possible(self, place: Place) -> Iterator[int]:
        yield from self.vocabulary.within(self._spelling, place)
        yield from readable(self._spelling.sorted, place, self._spelling.pass_over)

    def _too_many(self, text: str, left: int) -> bool:
        """Return whether a token begins an object after the last that may be."""
        end = self.grammar.end
        for place, character in enumerate(text if end else ""):
            if left <= 0 and (place == 0 or text[place - 1] == end):
                begins = character == self._more if self._more else True
                if begins:
                    return True
            left -= character == end
        return False


class Constrained(LogitsProcessor):
    """Lets the rows of one batch write answers of their grammars only, and ends them before their tokens run out.

    Args:
        rows: The masks of each row, ``None`` for one that may say anything.
        prompt: Tokens of the prompt.
        max_new_tokens: Limit of generated tokens.
    """

    def __init__(self, rows: Sequence[Masks | None], prompt: int, max_new_tokens: int) -> None:
        self._masks, self._prompt, self._most = rows, prompt, max_new_tokens
        self._states = [None if masks is None else (masks.start, 0, False) for masks in rows]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        length = input_ids.shape[1] - self._prompt
        bounded = scores.clone()
        last = input_ids[:, -1].tolist()
        for row, (masks, known) in enumerate(zip(self._masks, self._states, strict=True)):
            if masks is None or known is None:
                continue
            place, ended, between = known
            end = masks.grammar.end
            if length and (text := masks.text(last[row])):
                place = masks.after(place, last[row])
                if end:
                    ended, between = ended + text.count(end), text.endswith(end)
            self._states[row] = place, ended, between
            left = masks.max_objects - ended
            # A byte may cost a token: this close to the limit, the object that is begun is the last one.
            if self._most - length <= 2 * masks.grammar.longest + masks.grammar.around:
                left = min(left, 0 if between else 1)
            tokens = masks.allowed(place, max(0, left)).to(scores.device)
            bounded[row] = -torch.inf
            bounded[row, tokens] = scores[row, tokens]
        return bounded


def as_bytes(text: str) -> str:
    """Return the UTF-8 bytes of a text, each as the character of that number."""
    return text.encode().decode("latin-1")


def _byte_reader(tokenizer: Any) -> Any:
    """Return the function from a token's number to its bytes."""
    if _byte_level(tokenizer):
        back = _bytes_of_characters()
        return lambda number: "".join(back.get(one, "") for one in tokenizer.convert_ids_to_tokens(number))

    def decoded(number: int) -> str:
        text: str = tokenizer.decode([number], clean_up_tokenization_spaces=False)
        return "" if "\ufffd" in text else as_bytes(text)

    return decoded


def _byte_level(tokenizer: Any) -> bool:
    """Return whether the tokenizer writes its tokens in GPT-2's alphabet of bytes, as Qwen's does."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    return "ByteLevel" in type(getattr(backend, "decoder", None)).__name__


def _bytes_of_characters() -> dict[str, str]:
    """Return GPT-2's alphabet of bytes, backwards: those that print stand for themselves, the others from 256 up."""
    printing = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printing]
    return {chr(byte): chr(byte) for byte in printing} | {
        chr(256 + place): chr(byte) for place, byte in enumerate(others)
    }
