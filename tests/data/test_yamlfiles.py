"""YAML of users: whatever a value is, the file and the line are named."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from rscovlm.cli import app
from rscovlm.settings.yamlfiles import read_yaml


@pytest.mark.parametrize(
    "value",
    [
        "9" * 5000,
        "-" + "9" * 5000,
        "0x" + "f" * 5000 + "g_",
        "2024-02-31",
        "2024-13-01",
        "0000-01-01",
        "2024-01-01 25:00:00",
        "2024-01-01T00:00:00+99:00",
        "!!int x",
        "!!int ''",
        "!!float x",
        "!!bool maybe",
        "!!timestamp x",
        "!!timestamp [1]",
        "!!binary x",
        "!!omap x",
        "!!pairs {a: 1}",
        "!!set [1]",
        "!!python/object/apply:os.system [id]",
        "{? [a] : b}",
        "*nowhere",
        "[" * 3000,
        "1:" + "9" * 5000,
    ],
    ids=lambda value: value[:28],
)
def test_values_that_cannot_be_are_refused_with_file_and_line(tmp_path: Path, value: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(f"model: x\nsteps:\n  - {value}\n", encoding="utf-8")
    try:
        read_yaml(path)
    except ValueError as error:
        assert str(error).startswith("recipe.yaml")
        assert "line 3" in str(error) or value.startswith("[[")
        assert len(str(error)) < 300
    else:
        assert value in {"0x" + "f" * 5000 + "g_", "1:" + "9" * 5000}  # texts to YAML
    done = CliRunner().invoke(app, ["train", str(path), "--root", str(tmp_path), "--output", str(tmp_path / "o")])
    assert done.exit_code == 2 and len(done.output.splitlines()) == 1
