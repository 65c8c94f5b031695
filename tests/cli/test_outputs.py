"""Every path that a command writes to, pointed at files of others: refused before any work, byte for byte as they were."""

import inspect
import json
import typing
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from rscovlm.cli import app
from rscovlm.data.storage import write_jsonl
from rscovlm.records import Annotation, ImageRef, Record

pytest.importorskip("pyarrow")

# Where each command writes: its words with `OUT` in the place of the output.
WRITES: dict[tuple[str, str], tuple[str, ...]] = {
    ("predict", "out"): ("predict", "in", "--task", "caption", "--out", "OUT"),
    ("predict", "geojson"): ("predict", "in", "--task", "caption", "--out", "new.jsonl", "--geojson", "OUT"),
    ("predict", "geopackage"): ("predict", "in", "--task", "caption", "--out", "new.jsonl", "--geopackage", "OUT"),
    ("predict", "geoparquet"): ("predict", "in", "--task", "caption", "--out", "new.jsonl", "--geoparquet", "OUT"),
    ("predict", "masks"): (
        "predict",
        "in",
        "--task",
        "segment",
        "--classes",
        "a",
        "--out",
        "new.jsonl",
        "--masks",
        "OUT",
    ),
    ("predict", "coco_masks"): (
        *("predict", "in", "--task", "segment", "--classes", "a", "--out", "new.jsonl"),
        *("--coco-masks", "OUT"),
    ),
    ("predict", "stac_out"): (
        *("predict", "--stac", "in/item.json", "--task", "detect", "--classes", "a", "--out", "new.jsonl"),
        *("--stac-out", "OUT"),
    ),
    ("merge", "out"): ("merge", "OUT", "predictions.1-of-1.jsonl"),
    ("convert", "target"): ("data", "convert", "dota-v1.0", "in", "OUT"),
    ("draw", "folder"): ("data", "draw", "OUT"),
    ("clean", "target"): ("data", "clean", "records.jsonl", "OUT"),
    ("clean", "report"): ("data", "clean", "records.jsonl", "new.jsonl", "--report", "OUT"),
    ("lint", "out"): ("data", "lint", "records.jsonl", "--out", "OUT"),
    ("lint", "looks"): ("data", "lint", "records.jsonl", "--root", ".", "--looks", "OUT"),
    ("inspect", "out"): ("data", "inspect", "recipe.yaml", "--root", ".", "--out", "OUT"),
    ("balance", "out"): ("data", "balance", "recipe.yaml", "figures.yaml", "OUT"),
    ("balance", "plot"): ("data", "balance", "recipe.yaml", "figures.yaml", "next.yaml", "--plot", "OUT"),
    ("tile", "target"): ("data", "tile", "records.jsonl", "OUT"),
    ("synthesise", "target"): ("data", "synthesise", "config.yaml", "records.jsonl", "OUT"),
    ("synthesise", "journal"): ("data", "synthesise", "asking.yaml", "records.jsonl", "new.jsonl", "--journal", "OUT"),
    ("unpack", "folder"): ("data", "unpack", "pack.zip", "OUT"),
    ("train", "output"): ("train", "training.yaml", "--root", ".", "--output", "OUT"),
    ("export", "target"): ("export", "in", "OUT"),
    ("read", "out"): ("wording", "read", "in", "--out", "OUT"),
    ("evaluate", "out"): ("eval", "--suite", "hrsc2016", "--data", "in", "--out", "OUT"),
    ("peers", "out"): ("peers", "lrs-vqa", "OUT", "--data", "in"),
    ("score", "folder"): ("score", "OUT"),
    ("score", "task1"): ("score", "run", "--suite", "hrsc2016", "--task1", "OUT"),
    ("demo", "out"): ("demo", "--out", "OUT"),
    ("pull", "folder"): ("pull", "me/model", "OUT"),
    ("mcp", "out"): ("mcp", "--root", "in", "--out", "OUT"),
}
READS = {
    "stac",
    "parts",
    "trained",
    "trained_root",
    "detections",
    "coco",
    "calibrate",
    "data",
    "answers",
    "compare",
    "clone",
    "source",
    "run",
    "evaluation",
    "sources",
    "root",
    "records",
    "recipe",
    "figures",
    "rules",
    "config",
    "archives",
    "image",
}
TRAINING = "model: absent\nsteps: 1\ntrain: {use_cpu: true, bf16: false}\nmixture:\n  subsets:\n    - {name: a, weight: 1, records: records.jsonl}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_KEY", "x")
    Path("in").mkdir()
    Image.new("RGB", (60, 60)).save("in/a.png")
    item = {"type": "Feature", "stac_version": "1.0.0", "id": "a", "assets": {"image": {"href": "a.png"}}}
    Path("in/item.json").write_text(json.dumps(item))
    image = ImageRef("in/a.png", width=60, height=60)
    box = Annotation((1.0, 1.0, 50.0, 50.0), "ship", "hbb")
    write_jsonl(
        [Record("1", "m", "train", "detection", (image,), objects=(box,), categories=("ship",))], "records.jsonl"
    )
    subsets = (
        "subsets:\n  - {name: a, weight: 1, records: records.jsonl}\n  - {name: b, weight: 1, records: records.jsonl}\n"
    )
    Path("recipe.yaml").write_text(subsets)
    Path("figures.yaml").write_text("results: {a: 1, b: 0.5}\ntargets: {a: 1, b: 1}\n")
    Path("predictions.1-of-1.jsonl").write_text('{"written_by":"urn:rscovlm:predictions","settings":{}}\n')
    Path("config.yaml").write_text("templates: {per_image: 1}\n")
    writer = "{endpoint: 'http://127.0.0.1:1/v1', model: m, api_key_env: NO_KEY}"
    Path("asking.yaml").write_text(f"unique: {{least: 4}}\nwriter: {writer}\n")
    Path("training.yaml").write_text(TRAINING)
    with zipfile.ZipFile("pack.zip", "w") as pack:
        pack.writestr("a.txt", "a")
    return tmp_path


