"""The data commands, from a published layout to cleaned and linted shards."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rscovlm.cli.data import app
from rscovlm.data.storage import read_records
from tests.data.sources.layouts import chat, picture, text

pytest.importorskip("pyarrow")
RUN = CliRunner()


def _geochat(root: Path) -> None:
    picture(root, "images/a.png", 200, 100)
    rows = [
        {"id": i, "image": "a.png", "conversations": chat("<image>\n[vqa] How many  ships?", "Two .")} for i in range(3)
    ]
    text(root, "GeoChat_Instruct.json", rows)


def test_convert_clean_and_lint(tmp_path: Path) -> None:
    _geochat(tmp_path / "raw")
    result = RUN.invoke(app, ["convert", "geochat", str(tmp_path / "raw"), str(tmp_path / "set"), "--embed"])
    assert result.exit_code == 0, result.output
    assert "3 rows: 3 kept, 0 dropped" in result.output
    report = tmp_path / "clean.json"
    result = RUN.invoke(app, ["clean", str(tmp_path / "set"), str(tmp_path / "clean.jsonl"), "--report", str(report)])
    assert result.exit_code == 0, result.output
    assert [record.turns[0].text for record in read_records(tmp_path / "clean.jsonl")] == ["<image>How many ships?"] * 3
    assert json.loads(report.read_text())["changed"] == 3
    result = RUN.invoke(app, ["lint", str(tmp_path / "clean.jsonl"), "--out", str(tmp_path / "lint")])
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "lint" / "lint.json").read_text())["records"] == 3
    assert "<h1>What lint found</h1>" in (tmp_path / "lint" / "lint.html").read_text()


def test_lint_exits_with_1_on_errors_and_prints_no_control_characters(tmp_path: Path) -> None:
    _geochat(tmp_path)
    RUN.invoke(app, ["convert", "geochat", str(tmp_path), str(tmp_path / "a.jsonl")])
    line = (tmp_path / "a.jsonl").read_text().splitlines()[0].replace('"geochat"', '"geo\\u001b[2Jchat"')
    (tmp_path / "b.jsonl").write_text(f"{line}\n{line}\n")
    result = RUN.invoke(app, ["lint", str(tmp_path / "b.jsonl")])
    assert result.exit_code == 1
    assert "repeated id" in result.output
    assert "\x1b" not in result.output


def test_refusals_are_words_with_exit_2(tmp_path: Path) -> None:
    _geochat(tmp_path)
    (tmp_path / "images" / "a.png").unlink()
    result = RUN.invoke(app, ["convert", "geochat", str(tmp_path), str(tmp_path / "a.jsonl")])
    assert result.exit_code == 2
    assert "100.00% of the rows cannot be used" in result.output
    assert not (tmp_path / "a.jsonl").exists()
    assert RUN.invoke(app, ["lint", str(tmp_path / "absent.jsonl")]).exit_code == 2


def test_tiles_are_cut_and_objects_counted(tmp_path: Path) -> None:
    picture(tmp_path, "train/images/a.png", 150, 100)
    text(tmp_path, "train/labelTxt/a.txt", "5 5 15 5 15 15 5 15 ship 0\n0 0 150 0 150 100 0 100 harbor 0")
    RUN.invoke(app, ["convert", "dota-v1.0", str(tmp_path), str(tmp_path / "a.jsonl")])
    command = ["tile", str(tmp_path / "a.jsonl"), str(tmp_path / "b.jsonl"), "--size", "100", "--overlap", "20"]
    result = RUN.invoke(app, [*command, "--root", str(tmp_path), "--save", "tiles"])
    assert result.exit_code == 0, result.output
    assert "1 kept, 1 dropped" in result.output
    first, second = read_records(tmp_path / "b.jsonl")
    assert [len(first.objects), len(second.objects)] == [1, 0]
    assert (tmp_path / second.images[0].path).is_file()
    assert RUN.invoke(app, [*command, "--save", "tiles"]).exit_code == 2


def test_rows_that_are_no_records_are_counted_and_too_many_stop(tmp_path: Path) -> None:
    _geochat(tmp_path)
    RUN.invoke(app, ["convert", "geochat", str(tmp_path), str(tmp_path / "a.jsonl")])
    lines = (tmp_path / "a.jsonl").read_text().splitlines()
    (tmp_path / "b.jsonl").write_text("\n".join([lines[0], "{half", lines[1], '{"id": 3}', lines[2]]) + "\n")
    result = RUN.invoke(app, ["lint", str(tmp_path / "b.jsonl"), "--out", str(tmp_path / "lint")])
    assert result.exit_code == 1
    found = json.loads((tmp_path / "lint" / "lint.json").read_text())
    assert (found["records"], found["errors"]) == (3, 2)
    assert [one["place"].split(":")[0] for one in found["checks"]["broken row"]["worst"]] == [
        "b.jsonl, row 2",
        "b.jsonl, row 4",
    ]
    for command in (["clean"], ["tile"]):
        command += [str(tmp_path / "b.jsonl"), str(tmp_path / f"{command[0]}.jsonl")]
        stopped = RUN.invoke(app, command)
        assert (stopped.exit_code, Path(command[2]).exists()) == (2, False)
        assert "40.00% of the rows cannot be used" in stopped.output
    kept = RUN.invoke(app, ["clean", str(tmp_path / "b.jsonl"), str(tmp_path / "c.jsonl"), "--limit", "0.5"])
    assert kept.exit_code == 0 and "5 rows: 3 kept, 2 dropped" in kept.output
    assert len(list(read_records(tmp_path / "c.jsonl"))) == 3


def test_sources_are_listed(tmp_path: Path) -> None:
    assert "dota-v1.0" in RUN.invoke(app, ["sources"]).output
    shown = RUN.invoke(app, ["sources", "dota-v1.0"]).output
    assert "labelTxt" in shown
    assert "licence" in shown
    assert RUN.invoke(app, ["sources", "atlantis"]).exit_code == 2


@pytest.mark.parametrize(
    "command", ["inspect {bad}", "balance {bad} {bad} out.yaml", "synthesise {bad} {rows} out.jsonl"]
)
def test_what_is_no_yaml_is_named(tmp_path: Path, command: str) -> None:
    bad, rows = tmp_path / "bad.yaml", tmp_path / "rows.jsonl"
    bad.write_text("subsets: [{name: a", encoding="utf-8")
    rows.write_text("", encoding="utf-8")
    done = RUN.invoke(app, [*command.format(bad=bad, rows=rows).split()])
    assert done.exit_code == 2, done.output
    assert "bad.yaml, line 1, column" in done.output


@pytest.mark.parametrize(
    "figures", ["{results: 5, targets: {}}", "{results: {a: x}, targets: {a: 1}}", "{results: {a: 1}, targets: {}}"]
)
def test_balance_refuses_figures_that_are_none(tmp_path: Path, figures: str) -> None:
    (tmp_path / "recipe.yaml").write_text("subsets: [{name: a, records: a.jsonl}]", encoding="utf-8")
    (tmp_path / "figures.yaml").write_text(figures, encoding="utf-8")
    paths = [str(tmp_path / name) for name in ("recipe.yaml", "figures.yaml", "next.yaml")]
    done = RUN.invoke(app, ["balance", *paths])
    assert done.exit_code == 2, done.output
    assert "figures.yaml" in done.output


def test_archives_are_unpacked_or_refused_whole(tmp_path: Path) -> None:
    for name, members in (("good", ["a/b.txt"]), ("bad", ["c.txt", "../d.txt"])):
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as pack:
            for member in members:
                pack.writestr(member, "text")
    run = RUN.invoke(app, ["unpack", str(tmp_path / "good.zip"), str(tmp_path / "out")])
    assert (run.exit_code, run.stdout.strip()) == (0, "good.zip: 1 files")
    run = RUN.invoke(app, ["unpack", str(tmp_path / "bad.zip"), str(tmp_path / "out")])
    assert run.exit_code == 2
    assert "bad.zip, member '../d.txt'" in run.output
    assert [path.name for path in (tmp_path / "out").rglob("*.txt")] == ["b.txt"]


@pytest.mark.parametrize("content", ["", "\n\n"])
def test_lint_of_nothing_is_no_success(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.jsonl").write_text(content)
    done = RUN.invoke(app, ["lint", str(tmp_path / "a.jsonl")])
    assert done.exit_code == 2 and "there is no record in" in done.output
