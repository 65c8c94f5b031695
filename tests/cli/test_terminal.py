"""Whatever files of others hold, no command sends a terminal what it would obey."""

from __future__ import annotations

import ast
import json
import logging
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

import rscovlm
from rscovlm.cli import app
from rscovlm.cli.terminal import _BARS, counting, log_to_terminal, printable
from tests.data.sources.layouts import chat, picture, text

pytest.importorskip("pyarrow")
FOLDER = Path(rscovlm.__file__).parent / "cli"
RUN = CliRunner()
EVIL = "\x1b]0;owned\x07\x1b[2J\u202e\x9b31m"
"""A window's title, a cleared screen, text turned round, and the one-byte form of an escape."""


def _commands(group: typer.Typer, before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield from ((*before, command.name or command.callback.__name__) for command in group.registered_commands)  # type: ignore[union-attr]
    for inner in group.registered_groups:
        assert inner.typer_instance is not None and inner.name is not None
        yield from _commands(inner.typer_instance, (*before, inner.name))


def test_commands_write_through_one_function() -> None:
    found = []
    for path in sorted(FOLDER.glob("*.py")):
        if path.name == "terminal.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.Attribute, ast.Name)):
                name = ast.unparse(node)
                if name.rpartition(".")[2] in {
                    "echo",
                    "secho",
                    "print",
                    "stdout",
                    "stderr",
                    "basicConfig",
                    "StreamHandler",
                }:
                    found.append(f"{path.name}:{node.lineno} uses {name}; write through rscovlm.cli.terminal")
    assert not found, "\n".join(found)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files in which every text is hostile."""
    folder = tmp_path_factory.mktemp("hostile")
    picture(folder, "images/a.png", 200, 100)
    row = {"id": EVIL, "image": "a.png", "conversations": chat("<image>\n[vqa] How many?", "Two {<10><20><30><40>} .")}
    text(folder, "GeoChat_Instruct.json", [row, row | {"image": f"{EVIL}.png"}])
    record = {
        "id": EVIL,
        "source": EVIL,
        "split": EVIL,
        "task": "vqa",
        "question": "{<10><20><30><40>}?",
        "answer": EVIL,
    }
    record["images"] = [{"image": {"path": "images/a.png"}, "width": 200, "height": 100}]  # type: ignore[assignment]
    text(folder, "vqa.jsonl", [record, record, {"id": EVIL}])
    turns = [{"role": "user", "text": "<image>Where?"}, {"role": "assistant", "text": "{<10><20><30><40>}"}]
    text(folder, "talk.jsonl", [record | {"task": "conversation", "turns": turns}])
    box = {"box": [150, 10, 250, 90], "label": EVIL, "kind": "hbb"}
    seen = record | {"task": "detection", "objects": [box], "question": "", "answer": ""}
    text(folder, "boxes.jsonl", [seen, {EVIL: EVIL}])
    text(folder, "recipe.yaml", json.dumps({"subsets": [{"name": EVIL, "records": "vqa.jsonl", "weight": 1}]}))
    text(
        folder,
        "train.yaml",
        json.dumps(
            {
                "model": EVIL,
                "steps": 1,
                "train": {"use_cpu": True, "bf16": False},
                "mixture": {"subsets": [{"name": EVIL, "records": f"{EVIL}.jsonl"}]},
            }
        ),
    )
    text(folder, "figures.yaml", json.dumps({"results": {EVIL: 0.5}, "targets": {EVIL: 0.9}}))
    text(folder, "templates.yaml", json.dumps({"templates": {EVIL: 1}}))
    with zipfile.ZipFile(folder / "evil.zip", "w") as pack:
        pack.writestr(EVIL, b"")
    Image.new("RGB", (8, 8)).save(folder / f"{EVIL}.png")
    return folder  # fmt: skip


CASES: dict[tuple[str, ...], list[str]] = {
    ("demo",): ["--out", "o/demo", "--image", f"{EVIL}.tif", "--question", EVIL],
    ("train",): ["train.yaml", "--root", ".", "--output", "o/run"],
    ("export",): [EVIL, "o/exported"],
    ("predict",): [f"{EVIL}.tif", "--question", EVIL, "--out", "o/p.jsonl"],
    ("merge",): ["o/all.jsonl", f"{EVIL}.jsonl"],
    ("eval",): ["--suite", f"{EVIL}.yaml", "--data", ".", "--out", "o/eval"],
    ("score",): [f"{EVIL}-run"],
    ("peers",): [f"{EVIL}.yaml", "o/peers", "--data", "."],
    ("serve",): ["--model", EVIL, "--port", "0"],
    ("mcp",): ["--root", f"{EVIL}-root"],
    ("push",): ["model", f"{EVIL}-run", "me/model"],
    ("pull",): [f"me/{EVIL}", "o/pulled"],
    ("doctor",): [],
    ("data", "sources"): [EVIL],
    ("data", "unpack"): ["evil.zip", "o/unpacked"],
    ("data", "convert"): ["geochat", ".", "o/c.jsonl", "--limit", "0.9"],
    ("data", "draw"): ["o/drawn", "--classes", EVIL],
    ("data", "clean"): ["talk.jsonl", "o/clean.jsonl", "--limit", "0.9"],
    ("data", "lint"): ["vqa.jsonl", "boxes.jsonl", "--root", "."],
    ("data", "inspect"): ["recipe.yaml", "--root", ".", "--out", "o/m.html", "--draws", "1"],
    ("data", "balance"): ["recipe.yaml", "figures.yaml", "o/next.yaml"],
    ("data", "tile"): ["boxes.jsonl", "o/tiles.jsonl", "--size", "100", "--overlap", "20", "--limit", "0.9"],
    ("wording", "read"): [f"{EVIL}-clone", "--out", "o/wording.yaml"],
    ("wording", "show"): [f"{EVIL}.yaml"],
    ("data", "synthesise"): ["templates.yaml", "boxes.jsonl", "o/z.jsonl"],
}
"""Every command, with arguments that make it say what hostile files hold."""


def test_every_command_has_a_case() -> None:
    assert set(CASES) == set(_commands(app))


@pytest.mark.parametrize("command", CASES, ids=" ".join)
def test_no_command_prints_what_a_terminal_obeys(
    command: tuple[str, ...], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    monkeypatch.setenv(f"RSCOVLM_{EVIL}", "1")  # doctor names the variables that are set
    (root / "o").mkdir(exist_ok=True)
    done = RUN.invoke(app, [*command, *CASES[command]])
    assert done.output and (done.exception is None or isinstance(done.exception, SystemExit))
    assert [character for character in done.output if not character.isprintable() and character != "\n"] == []
    # Quoted once more in some errors.
    assert printable(EVIL)[:8] in done.output.replace("\\\\", "\\"), done.output


def test_the_log_is_printable(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger()
    handlers = logger.handlers[:]
    logger.handlers[:] = []
    level = logger.level
    try:
        log_to_terminal("%(message)s")
        logging.getLogger("rscovlm").warning("subset %s", EVIL)
    finally:
        logger.handlers[:] = handlers
        logger.setLevel(level)
    assert capsys.readouterr().err == f"subset {printable(EVIL)}\n"


def test_long_work_says_how_far_it_is(tmp_path: Path) -> None:
    for number in range(20):
        Image.new("RGB", (56, 56), (number, 90, 40)).save(tmp_path / f"{number:02}.png")
    words = ["predict", str(tmp_path), "--task", "classify", "--out", str(tmp_path / "rows.jsonl"), "--batch", "1"]
    done = CliRunner().invoke(app, [*words, "--max-new-tokens", "2"])
    assert done.exit_code == 0, done.output
    said = [line.strip() for line in done.stderr.splitlines() if line.startswith("    images ")]
    assert said[0] == "images 2 of 20" and said[-1] == "images 20 of 20" and len(said) == 10, "a line a tenth"


def test_unpacking_and_drawing_say_how_far_they_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile("many.zip", "w") as pack:
        for number in range(20):
            pack.writestr(f"{number}.txt", "a")
    picture(tmp_path, "a.png", 56, 56)
    row = {"id": "1", "source": "s", "split": "train", "task": "vqa", "question": "Why?", "answer": "So."}
    text(tmp_path, "vqa.jsonl", [row | {"images": [{"image": {"path": "a.png"}, "width": 56, "height": 56}]}])
    text(tmp_path, "recipe.yaml", json.dumps({"subsets": [{"name": "a", "records": "vqa.jsonl", "weight": 1}]}))
    for words, last in (
        (["unpack", "many.zip", "to"], "files 20 of 20"),
        (["inspect", "recipe.yaml", "--root", ".", "--draws", "20"], "samples 20 of 20"),
    ):
        done = RUN.invoke(app, ["data", *words])
        assert done.exit_code == 0, done.output
        said = [line.strip() for line in done.stderr.splitlines() if " of 20" in line]
        assert len(said) == 10 and said[-1] == last, done.stderr


def test_libraries_draw_no_bars_into_a_log(tmp_path: Path) -> None:
    Image.new("RGB", (56, 56), "red").save(tmp_path / "a.png")
    words = ["predict", "a.png", "--task", "classify", "--max-new-tokens", "2"]
    done = subprocess.run(
        [sys.executable, "-c", "from rscovlm.cli import app; app()", *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(FOLDER.parents[1]), "CI": ""},
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert done.stderr == "    images 1 of 1\n"
    assert done.stdout.startswith("1 done") and not [name for name in _BARS if name in os.environ]


def test_rows_of_unknown_number_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(counting(range(7), "rows", every=3)) == list(range(7))
    assert capsys.readouterr().err == "3 rows so far\n6 rows so far\n"
