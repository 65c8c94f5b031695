"""Damaged and hostile checkpoints end in one line that names the file; nothing of theirs runs."""

import ast
import json
import os
import pickle
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import rscovlm
from rscovlm.processing.checkpoint_checks import check_checkpoint

ROOT = Path(__file__).parents[2]
CONFIGS = ("config.json", "processor_config.json", "preprocessor_config.json", "tokenizer_config.json")
LOOP = "{% for a in range(100000) %}{% for b in range(100000) %}x{% endfor %}{% endfor %}"
SILENT = "{% for a in range(100000) %}{% for b in range(100000) %}{% set c = a %}{% endfor %}{% endfor %}"
GROWING = "{% set n = namespace(x='xxxxxxxx') %}{% for a in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}{{ n.x }}"
LONG = "{{ 'x' * 2000000 }}"


class Touch:
    """A pickle that leaves a file behind."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the embedded checkpoint."""
    return Path(
        shutil.copytree(rscovlm.embedded_model(), tmp_path / "model", ignore=shutil.ignore_patterns("*.py", "__py*"))
    )


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def header(folder: Path, change_it: Callable[[dict[str, Any]], None]) -> None:
    path = folder / "model.safetensors"
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    values = json.loads(data[8 : 8 + size])
    change_it(values)
    written = json.dumps(values).encode()
    path.write_bytes(struct.pack("<Q", len(written)) + written + data[8 + size :])


def _size(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(struct.pack("<Q", 2**60) + path.read_bytes()[8:])


def _cut(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def _shape(folder: Path) -> None:
    header(folder, lambda values: next(one for name, one in values.items() if "norm" in name).update(shape=[2**40]))


def _pickled(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Touch(folder / "ran")))


def _pickled_adapter(folder: Path) -> None:
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "base_model_name_or_path": "x/y"}))
    (folder / "adapter_model.bin").write_bytes(pickle.dumps(Touch(folder / "ran")))


