"""The client against a real `transformers serve`: one process on loopback that knows nothing of rscovlm."""

import importlib.util
import json
import os
import shutil
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
from PIL import Image

import rscovlm
from rscovlm.embedded import embedded_model
from rscovlm.engines import Conversation, Server, ServerError, Transformers
from rscovlm.engines.chat_form import to_openai
from rscovlm.processing import RESPONSE_AS_WRITTEN, PixelBudget
from rscovlm.scenes import make_zoom_scene
from rscovlm.testing import tiny_checkpoint
from rscovlm.zoom import ZoomChain
from rscovlm.zoom.layouts import LAYOUTS, overview_turn, zoom_conversation

ABSENT = [name for name in ("fastapi", "uvicorn", "openai") if importlib.util.find_spec(name) is None]
pytestmark = pytest.mark.skipif(bool(ABSENT), reason=f"transformers serve needs {', '.join(ABSENT)}")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two checkpoints as people publish them, with Qwen's chat defaults."""
    home = tmp_path_factory.mktemp("served")
    tiny = tiny_checkpoint(home / "tiny", budget=PixelBudget(56 * 56, 168 * 168))
    _edit(tiny / "generation_config.json", do_sample=True, temperature=0.5, repetition_penalty=1.05)
    _edit(tiny / "tokenizer_config.json", response_template=RESPONSE_AS_WRITTEN)
    shutil.copytree(embedded_model(), home / "embedded", ignore=shutil.ignore_patterns("__pycache__", "*.py"))
    _loaded(home / "embedded").processor.save_pretrained(home / "embedded")
    return home


@pytest.fixture(scope="module")
def address(home: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    where = ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    # The stock processor needs torchvision; ours takes its place once rscovlm is imported.
    start = "import rscovlm; from transformers.cli.transformers import main; main()"
    environment = {**os.environ, "HF_HOME": str(home / "hf"), "HF_HUB_OFFLINE": "1"}
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", start, "serve", *where],
            cwd=home,
            env=environment,
            stdout=log,
            stderr=log,
        )
        try:
            _wait(process, f"http://127.0.0.1:{port}/health", home / "log")
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()
            process.wait(20)


def test_greedy_answers_equal_those_of_transformers(home: Path, address: str) -> None:
    local = _loaded(home / "tiny")
    remote = Server(address, str(home / "tiny"), dialect=local.codec, budget=local.budget, concurrency=4, tries=1)
    image, crop = _noise(300, 260), _noise(90, 400)
    asked = [
        Conversation([{"role": "user", "content": "How many ships?"}]),
        Conversation([overview_turn(image, "How many ships?", "reference", zoom=False)]),
        Conversation([overview_turn([image, crop, image], "Which differs?", "reference", zoom=False)]),
    ]
    for layout in LAYOUTS:
        messages, tools = zoom_conversation(image, "What colour?", [1, 2, 50, 60], crop, "red", layout)
        asked.append(Conversation(messages[:-1], tools))
    found, expected = remote.generate(asked, max_new_tokens=48), local.generate(asked, max_new_tokens=48)
    assert [reply.text for reply in found] == [reply.text for reply in expected]
    assert [(reply.tokens, reply.finish) for reply in found] == [(reply.tokens, reply.finish) for reply in expected]
    assert len({reply.text for reply in expected}) == len(asked) and min(reply.tokens for reply in expected) > 8
    # The checkpoint's own repetition penalty would change them.
    own = Server(address, str(home / "tiny"), processor=local.processor, tries=1, options={"frequency_penalty": None})
    assert [reply.text for reply in own.generate(asked[:2], max_new_tokens=48)] != [one.text for one in expected[:2]]
    # What this server cannot give is absent, and not made up.
    assert remote.generate(asked[:1], max_new_tokens=2, logprobs=True)[0].token_logprobs is None


