"""Answers from a model in this process, through Hugging Face ``generate``."""

from __future__ import annotations

import copy
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from transformers import LogitsProcessor, StoppingCriteria

from rscovlm.codec import Codec
from rscovlm.codec.dialect import Dialect
from rscovlm.codec.grammar import Grammar
from rscovlm.engines.constrained import Constrained, Masks, Vocabulary
from rscovlm.engines.engine import Conversation, Finish, Reply
from rscovlm.engines.prefixes import Prefixes, Start
from rscovlm.engines.repeats import RepeatGuard
from rscovlm.processing.resolution import PixelBudget, plan_size
from rscovlm.processing.tokenizer import special_texts

# Greedy, and nothing of a checkpoint's chat defaults: Qwen's repetition penalty (1.05) punishes the digits of every
# further box.
_GREEDY: dict[str, Any] = {
    "do_sample": False,
    "num_beams": 1,
    "temperature": None,
    "top_p": None,
    "top_k": None,
    "repetition_penalty": 1.0,
}
_GUARD = RepeatGuard()
# Grammars whose tokens are kept.
_KEPT = 32


class Transformers:
    """Answers conversations with a loaded model, greedily by default.

    Conversations are sorted by length, padded on the left, and answered ``batch_size`` at a time; replies come back in
    the order asked. Device and precision are the model's. A conversation with a :class:`~rscovlm.engines.Memory` (those
    of a zoom chain have one) is not read from the beginning at each turn: keys and values of what both turns share are
    kept with it, and only new images are encoded.

    Args:
        model: A Qwen2.5-VL or Qwen3-VL model with ``generate``.
        processor: Its ``RSCoVLMProcessor``, which knows codec and budget.
        batch_size: Conversations answered at a time.
        dialect: How the model writes boxes and what it is asked: name of a preset, YAML file, `Dialect` or `Codec`; the
            processor's when omitted.
        budget: What the processor lets the model see of an image; the processor's when omitted.
        repeat_guard: Ends endless replies; ``None`` lets them run to the limit.
        grammar: What answers must look like (``codec.grammar(kind=..., categories=[...])``) where a conversation says
            nothing itself, so that each can be read; takes the place of the repeat guard. Give ``max_new_tokens`` for
            two objects at least.
        max_objects: Objects of an answer at most, with a grammar.
        generation: Options of ``generate`` in place of greedy decoding, such as ``{"do_sample": True, "temperature":
            0.7}``.
        reuse_bytes: Keys and values kept between turns at most, for all conversations together; 0 reads every turn
            anew. A model of 7B keeps 57 kB a token in bfloat16, so the default serves 25 overviews of 1,296 tokens.

    Raises:
        ValueError: ``batch_size`` is below 1, ``reuse_bytes`` below 0, or the processor has no codec or budget and none
            is given.
    """

    def __init__(
        self,
        model: Any,
        processor: Any,
        batch_size: int = 8,
        *,
        dialect: Any = None,
        budget: PixelBudget | None = None,
        repeat_guard: RepeatGuard | None = _GUARD,
        grammar: Grammar | None = None,
        max_objects: int = 200,
        generation: Mapping[str, Any] | None = None,
        reuse_bytes: int = 2 << 30,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; give a number from 1 up")
        if reuse_bytes < 0:
            raise ValueError(f"reuse_bytes is {reuse_bytes}; give a number of bytes, or 0 to read every turn again")
        self.model, self.processor, self.batch_size = model, processor, batch_size
        if dialect is None:
            dialect = getattr(processor, "dialect", None) or _own(processor, "codec")
        self.dialect = Dialect.given(dialect)
        self.codec: Codec = self.dialect.codec
        self.budget: PixelBudget = budget if budget is not None else _own(processor, "budget")
        self.repeat_guard, self.grammar, self.max_objects = repeat_guard, grammar, max_objects
        self._options = {**_GREEDY, **(generation or {})}
        self.prefixes = Prefixes(model, processor, reuse_bytes, self._options)
        self._ends = _end_tokens(model, processor.tokenizer)
        # Where a dialect's tags are special tokens, an answer without these has lost its boxes.
        self._skips = not self.codec.written_in(special_texts(processor.tokenizer))
        self._vocabulary: Vocabulary | None = None
        self._masks: OrderedDict[tuple[str, str], Masks] = OrderedDict()
        self._masks_of(grammar)
        # A copy: the one that prepares batches refuses ("Already borrowed") other callers while its padding is set.
        self._counter = copy.deepcopy(getattr(processor.tokenizer, "backend_tokenizer", None))
        if self._counter is not None:
            self._counter.no_padding()
            self._counter.no_truncation()

    def generate(
        self, conversations: Sequence[Conversation], *, max_new_tokens: int = 1024, logprobs: bool = False
    ) -> list[Reply]:
        """Answer each conversation; see :class:`~rscovlm.engines.Engine`."""
        texts = [self._render(one) for one in conversations]
        starts = dict(enumerate(self.prefixes.starts(texts, conversations)))
        unread = [
            len(text) // 4 + self._visual_tokens(one) - starts[row].tokens
            for row, (text, one) in enumerate(zip(texts, conversations, strict=True))
        ]
        order = sorted(range(len(texts)), key=lambda row: -unread[row])
        replies: dict[int, Reply] = {}
        for start in range(0, len(order), self.batch_size):
            rows = order[start : start + self.batch_size]
            answered = self._answer(
                [texts[row] for row in rows],
                [conversations[row] for row in rows],
                [starts.pop(row) for row in rows],
                max_new_tokens,
                logprobs,
            )
            replies.update(zip(rows, answered, strict=True))
        return [replies[row] for row in range(len(texts))]

    def count_tokens(self, text: str) -> int:
        """Return how many tokens a text has; may be called from any thread."""
        if self._counter is None:  # a slow tokenizer, which has no state that threads could spoil
            return len(self.processor.tokenizer.encode(text, add_special_tokens=False))
        return len(self._counter.encode(text, add_special_tokens=False))

    def _render(self, conversation: Conversation) -> str:
        text: str = self.processor.apply_chat_template(
            conversation.messages, tools=conversation.tools, tokenize=False, add_generation_prompt=True
        )
        return text

    def _visual_tokens(self, conversation: Conversation) -> int:
        sizes = (plan_size(image.width, image.height, self.budget) for image in conversation.images())
        return sum(self.budget.tokens(size) for size in sizes)

    def _masks_of(self, grammar: Grammar | None) -> Masks | None:
        """Return the tokens of a grammar; those of the last few are kept."""
        if grammar is None:
            return None
        if self._vocabulary is None:
            self._vocabulary = Vocabulary(self.processor.tokenizer, self._ends)
        # The same answers may come with another schema, since that states the size of the image.
        key = grammar.pattern, grammar.end
        if key not in self._masks:
            self._masks[key] = Masks(grammar, self._vocabulary, self.max_objects)
            if len(self._masks) > _KEPT:
                self._masks.popitem(last=False)
        return self._masks[key]

    @torch.inference_mode()
    def _answer(
        self,
        texts: list[str],
        conversations: list[Conversation],
        starts: list[Start],
        max_new_tokens: int,
        logprobs: bool,
    ) -> list[Reply]:
        start = time.perf_counter()
        masks = [self._masks_of(one.grammar or self.grammar) for one in conversations]
        inputs = self.prefixes.inputs(texts, conversations, starts)
        prompt = inputs["input_ids"].shape[1]
        read = inputs["attention_mask"].sum(dim=1).tolist()
        guard = _Guard(self.repeat_guard, prompt, [one is None for one in masks]) if self.repeat_guard else None
        record = _Record() if logprobs else None
        # The record comes last: it holds the probabilities of what was chosen from.
        bound = Constrained(masks, prompt, max_new_tokens) if any(masks) else None
        processors = [one for one in (bound, record) if one is not None]
        sequences = self.model.generate(
            **inputs,
            **self._options,
            max_new_tokens=max_new_tokens,
            eos_token_id=sorted(self._ends),
            pad_token_id=self.processor.tokenizer.pad_token_id,
            stopping_criteria=[guard] if guard else None,
            logits_processor=processors or None,
        )
        rows = [
            self._cut(row, guard.ended.get(number) if guard else None)
            for number, row in enumerate(sequences[:, prompt:].tolist())
        ]
        self.prefixes.keep(conversations, inputs, sequences, [len(tokens) for tokens, _ in rows])
        scores = record.finished(sequences, prompt) if record else None
        seconds = (time.perf_counter() - start) / len(texts)
        replies = []
        for number, (tokens, finish) in enumerate(rows):
            reply = Reply(self._text(tokens), len(tokens), seconds, finish, prompt_tokens=read[number])
            if scores is not None:
                reply = replace(
                    reply, token_logprobs=scores[number][: len(tokens)], token_texts=self._token_texts(tokens)
                )
            replies.append(reply)
        return replies

    def _cut(self, tokens: list[int], guarded: int | None) -> tuple[list[int], Finish]:
        """Return the generated tokens of one row without its padding, and how it ended."""
        end = next((place for place, token in enumerate(tokens) if token in self._ends), None)
        if guarded is not None and (end is None or end >= guarded):
            return tokens[:guarded], "repeat"
        return (tokens, "length") if end is None else (tokens[: end + 1], "stop")

    def _text(self, tokens: list[int]) -> str:
        if tokens and tokens[-1] in self._ends:
            tokens = tokens[:-1]
        text: str = self.processor.tokenizer.decode(
            tokens, skip_special_tokens=self._skips, clean_up_tokenization_spaces=False
        )
        return text

    def _token_texts(self, tokens: list[int]) -> list[str]:
        """Return the text of each token; a character of several tokens stands with the last of them."""
        texts, begun = [], 0
        for place in range(len(tokens)):
            piece = self._text(tokens[begun : place + 1])
            # Half a character decodes to the replacement character; no character has more than four bytes.
            if piece.endswith("\ufffd") and place - begun < 3 and place + 1 < len(tokens):
                texts.append("")
                continue
            texts.append(piece)
            begun = place + 1
        return texts


class _Guard(StoppingCriteria):
    """Ends each row of a batch by itself when the repeat guard says so."""

    def __init__(self, guard: RepeatGuard, prompt: int, watched: Sequence[bool]) -> None:
        self.guard, self.prompt, self.watched = guard, prompt, watched
        self.ended: dict[int, int] = {}

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        done = torch.zeros(input_ids.shape[0], dtype=torch.bool, device=input_ids.device)
        length = input_ids.shape[1] - self.prompt
        if length < self.guard.least or length % self.guard.every:
            return done
        for row, tokens in enumerate(input_ids[:, self.prompt :].cpu().numpy()):
            if self.watched[row] and row not in self.ended and self.guard.endless(tokens):
                self.ended[row] = length
            done[row] = row in self.ended
        return done


class _Record(LogitsProcessor):
    """Keeps the log-probability of each chosen token, and never more than one step of the whole vocabulary."""

    def __init__(self) -> None:
        self._chosen: list[torch.Tensor] = []
        self._last: torch.Tensor | None = None

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        self._take(input_ids[:, -1])
        self._last = torch.log_softmax(scores.float(), dim=-1)
        return scores

    def finished(self, sequences: torch.Tensor, prompt: int) -> list[list[float]]:
        """Return one list for each row, one number for each generated token."""
        self._take(sequences[:, -1])
        self._last = None
        return torch.stack(self._chosen, dim=1).tolist() if sequences.shape[1] > prompt else [[] for _ in sequences]

    def _take(self, tokens: torch.Tensor) -> None:
        if self._last is not None:
            self._chosen.append(self._last.gather(1, tokens[:, None].to(self._last.device))[:, 0].cpu())


def _own(processor: Any, name: str) -> Any:
    value = getattr(processor, name, None)
    if value is None:
        raise ValueError(f"{type(processor).__name__} has no {name}; use an RSCoVLMProcessor or give {name}=...")
    return value


def _end_tokens(model: Any, tokenizer: Any) -> set[int]:
    """Return the tokens that end a turn: the model's own and the tokenizer's."""
    own = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    listed = own if isinstance(own, (list, tuple)) else [own]
    return {int(token) for token in (*listed, tokenizer.eos_token_id) if token is not None}
