"""Answers parted into words and calls, against TRL's own template and its trainer."""

import random
from pathlib import Path
from typing import Any

import pytest
from trl.chat_template_utils import add_response_schema, parse_response, qwen3_template

import rscovlm
from rscovlm.processing import RESPONSE_WITH_CALLS, RSCoVLMProcessor
from rscovlm.testing import tiny_checkpoint

CALL = '<tool_call>\n{"name": "zoom", "arguments": {"bbox": [1, 2, 3, 4]}}\n</tool_call>'
ASSISTANT = "<|im_start|>assistant\n"


@pytest.fixture(scope="module")
def processor(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return RSCoVLMProcessor.from_pretrained(tiny_checkpoint(tmp_path_factory.mktemp("tiny"), "qwen3_vl"))


@pytest.mark.parametrize(
    "text",
    [f"Look.{CALL}<|im_end|>", f"{CALL}\n{CALL}<|im_end|>", "5,5,9,9 ship\n<|im_end|>", f"<think>so</think>\n{CALL}"],
)
def test_valid_answers_are_read_as_by_trls_own_template(processor: Any, text: str) -> None:
    both = [processor.parse_response(text, one, prefix=ASSISTANT) for one in (RESPONSE_WITH_CALLS, qwen3_template)]
    assert both[0] == both[1]


def test_no_answer_raises(processor: Any) -> None:
    pieces = ["<tool_call>", "</tool_call>", CALL, "{", "\n", "a ship", "<|im_end|>", "<think>", "</think>", "\ufffd"]
    rng = random.Random(0)
    for _ in range(500):
        text = "".join(rng.choices(pieces, k=rng.randint(0, 6)))
        assert processor.parse_response(text, RESPONSE_WITH_CALLS, prefix=ASSISTANT)["role"] == "assistant"
    with pytest.raises(ValueError, match="(?i)json"):
        processor.parse_response('<tool_call>{"name": </tool_call>', qwen3_template, prefix=ASSISTANT)


def test_trl_asks_for_no_schema_where_the_tokenizer_has_one(tmp_path: Path) -> None:
    """The trainer refuses our template by its text; with the tokenizer's own it reads calls as they were written."""
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    def zoom(bbox: list[int]) -> str:
        """Look closer.

        Args:
            bbox: The region.
        """
        return str(bbox)

    def trainer() -> Any:
        return GRPOTrainer(
            model,
            processing_class=processor,
            train_dataset=Dataset.from_list([{"prompt": [{"role": "user", "content": "Where?"}]}]),
            tools=[zoom],
            reward_funcs=[lambda completions, **_: [0.0] * len(completions)],
            args=GRPOConfig(output_dir=str(tmp_path), report_to=[], use_cpu=True, bf16=False, num_generations=2),
        )

    model, processor = rscovlm.load(tiny_checkpoint(tmp_path / "model", "qwen3_vl"), device="cpu")
    with pytest.raises(ValueError, match="Unrecognized chat template"):
        add_response_schema(processor)
    with pytest.raises(ValueError, match="Unrecognized chat template"):
        trainer()
    processor.tokenizer.response_template = RESPONSE_WITH_CALLS
    made = trainer()
    tokens = processor.tokenizer(f"Look.{CALL}<|im_end|>")["input_ids"]
    prefix = processor.tokenizer(ASSISTANT)["input_ids"]
    read = parse_response(made.processing_class.tokenizer, tokens, prefix)
    assert read["tool_calls"][0]["function"] == {"name": "zoom", "arguments": {"bbox": [1, 2, 3, 4]}}