def test_the_prompt_holds_the_planned_tokens(home: Path, address: str) -> None:
    local = _loaded(home / "tiny")
    messages, tools = zoom_conversation(_noise(900, 700), "What?", [1, 2, 50, 60], _noise(10, 30), "red", "native")
    asked = Conversation(messages[:-1], tools)
    text = local.processor.apply_chat_template(asked.messages, tools=tools, tokenize=False, add_generation_prompt=True)
    inputs = local.processor(text=[text], images=asked.images(), return_tensors="np")
    body = {"model": str(home / "tiny"), "messages": to_openai(asked.messages, local.budget), "tools": tools}
    request = urllib.request.Request(
        f"{address}/chat/completions",
        json.dumps({**body, "max_tokens": 1, "temperature": 0}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert json.load(answer)["usage"]["prompt_tokens"] == inputs["input_ids"].shape[1]


def test_whole_chains_are_equal(home: Path, address: str) -> None:
    local = _loaded(home / "embedded")
    remote = Server(address, str(home / "embedded"), dialect=local.codec, budget=local.budget, tries=1)
    scenes = [make_zoom_scene(seed) for seed in range(3)]
    asked = [(scene.image, scene.question) for scene in scenes]
    found, expected = ZoomChain(remote).ask_many(asked), ZoomChain(local).ask_many(asked)
    assert [[step.text for step in one.steps] for one in found] == [
        [step.text for step in one.steps] for one in expected
    ]
    assert [one.windows for one in found] == [one.windows for one in expected]
    assert (
        sum(one.zoomed for one in expected) >= 2 and sum(one.answer == s.answer for one, s in zip(found, scenes)) >= 2
    )


def test_it_is_asked_in_the_budget_of_the_checkpoint_or_not_for_boxes(home: Path, address: str) -> None:
    """`predict --server` planned by a budget of its own, and every box of this checkpoint lay elsewhere."""
    name, image = str(home / "tiny"), _noise(640, 640)
    local = _loaded(home / "tiny")
    with pytest.raises(ValueError, match="'detect' needs coordinates.*--processor"):
        rscovlm.detect(Server(address, name, tries=1), image, ["ship"])
    assert rscovlm.caption(Server(address, name, tries=1), [image], max_new_tokens=4)[0].tokens == 4
    for budget in (PixelBudget(), PixelBudget(56 * 56, 140 * 140), PixelBudget(112 * 112, 168 * 168)):
        wrong = Server(address, name, dialect=local.dialect, budget=budget, tries=1)
        # A smaller largest picture is left alone: nothing is wrong with it.
        if budget.max_pixels <= local.budget.max_pixels:
            assert rscovlm.ground(wrong, image, ["ship"], max_new_tokens=4)
            continue
        with pytest.raises(ValueError, match="1296 by PixelBudget"):
            rscovlm.ground(wrong, image, ["ship"], max_new_tokens=4)
    (found,) = rscovlm.ground(Server(address, name, processor=name, tries=1), image, ["ship"], max_new_tokens=60)
    (expected,) = rscovlm.ground(local, image, ["ship"], max_new_tokens=60)
    assert _without_special(local, found.text) == expected.text.strip()
    np.testing.assert_array_equal(found.objects.boxes.coords, expected.objects.boxes.coords)


@pytest.mark.parametrize("family", ["qwen2_vl", "qwen3_vl"])
def test_other_families_with_budgets_of_their_own(home: Path, address: str, family: Any) -> None:
    factor = 32 if family == "qwen3_vl" else 28
    own = PixelBudget((2 * factor) ** 2, (5 * factor) ** 2, factor)
    folder = tiny_checkpoint(home / family, family, budget=own)
    _edit(folder / "tokenizer_config.json", response_template=RESPONSE_AS_WRITTEN)
    local, image = _loaded(folder), _noise(300, 200)
    (found,) = rscovlm.ground(Server(address, str(folder), processor=folder, tries=1), image, ["ship"], kind="hbb")
    (expected,) = rscovlm.ground(local, image, ["ship"], kind="hbb")
    assert _without_special(local, found.text) == expected.text.strip()
    with pytest.raises(ValueError, match="as they are planned"):
        rscovlm.ground(Server(address, str(folder), dialect=local.dialect, budget=PixelBudget(), tries=1), image, ["a"])


def test_what_this_server_refuses_is_named(home: Path, address: str) -> None:
    asked = [Conversation([{"role": "user", "content": "How many ships?"}])]
    with pytest.raises(ValueError, match=r"(?s)422.*structured_outputs"):
        Server(address, str(home / "tiny"), options={"structured_outputs": {"regex": "a+"}}).generate(asked)
    with pytest.raises(ServerError, match="500"):
        Server(address, "no/such-model", tries=1).generate(asked)


def _without_special(local: Any, text: str) -> str:
    """Return a text without what the tokenizer calls special, which this server writes and our engine leaves out."""
    for token in local.processor.tokenizer.added_tokens_decoder.values():
        text = text.replace(token.content, "") if token.special else text
    return text.strip()


def _loaded(folder: Path) -> Any:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    model = AutoModelForImageTextToText.from_pretrained(folder)
    return Transformers(model.eval(), AutoProcessor.from_pretrained(folder))


def _noise(width: int, height: int) -> Image.Image:
    values = np.random.default_rng(width).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


def _edit(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | values), encoding="utf-8")


def _wait(process: "subprocess.Popen[bytes]", address: str, log: Path) -> None:
    for _ in range(1200):
        try:
            with urllib.request.urlopen(address, timeout=1):
                return
        except OSError:
            if process.poll() is not None:
                break
            time.sleep(0.1)
    pytest.fail(f"transformers serve did not start:\n{log.read_text(errors='replace')[-3000:]}")
