"""Answers that can always be read: tokens that would leave a grammar are never chosen."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import torch
from transformers import LogitsProcessor

from rscovlm.engines.automaton import Automaton, State

if TYPE_CHECKING:
    from rscovlm.codec.grammar import Grammar


class Masks:
    """Which tokens may follow, for each state of a grammar; found when first needed and kept.

    Args:
        grammar: What answers look like.
        tokenizer: Whose tokens.
        ends: Tokens that end a turn.
        max_objects: Objects of an answer at most.

    Raises:
        ValueError: ``max_objects`` is below 1.
    """

    def __init__(self, grammar: Grammar, tokenizer: Any, ends: Iterable[int], max_objects: int) -> None:
        if max_objects < 1:
            raise ValueError(f"max_objects is {max_objects}; give a number from 1 up")
        self.grammar, self.max_objects = grammar, max_objects
        self.automaton = Automaton(grammar.pattern)
        self.ends = sorted(ends)
        special = {*tokenizer.all_special_ids, *tokenizer.added_tokens_decoder}
        numbers = [number for number in range(len(tokenizer)) if number not in special]
        texts = tokenizer.batch_decode([[number] for number in numbers], clean_up_tokenization_spaces=False)
        # Half a character decodes to the replacement character.
        self.texts = {
            number: text for number, text in zip(numbers, texts, strict=True) if text and "\ufffd" not in text
        }
        self._beginning: dict[str, list[int]] = {}
        for number, text in self.texts.items():
            self._beginning.setdefault(text[0], []).append(number)
        self._allowed: dict[tuple[State, int], list[int]] = {}

    def allowed(self, state: State, left: int) -> list[int]:
        """Return the tokens that may follow a state when ``left`` more objects may end."""
        key = state, min(left, 8)
        if key not in self._allowed:
            found = [number for number in self._possible(state) if not self._too_many(self.texts[number], key[1])]
            done = self.automaton.accepts(state)
            self._allowed[key] = [*found, *self.ends] if done or not found else found
        return self._allowed[key]

    def _possible(self, state: State) -> Iterable[int]:
        for character, numbers in self._beginning.items():
            after = self.automaton.step(state, character)
            if after:
                yield from (number for number in numbers if self.automaton.walk(after, self.texts[number][1:]))

    def _too_many(self, text: str, left: int) -> bool:
        """Return whether a token begins an object after the last that may be."""
        grammar = self.grammar
        for place, character in enumerate(text):
            if left <= 0 and (place == 0 or text[place - 1] == grammar.end):
                begins = character == grammar.more if grammar.more else True
                if begins:
                    return True
            left -= character == grammar.end
        return False


class Constrained(LogitsProcessor):
    """Lets one batch write answers of a grammar only, and ends them before their tokens run out.

    Args:
        masks: The grammar's tokens.
        prompt: Tokens of the prompt.
        max_new_tokens: Limit of generated tokens.
    """

    def __init__(self, masks: Masks, prompt: int, max_new_tokens: int) -> None:
        self._masks, self._prompt, self._most = masks, prompt, max_new_tokens
        self._rows: dict[int, tuple[State, int, bool]] = {}

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        masks = self._masks
        length = input_ids.shape[1] - self._prompt
        bounded = torch.full_like(scores, -torch.inf)
        last = input_ids[:, -1].tolist()
        # A character may cost a token: this close to the limit, the object that is begun is the last one.
        short = self._most - length <= 2 * masks.grammar.longest
        for row in range(scores.shape[0]):
            state, ended, between = self._rows.get(row, (masks.automaton.start, 0, False))
            if length and last[row] in masks.texts:
                text = masks.texts[last[row]]
                state, ended = masks.automaton.walk(state, text), ended + text.count(masks.grammar.end)
                between = text.endswith(masks.grammar.end)
            self._rows[row] = state, ended, between
            left = masks.max_objects - ended
            if short:
                left = min(left, 0 if between else 1)
            tokens = torch.tensor(masks.allowed(state, max(0, left)), device=scores.device)
            bounded[row, tokens] = scores[row, tokens]
        return bounded