def _index(name: str) -> Callable[[Path], Any]:
    return lambda folder: (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": name}}))


def _text(name: str, text: str) -> Callable[[Path], Any]:
    return lambda folder: (folder / name).write_text(text)


def _config(name: str, **values: Any) -> Callable[[Path], Any]:
    return lambda folder: change(folder / name, **values)


def _vocabulary(size: int) -> Callable[[Path], Any]:
    def bigger(folder: Path) -> None:
        values = json.loads((folder / "config.json").read_text())
        values.get("text_config", values)["vocab_size"] = size
        (folder / "config.json").write_text(json.dumps(values))

    return bigger


def _pixels(folder: Path) -> None:
    values = json.loads((folder / "processor_config.json").read_text())
    values["image_processor"]["size"] = {"shortest_edge": 10**11, "longest_edge": 10**12}
    (folder / "processor_config.json").write_text(json.dumps(values))


BROKEN: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a header of 2**60 bytes": (_size, "model.safetensors is no whole safetensors file"),
    "weights cut short": (_cut, "model.safetensors is no whole safetensors file"),
    "a shape of 2**40": (_shape, "model.safetensors is no whole safetensors file"),
    "pickled weights": (_pickled, "pytorch_model.bin is a pickle"),
    "a pickled adapter": (_pickled_adapter, "adapter_model.bin is a pickle"),
    "a shard outside": (_index("../other.safetensors"), r"index.json names '../other.safetensors'"),
    "a pickled shard": (_index("pytorch_model-1.bin"), r"index.json names 'pytorch_model-1.bin'"),
    "a missing shard": (_index("model-1.safetensors"), r"index.json names model-1.safetensors, which is not there"),
    "a vocabulary of 2**31": (_vocabulary(2**31), r"config.json: vocab_size is 2147483648"),
    "another vocabulary": (_vocabulary(500), r"config.json: vocab_size is 500 and .*embed_tokens.weight .* has 471"),
    "no patch size": (_config("preprocessor_config.json", patch_size=0), r"preprocessor_config.json: patch_size is 0"),
    "pictures of 10**11 pixels": (_pixels, r"processor_config.json: shortest_edge is 100000000000"),
    "a model of its own": (_config("config.json", model_type="evil"), r"config.json: model_type is 'evil'"),
    "half a config": (_text("config.json", '{"model_type":'), r"config.json is not JSON"),
    "a deep config": (_text("config.json", "[" * 100_000), r"config.json is not JSON"),
    "a list as config": (_text("config.json", "[1]"), r"config.json holds a list"),
    "a template that is none": (
        _text("chat_template.jinja", "{% if %}"),
        r"chat_template.jinja: .* is no jinja template",
    ),
    "a template that reaches for classes": (
        _text("chat_template.jinja", "{{ ''.__class__.__mro__[1].__subclasses__() }}"),
        r"chat_template.jinja: .* unsafe",
    ),
    "a template that writes for ever": (_text("chat_template.jinja", LOOP), r"chat_template.jinja: the chat template"),
    "a template that is silent for ever": (
        _text("chat_template.jinja", SILENT),
        r"chat_template.jinja: .*come to an end",
    ),
    "a template that doubles": (_text("chat_template.jinja", GROWING), r"chat_template.jinja: .*needs more memory"),
    "a template that writes too much": (_text("chat_template.jinja", LONG), r"chat_template.jinja: .*writes 2000000"),
    "a template in another file": (
        _config("tokenizer_config.json", chat_template=[{"name": "default", "template": GROWING}]),
        r"tokenizer_config.json: .*needs more memory",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_checkpoint_ends_in_a_line_that_names_the_file(folder: Path, kind: str) -> None:
    breaking, words = BROKEN[kind]
    breaking(folder)
    start = time.monotonic()
    with pytest.raises(ValueError, match=words) as refused:
        check_checkpoint(folder)
    assert "\n" not in str(refused.value)
    assert str(folder) in str(refused.value)
    assert not (folder / "ran").exists()
    assert time.monotonic() - start < 60


def test_whole_checkpoints_pass(folder: Path) -> None:
    check_checkpoint(folder)
    check_checkpoint("owner/name-on-the-hub")
    # Pickles that a trainer left beside safetensors are no reason to refuse; they are not read.
    for name in ("training_args.bin", "optimizer.pt", "pytorch_model.bin"):
        (folder / name).write_bytes(pickle.dumps(Touch(folder / "ran")))
    (folder / "chat_template.jinja").write_text("{% for turn in messages %}{{ turn.content[0].text }}{% endfor %}")
    check_checkpoint(folder)
    assert not (folder / "ran").exists()


def test_a_pipe_in_the_place_of_weights_is_not_waited_for(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    os.mkfifo(folder / "model.safetensors")
    check_checkpoint(folder)
    with pytest.raises(ValueError, match="no file named model.safetensors"):
        rscovlm.load(folder)


def _planted(folder: Path, kind: str) -> None:
    """Write code into a checkpoint in the way that `auto_map` has it found."""
    (folder / "evil.py").write_text(f"import os\nos.mkdir({str(folder / 'ran')!r})\nclass Evil: pass\n")
    names = ("AutoConfig", "AutoModelForImageTextToText", "AutoProcessor", "AutoImageProcessor")
    code: dict[str, Any] = dict.fromkeys(names, "evil.Evil") | {"AutoTokenizer": ["evil.Evil", "evil.Evil"]}
    for name in CONFIGS:
        change(folder / name, auto_map=code)
    if kind == "an unknown model":
        change(folder / "config.json", model_type="evil")
    if kind == "an unknown processor":
        for name in CONFIGS[1:]:
            change(folder / name, processor_class="Evil", image_processor_type="Evil")


def _commands(folder: Path) -> Iterator[list[str]]:
    picture = folder / "picture.png"
    Image.new("RGB", (56, 56)).save(picture)
    out = str(folder / "answers.jsonl")
    yield ["predict", str(picture), "--task", "caption", "--model", str(folder), "--out", out]
    yield ["serve", "--model", str(folder), "--port", "0"]


@pytest.mark.parametrize("kind", ["an unknown model", "an unknown processor"])
def test_code_in_a_checkpoint_is_neither_run_nor_asked_about(folder: Path, kind: str) -> None:
    _planted(folder, kind)
    for command in _commands(folder):
        done = subprocess.run(
            [sys.executable, "-m", "rscovlm", *command],
            input="y\n" * 9,
            check=False,
            capture_output=True,
            text=True,
            timeout=300,
            cwd=ROOT,
            env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_MODULES_CACHE": str(folder / "modules")},
        )
        assert done.returncode == 2, done.stderr
        assert "[y/N]" not in done.stdout + done.stderr and "Traceback" not in done.stderr
        assert str(folder) in done.stderr.splitlines()[-1]
        assert not (folder / "ran").exists()


def _loading_calls() -> Iterator[tuple[str, ast.Call, str]]:
    files = [*(ROOT / "rscovlm").rglob("*.py"), *(ROOT / "examples").rglob("*.py")]
    for path in files:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        # A from_pretrained of our own hands on what its caller says.
        handing = {
            id(call)
            for function in ast.walk(tree)
            if isinstance(function, ast.FunctionDef) and function.name.endswith("from_pretrained")
            for call in ast.walk(function)
            if isinstance(call, ast.Call) and any(one.arg is None for one in call.keywords)
        }
        for call in ast.walk(tree):
            if isinstance(call, ast.Call) and id(call) not in handing:
                name = ast.unparse(call.func)
                if name.split(".")[-1] in ("from_pretrained", "pipeline"):
                    yield f"{path.relative_to(ROOT)}:{call.lineno}", call, name


def test_every_loading_call_says_that_code_of_a_checkpoint_is_not_run() -> None:
    calls = list(_loading_calls())
    assert len(calls) > 5
    for place, call, name in calls:
        said = {one.arg: ast.unparse(one.value) for one in call.keywords}
        assert said.get("trust_remote_code") == "False", f"{place}: {name} passes no trust_remote_code=False"
        if "Model" in name or "model" in name:
            assert said.get("use_safetensors") == "True", f"{place}: {name} passes no use_safetensors=True"


def test_nothing_unpickles() -> None:
    loaders = ("pickle.load", "pickle.loads", "torch.load", "joblib.load", "marshal.loads", "dill.load")
    for path in (ROOT / "rscovlm").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        called = {ast.unparse(one.func) for one in ast.walk(tree) if isinstance(one, ast.Call)}
        assert not called & set(loaders), path
