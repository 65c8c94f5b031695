"""Opt-in: a real vLLM, in the process and as a server, held against the transformers engine.

vLLM has an environment of its own, with the core packages of rscovlm beside it: name its Python in RSCOVLM_VLLM_PYTHON.
Two vLLMs are started one after the other, which takes a minute or two.
"""

import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rscovlm.codec import Codec
from rscovlm.engines import Reply, Server, Transformers
from rscovlm.engines.chat_form import Structured
from rscovlm.geometry import Frame
from tests.engines.asked import BUDGET, FORMS, MOST, adapted, bound_conversations, chains, conversations, taught

PYTHON = os.environ.get("RSCOVLM_VLLM_PYTHON") or (sys.executable if importlib.util.find_spec("vllm") else None)
ROOT = Path(__file__).resolve().parents[2]
STRUCTURED: list[Structured] = ["grammar", "regex"]
# What an answer that can be read may still get wrong.
READABLE = {"inverted", "outside", "no_area", "degenerate", "duplicate"}
pytestmark = pytest.mark.skipif(PYTHON is None, reason="vLLM runs where RSCOVLM_VLLM_PYTHON names a Python that has it")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return taught(tmp_path_factory.mktemp("vllm") / "taught")


@pytest.fixture(scope="module")
def local(folder: Path) -> Transformers:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    model: Any = AutoModelForImageTextToText.from_pretrained(folder)
    return Transformers(model.eval(), AutoProcessor.from_pretrained(folder))


@pytest.fixture(scope="module")
def adapter(folder: Path) -> Path:
    return adapted(folder, folder.parent / "adapter")


@pytest.fixture(scope="module")
def told(folder: Path, adapter: Path) -> dict[str, Any]:
    """What vLLM answers in its own process."""
    out = folder.parent / "told.json"
    log = folder.parent / "llm.log"
    process = _start(["-m", "tests.engines.asked", str(folder), str(adapter), str(out)], log)
    try:
        process.wait(1800)
    finally:
        process.terminate()
    assert process.wait(60) == 0, log.read_text(errors="replace")[-4000:]
    found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    size = {"shortest_edge": BUDGET.min_pixels, "longest_edge": BUDGET.max_pixels}
    options = {
        "--host": "127.0.0.1",
        "--port": str(port),
        "--served-model-name": "rscovlm",
        "--dtype": "float32",
        "--max-model-len": "4096",
        "--limit-mm-per-prompt": json.dumps({"image": 8}),
        "--mm-processor-kwargs": json.dumps({"size": size}),
    }
    words = [word for pair in options.items() for word in pair]
    words += ["--enforce-eager", "--enable-auto-tool-choice", "--tool-call-parser", "hermes"]
    log = folder.parent / "serve.log"
    process = _start(["-m", "vllm.entrypoints.cli.main", "serve", str(folder), *words], log)
    try:
        for _ in range(1800):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1):
                    break
            except OSError:
                assert process.poll() is None, log.read_text(errors="replace")[-4000:]
                time.sleep(1)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(60)


def test_prompts_in_the_process_are_those_of_the_processor(local: Transformers, told: dict[str, Any]) -> None:
    asked = conversations()
    for one, prompt in zip(asked * 2, told["prompts"], strict=True):
        text = local.processor.apply_chat_template(
            one.messages, tools=one.tools, tokenize=False, add_generation_prompt=True
        )
        inputs = local.processor(text=[text], images=one.images() or None, return_tensors="np")
        assert inputs["input_ids"][0].tolist() == prompt["ids"]
    # Whole blocks of what was asked before come from the cache; a block has 128 tokens on CPUs, 16 on GPUs.
    cached = [prompt["cached"] for prompt in told["prompts"][len(asked) :]]
    assert max(cached) >= 128 and all(
        many < len(one["ids"]) for many, one in zip(cached, told["prompts"], strict=False)
    )