def _foreign(folder: Path) -> Iterator[Path]:
    Image.new("RGB", (8, 8), "red").save(folder / "picture.png")
    (folder / "notes.txt").write_bytes(b"my thesis, one long line without a break at its end")
    (folder / "rows.jsonl").write_bytes(b'{"id": "a", "settings": {}}\n{"id": "b"}\n{"id')
    yield from (folder / name for name in ("picture.png", "notes.txt", "rows.jsonl"))


@pytest.mark.parametrize("words", WRITES.values(), ids=lambda words: " ".join(words[:2] + words[-2:-1]))
def test_no_command_changes_a_file_of_others(words: tuple[str, ...], folder: Path) -> None:
    for path in _foreign(folder):
        before, changed = path.read_bytes(), path.stat().st_mtime_ns
        there = {one for one in folder.rglob("*") if one.name != "next.yaml"}
        done = CliRunner().invoke(app, [path.name if word == "OUT" else word for word in words])
        assert done.exit_code not in (0, None), done.output
        assert path.read_bytes() == before and path.stat().st_mtime_ns == changed, done.output
        assert path.name in done.output, done.output
        assert {one for one in folder.rglob("*") if one.name != "next.yaml"} == there
        Path("next.yaml").unlink(missing_ok=True)


def test_folders_with_files_of_others_are_left_alone(folder: Path) -> None:
    pytest.importorskip("trl")
    mine = folder / "mine"
    (mine / "checkpoint-5").mkdir(parents=True)
    (mine / "checkpoint").mkdir()
    files = ["report.html", "lint.json", "config.json", "checkpoint-5/model.safetensors", "checkpoint/config.json"]
    for name in files:
        (mine / name).write_text(f"mine: {name}")
    from rscovlm.training.run import claimed

    for command in (["demo", "--out", "mine"], ["data", "lint", "records.jsonl", "--out", "mine"]):
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 2 and "mine" in done.output, done.output
    with pytest.raises(ValueError, match="no run of rscovlm put there"), claimed(mine, resumed=False):
        pass
    assert {name: (mine / name).read_text() for name in files} == {name: f"mine: {name}" for name in files}
    assert sorted(one.relative_to(mine).as_posix() for one in mine.rglob("*") if one.is_file()) == sorted(files)


def test_the_table_knows_every_path_of_every_command() -> None:
    known = {name for _, name in WRITES} | READS
    for callback in _callbacks(app):
        hints = typing.get_type_hints(callback)
        for name in inspect.signature(callback).parameters:
            if "Path" not in str(hints[name]):
                continue
            writes = (callback.__name__, name) in WRITES
            assert writes or name in READS, (
                f"{callback.__name__} takes the path {name!r}: say here whether it writes to it"
            )
    assert known


def _callbacks(group: typer.Typer) -> Iterator[typing.Any]:
    yield from (command.callback for command in group.registered_commands)
    for inner in group.registered_groups:
        assert inner.typer_instance is not None
        yield from _callbacks(inner.typer_instance)
