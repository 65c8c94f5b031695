"""The core alone: everything but training, models and the demo works without torch and the other optional packages."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
NAMED = {
    *("train", "eval", "deepspeed", "flash-attn", "liger", "vllm"),
    *("geo", "sam", "serve", "demo", "docs", "test"),
}


def test_core_works_without_the_optional_packages() -> None:
    command = [sys.executable, "-m", "tests.core_job", "hide"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "done"


def test_optional_packages_are_not_among_the_core_ones() -> None:
    from tests.core_job import OPTIONAL

    assert not [line for line in PROJECT["dependencies"] if line.startswith(OPTIONAL)]


def test_the_install_page_names_every_extra() -> None:
    page = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    extras = set(PROJECT["optional-dependencies"])
    assert extras >= NAMED
    assert [extra for extra in sorted(extras) if f"| `{extra}` |" not in page] == []


@pytest.mark.parametrize("name", ["torch", "transformers", "trl"])
def test_the_constraints_file_pins_what_must_not_drift(name: str) -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith(f"{name}==")]
    assert name != "torch" or "torch==2.13.0" in lines