def test_greedy_answers_in_the_process_are_equal(local: Transformers, told: dict[str, Any]) -> None:
    _compare([Reply(**one) for one in told["greedy"]], local, logprobs=False)
    _compare([Reply(**one) for one in told["logprobs"]], local, logprobs=True)


def test_an_adapter_answers_alike(folder: Path, adapter: Path, local: Transformers, told: dict[str, Any]) -> None:
    from peft import PeftModel
    from transformers import AutoModelForImageTextToText

    model: Any = PeftModel.from_pretrained(AutoModelForImageTextToText.from_pretrained(folder), str(adapter))
    tuned = Transformers(model.merge_and_unload().eval(), local.processor)
    expected = [one.text for one in tuned.generate(conversations(), max_new_tokens=32)]
    assert [one["text"] for one in told["adapter"]] == expected != [one["text"] for one in told["greedy"]]
    assert len(set(expected)) >= 4


def test_whole_chains_in_the_process_are_equal(local: Transformers, told: dict[str, Any]) -> None:
    expected = chains(local)
    assert told["chains"] == json.loads(json.dumps(expected)) and all(len(one) == 3 for one in expected)


def test_tiles_of_a_grammar_can_be_read(told: dict[str, Any]) -> None:
    assert len(told["tiles"]) == len(FORMS)
    for found in told["tiles"]:
        assert found["tiles"] == 50 and found["finishes"] == ["stop"]
        assert not set(found["problems"]) - READABLE


def test_the_server_holds_answers_to_a_grammar(local: Transformers, address: str) -> None:
    asked = bound_conversations()
    local = Transformers(local.model, local.processor, max_objects=MOST)
    expected = [one.text for one in local.generate(asked, max_new_tokens=400)]
    for form in STRUCTURED:
        remote = Server(address, "rscovlm", dialect="rscovlm-v1", budget=BUDGET, max_objects=MOST, structured=form)
        assert [one.text for one in remote.generate(asked, max_new_tokens=400)] == expected
    codec = Codec.preset("rscovlm-v1")
    for text in expected:
        assert not set(codec.decode(text, Frame(168, 168)).problems) - READABLE
    assert len(set(expected)) > 3


def test_the_server_answers_alike(local: Transformers, address: str) -> None:
    # What a checkpoint's generation_config.json says, such as a repetition penalty, would hold otherwise.
    options = {"repetition_penalty": 1.0}
    remote = Server(address, "rscovlm", dialect="rscovlm-v1", budget=BUDGET, options=options)
    for logprobs in (False, True):
        _compare(remote.generate(conversations(), max_new_tokens=32, logprobs=logprobs), local, logprobs=logprobs)
    # Calls that the server parsed and we wrote again, and calls that it leaves alone.
    plain = Server(address, "rscovlm", dialect="rscovlm-v1", budget=BUDGET, options={**options, "tool_choice": "none"})
    assert chains(remote) == chains(plain) == chains(local)


def _compare(found: list[Reply], local: Transformers, *, logprobs: bool) -> None:
    expected = local.generate(conversations(), max_new_tokens=32, logprobs=logprobs)
    for one, other in zip(found, expected, strict=True):
        assert (one.text, one.tokens, one.finish) == (other.text, other.tokens, other.finish)
        assert one.token_texts == other.token_texts
        if logprobs:
            np.testing.assert_allclose(one.token_logprobs or [], other.token_logprobs or [], atol=1e-4)
        else:
            assert one.token_logprobs is None
    assert len({one.text for one in expected}) >= 4 and max(one.tokens for one in expected) == 32


def _start(words: list[str], log: Path) -> "subprocess.Popen[bytes]":
    environment = {"VLLM_CPU_KVCACHE_SPACE": "1", **os.environ}
    environment |= {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
    with log.open("wb") as out:
        return subprocess.Popen([str(PYTHON), *words], cwd=ROOT, env=environment, stdout=out, stderr=out)
