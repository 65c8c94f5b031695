"""Names that an option takes: those of the library, in help and in the shell."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from typer.testing import CliRunner

from rscovlm.cli import app, choices
from rscovlm.geometry.kinds import Kind
from rscovlm.hub.uploads import RepoKind
from rscovlm.rasters.raster import STRETCHES
from rscovlm.serving.loading import DTYPES
from rscovlm.tasks import tasks
from rscovlm.tasks.wanted import DetectionMode
from rscovlm.zoom.layouts import LAYOUTS
from rscovlm.zoom.policies import NAMES


def test_the_choices_are_those_of_the_library() -> None:
    assert set(choices.KINDS) == set(get_args(Kind)) and choices.MODES == get_args(DetectionMode)
    assert set(choices.STRETCHES) == set(STRETCHES) and set(choices.DTYPES) == set(DTYPES)
    assert choices.POLICIES == NAMES and set(choices.LAYOUTS) == set(LAYOUTS)
    assert choices.PULLED == get_args(RepoKind) and set(choices.PUSHED) == {*choices.PULLED, "metric"}


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("predict", choices.KINDS),
        ("predict", choices.STRETCHES),
        ("serve", choices.LAYOUTS),
        ("eval", choices.ENGINES),
        ("peers", choices.PROGRAMS),
        ("push", choices.PUSHED),
        ("pull", choices.PULLED),
        ("predict", choices.DTYPES),
    ],
)
def test_help_shows_choices(command: str, shown: tuple[str, ...]) -> None:
    done = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "240", "TERMINAL_WIDTH": "240"})
    assert f"[{'|'.join(shown)}]" in done.output


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ("rscovlm pr", {"predict"}),
        ("rscovlm predict --task cap", {"caption"}),
        ("rscovlm predict --kind ", set(choices.KINDS)),
        ("rscovlm predict --dialect rscovlm-", {"rscovlm-v1"}),
        ("rscovlm data convert coco-", {"coco-json"}),
        ("rscovlm push da", {"dataset"}),
    ],
)
def test_bash_completes(typed: str, wanted: set[str]) -> None:
    """As the script of `--show-completion bash` asks."""
    variables = {
        "_RSCOVLM_COMPLETE": "complete_bash",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(len(typed.split(" ")) - 1),
    }
    script = "from rscovlm.cli import app; app(prog_name='rscovlm')"
    environment = {**os.environ, **variables, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert set(done.stdout.split()) == wanted, done.stdout + done.stderr


def test_every_task_that_can_be_asked_is_named_in_help() -> None:
    done = CliRunner().invoke(app, ["predict", "--help"], env={"COLUMNS": "400", "TERMINAL_WIDTH": "400"})
    assert all(name in done.output for name in choices.known("rscovlm.tasks.table:asked_tasks")("") if name in tasks())
