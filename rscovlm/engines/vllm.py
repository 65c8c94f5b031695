"""Answers from vLLM in this process.

vLLM pins its own torch and transformers and needs its own environment; nothing of it is imported before use. Held against
vLLM 0.32 on a CPU by the opt-in test ``tests/engines/test_vllm.py``, token for token with the transformers engine.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from PIL import Image

from rscovlm.codec import Codec
from rscovlm.codec.dialect import Dialect
from rscovlm.codec.grammar import Grammar
from rscovlm.engines.answers import token_texts
from rscovlm.engines.chat_form import to_openai
from rscovlm.engines.engine import Conversation, Finish, Reply
from rscovlm.engines.held_answers import check_spelt, special_tokens_of
from rscovlm.engines.probe import BudgetMismatch, probe_budget
from rscovlm.engines.published import Agreement, opened, stated_by
from rscovlm.extras import optional
from rscovlm.processing.resolution import PixelBudget

_OWN = ("dialect", "processor", "chat_template", "lora", "sampling", "grammar", "max_objects", "probe")
_logger = logging.getLogger(__name__)


class VLLM:
    """Answers conversations with a ``vllm.LLM``, greedily by default.

    Images are resized here to exactly the size the budget plans, so vLLM's own resize leaves them alone. With prefix
    caching on (the default of :meth:`load`) the second turn of a chain reuses the first.

    Args:
        llm: A ``vllm.LLM`` that allows as many images a prompt as a chain shows.
        dialect: How the model writes boxes and what it is asked: name of a preset, YAML file, `Dialect` or `Codec`.
        budget: What vLLM's processor lets the model see of an image; checked with two pictures before the first image.
        processor: The checkpoint's processor, folder or name, which states both. Where nothing does, tasks with coordinates
            are refused.
        probe: False does not check the budget.
        chat_template: Template to use instead of the checkpoint's own; the native zoom layout needs one that renders
            images in tool turns, such as ``rscovlm.processing.template.chat_template()``.
        lora: A ``vllm.lora.request.LoRARequest``, or ``None``.
        sampling: Options of ``vllm.SamplingParams`` in place of greedy decoding.
        grammar: What answers must look like where a conversation says nothing itself, by vLLM's structured outputs.
        max_objects: Objects of an answer at most, with a grammar; fewer where ``max_new_tokens`` may end inside one.
    """

    def __init__(
        self,
        llm: Any,
        *,
        dialect: Any = None,
        budget: PixelBudget | None = None,
        processor: Any = None,
        probe: bool = True,
        chat_template: str | None = None,
        lora: Any = None,
        sampling: Mapping[str, Any] | None = None,
        grammar: Grammar | None = None,
        max_objects: int = 200,
    ) -> None:
        self.llm, self.lora, self.chat_template = llm, lora, chat_template
        processor = opened(processor)
        agreement = Agreement(*stated_by(processor, dialect, budget))
        self._special = special_tokens_of(_tokenizer(llm, processor))
        self.dialect: Dialect = agreement.dialect
        self.codec: Codec = self.dialect.codec
        self.budget = agreement.budget or PixelBudget()
        self._unchecked = probe and agreement.budget is not None
        self.grammar, self.max_objects = grammar, max_objects
        kept = {"skip_special_tokens": False} if self.codec.marked_up else {}
        self._sampling = {"temperature": 0.0, "repetition_penalty": 1.0, **kept, **(sampling or {})}

    @classmethod
    def load(cls, model: str, *, images: int = 8, budget: PixelBudget | None = None, **options: Any) -> VLLM:
        """Load a checkpoint with its processor limited to the budget.

        Args:
            model: Folder or repository.
            images: Images a prompt may hold.
            budget: Pixels the model sees of an image; None for those of the checkpoint's processor.
            options: ``dialect`` (the checkpoint's own by default), ``chat_template``, ``lora``, ``sampling``, ``grammar``,
                ``max_objects`` and ``probe`` as for the class; the rest goes to ``vllm.LLM``, such as ``tensor_parallel_size`` or ``enable_lora``.

        Raises:
            ModuleNotFoundError: vLLM is not installed.
            ValueError: The checkpoint's processor cannot be loaded.
        """
        with optional():
            from vllm import LLM  # type: ignore[import-not-found,unused-ignore]

        own = {key: options.pop(key) for key in _OWN if key in options}
        own["processor"] = opened(own.pop("processor", model))
        dialect, budget = stated_by(own["processor"], own.pop("dialect", None), budget)
        budget = budget or PixelBudget()
        size = {"shortest_edge": budget.min_pixels, "longest_edge": budget.max_pixels}
        settings = {"enable_prefix_caching": True, "trust_remote_code": False, **options}
        llm = LLM(model=model, limit_mm_per_prompt={"image": images}, mm_processor_kwargs={"size": size}, **settings)
        return cls(llm, dialect=dialect, budget=budget, **own)

    def generate(
        self, conversations: Sequence[Conversation], *, max_new_tokens: int = 1024, logprobs: bool = False
    ) -> list[Reply]:
        """Answer each conversation; see :class:`~rscovlm.engines.Engine`.

        Raises:
            ValueError: vLLM does not show its model images as they are planned.
        """
        from vllm import SamplingParams

        if self._unchecked and any(one.images() for one in conversations):
            self._check()
        options = {**self._sampling, "max_tokens": max_new_tokens, "logprobs": 0 if logprobs else None}
        # One call takes one set of tools for all of its conversations.
        groups: dict[str, list[int]] = {}
        for row, one in enumerate(conversations):
            groups.setdefault(json.dumps(one.tools), []).append(row)
        replies: dict[int, Reply] = {}
        for rows in groups.values():
            start = time.perf_counter()
            outputs = self.llm.chat(
                [to_openai(conversations[row].messages, self.budget) for row in rows],
                sampling_params=[
                    SamplingParams(**options, **self._bound(conversations[row], max_new_tokens)) for row in rows
                ],
                use_tqdm=False,
                lora_request=self.lora,
                chat_template=self.chat_template,
                tools=conversations[rows[0]].tools,
            )
            seconds = (time.perf_counter() - start) / len(rows)
            for row, output in zip(rows, outputs, strict=True):
                reply = _reply(output.outputs[0], seconds, logprobs)
                replies[row] = replace(reply, prompt_tokens=len(output.prompt_token_ids or ()))
        return [replies[row] for row in range(len(conversations))]

    def _check(self) -> None:
        wrong = probe_budget(self._prompt_tokens, self.budget)
        if wrong:
            raise BudgetMismatch(
                f"vLLM does not show its model images as they are planned: {wrong}. Give it this budget as mm_processor_kwargs "
                "(VLLM.load does), or give the engine vLLM's; probe=False trusts yours"
            )
        if wrong is None:
            _logger.warning("vLLM does not count the tokens of images; the budget is not checked")
        self._unchecked = False

    def _prompt_tokens(self, image: Image.Image | None) -> int:
        from vllm import SamplingParams

        blocks = [{"type": "image", "image": image}] if image is not None else []
        messages = to_openai([{"role": "user", "content": [*blocks, {"type": "text", "text": "."}]}], self.budget)
        (output,) = self.llm.chat(
            [messages],
            sampling_params=[SamplingParams(max_tokens=1, temperature=0.0)],
            use_tqdm=False,
            chat_template=self.chat_template,
        )
        return len(output.prompt_token_ids or ())

    def _bound(self, conversation: Conversation, max_new_tokens: int) -> dict[str, Any]:
        """Return the sampling option that holds an answer to its grammar."""
        grammar = conversation.grammar or self.grammar
        if grammar is None:
            return {}
        check_spelt(grammar, self.codec, self._special)
        from vllm.sampling_params import StructuredOutputsParams  # type: ignore[import-not-found,unused-ignore]

        most = grammar.most(max_new_tokens, self.max_objects)
        return {"structured_outputs": StructuredOutputsParams(grammar=grammar.ebnf(most))}


def _reply(output: Any, seconds: float, logprobs: bool) -> Reply:
    finish: Finish = "length" if output.finish_reason == "length" else "stop"
    tokens = list(output.token_ids)
    if not logprobs or not output.logprobs:
        return Reply(output.text, len(tokens), seconds, finish)
    chosen = [step[token] for step, token in zip(output.logprobs, tokens, strict=True)]
    texts = token_texts(output.text, [str(one.decoded_token or "").encode() for one in chosen])
    return Reply(output.text, len(tokens), seconds, finish, [float(one.logprob) for one in chosen], texts)


def _tokenizer(llm: Any, processor: Any) -> Any:
    """Return the tokenizer of the model, of the processor where one is stated; None where neither has one."""
    stated = getattr(processor, "tokenizer", None)
    if stated is not None:
        return stated
    return llm.get_tokenizer() if hasattr(llm, "get_tokenizer") else None
