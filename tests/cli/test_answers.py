"""``--json``: what every command with an answer prints for a program, and nothing else."""

from __future__ import annotations

import inspect
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.testing import CliRunner

from rscovlm.cli import app
from rscovlm.cli.answers import OPTION
from tests.hub.loopback import reach, serving

pytest.importorskip("trl")
pytest.importorskip("pyarrow")
TOKEN = "hf_" + "abcdefghijklmnopqrstuvwxyzABCDEFGH"
ENDLESS = {("serve",), ("mcp",)}
"""Commands that run until they are stopped, and so answer nothing."""
RECIPE = {
    "model": "embedded",
    "steps": 1,
    "dtype": "float32",
    "packing": {"tokens": 1024},
    "train": {"use_cpu": True, "bf16": False, "per_device_train_batch_size": 1},
    "mixture": {
        "budget": {"min_pixels": 7056, "max_pixels": 7056, "mode": "fixed"},
        "subsets": [{"name": "mine", "records": "train.jsonl"}, {"name": "other", "records": "val.jsonl"}],
    },
}
SUITE = {
    "name": "drawn",
    "version": 1,
    "title": "Drawn scenes",
    "records": {"source": "coco-json", "split": "val", "task": "detection"},
    "licence": "ours",
    "get": "rscovlm data draw data/coco-json",
    "protocol": {"scoring": "detections", "rule": "dota"},
}
PICTURE = {"image": {"path": "absent.png"}, "width": 200, "height": 100}
MINE = "data/coco-json"
STEPS: list[tuple[str, dict[str, Any]]] = [
    (f"data draw {MINE} --count 2 --held 1", {"count": 2}),
    (f"data convert coco-json {MINE} {MINE}/train.jsonl", {"target": f"{MINE}/train.jsonl"}),
    (f"data convert coco-json {MINE} {MINE}/val.jsonl --split val", {"records": {"kept": 1}}),
    ("data clean talk.jsonl clean.jsonl", {"changes": {"records": 1, "changed": 1}, "boxes": {"s": {"scale": 100}}}),
    (f"data lint {MINE}/train.jsonl {MINE}/val.jsonl --root {MINE}", {"records": 3, "errors": 0}),
    (f"data tile {MINE}/train.jsonl tiles.jsonl --size 64 --overlap 16", {"records": {"kept": 2}}),
    (f"data inspect train.yaml --root {MINE} --draws 4", {"page": "mixture.html", "dropped": {}}),
    ("data balance train.yaml figures.yaml next.yaml", {"satisfied": False, "lags": {"other": 0.5, "mine": 0.0}}),
    (f"data synthesise questions.yaml {MINE}/train.jsonl zoom.jsonl --root {MINE}", {"target": "zoom.jsonl"}),
    ("data sources dota-v1.0", {"name": "dota-v1.0"}),
    ("data unpack pack.zip unpacked", {"archives": [{"archive": "pack.zip", "files": 1}]}),
    (f"predict {MINE}/images/val --task detect --classes plane --out rows.1-of-1.jsonl --geojson rows.geojson",
        {"done": 1, "errors": 0, "written": {"geojson": {"path": "rows.geojson"}}}),
    ("merge rows.jsonl rows.1-of-1.jsonl", {"rows": 1, "errors": 0}),
    ("eval --suite drawn.yaml --data data --out run --no-controls --worst 0 --repeats 0", {"folder": "run", "errors": 0}),
    ("score run --suite drawn.yaml --repeats 0", {"scores": [{"suite": "drawn"}]}),
    ("peers rsvqa-vhm peers --data absent", {}),
    (f"train train.yaml --root {MINE} --output trained", {"trained": True, "steps": 1, "steps_done": 1}),
    ("export trained exported", {"folder": "exported", "dtype": "bfloat16"}),
    ("push model trained me/model --licence mit", {"repo": "me/model", "kind": "model"}),
    ("push model trained me/model --licence mit --dry-run", {"address": ""}),
    ("pull me/model pulled", {"repo": "me/model", "folder": "pulled"}),
    ("doctor", {"round_trip": {"exact": True}}),
    ("wording show rscovlm-v1", {"name": "rscovlm-v1"}),
    ("wording read absent", {}),
    ("demo --out train.yaml", {}),
]  # fmt: skip
"""Every command with an answer, each on what those before it wrote, and part of what it answers; {}: it refuses."""


def _commands(group: typer.Typer, before: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for command in group.registered_commands:
        assert command.callback is not None
        yield (*before, command.name or command.callback.__name__), command.callback
    for inner in group.registered_groups:
        assert inner.typer_instance is not None and inner.name is not None
        yield from _commands(inner.typer_instance, (*before, inner.name))


def _name(words: str) -> tuple[str, ...]:
    first, second, *_ = [*words.split(), ""]
    return (first, second) if first in ("data", "wording") else (first,)


def test_every_command_that_ends_takes_json() -> None:
    asked = {name for name, callback in _commands(app) if OPTION in inspect.signature(callback).parameters}
    assert asked == {name for name, _ in _commands(app)} - ENDLESS
    assert asked == {_name(words) for words, _ in STEPS}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    figures = {"results": {"mine": 1, "other": 0.5}, "targets": {"mine": 1, "other": 1}}
    questions = {"templates": {"per_image": 1}}
    for name, values in (("train", RECIPE), ("drawn", SUITE), ("figures", figures), ("questions", questions)):
        Path(f"{name}.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    turns = [{"role": "user", "text": "<image>Where?"}, {"role": "assistant", "text": "{<10><20><30><40>}"}]
    talk = {"id": "1", "source": "s", "split": "train", "task": "conversation", "turns": turns, "images": [PICTURE]}
    Path("talk.jsonl").write_text(json.dumps(talk) + "\n", encoding="utf-8")
    with zipfile.ZipFile("pack.zip", "w") as pack:
        pack.writestr("a.txt", "a")
    return tmp_path


def test_every_answer_is_one_json_object_and_nothing_else(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as hub:
        reach(hub, monkeypatch)
        hub.token = TOKEN
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        for words, wanted in STEPS:
            done = CliRunner().invoke(app, [*words.split(), "--json"])
            assert done.exception is None or isinstance(done.exception, SystemExit), (words, done.exception)
            if not wanted:
                assert (done.exit_code, done.stdout) == (2, ""), (words, done.output)
                assert done.stderr.startswith("rscovlm "), words
                continue
            assert done.exit_code == 0, (words, done.output)
            assert done.stdout.isascii(), words
            found = json.loads(done.stdout)
            assert isinstance(found, dict) and _within(wanted, found), (words, found)


def test_a_command_that_finds_faults_answers_and_ends_with_its_status(folder: Path) -> None:
    lost = {
        "id": "1",
        "source": "s",
        "split": "train",
        "task": "vqa",
        "question": "?",
        "answer": "y",
        "images": [PICTURE],
    }
    Path("lost.jsonl").write_text(json.dumps(lost) + "\n", encoding="utf-8")
    done = CliRunner().invoke(app, ["data", "lint", "lost.jsonl", "--root", ".", "--json"])
    assert done.exit_code == 1
    assert json.loads(done.stdout)["checks"]["missing file"]["count"] == 1
    assert "1 errors" in done.stderr, "what a person reads is not lost"


def _within(wanted: Any, found: Any) -> bool:
    """Whether all that is wanted is found, mapping in mapping."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(name in found and _within(wanted[name], found[name]) for name in wanted)
    if isinstance(wanted, list) and wanted and isinstance(wanted[0], dict):
        return len(wanted) == len(found) and all(_within(*pair) for pair in zip(wanted, found, strict=True))
    return bool(wanted == found)
