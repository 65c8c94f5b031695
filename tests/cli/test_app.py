"""The whole command: what it answers to slips of the hand, and without the packages that extras bring."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

import rscovlm
from rscovlm.cli import app

RUN = CliRunner()
ROOT = Path(__file__).parents[2]
RECIPE = "model: x\nsteps: 1\nmixture: {subsets: [{name: a, records: a.jsonl}]}\n"
WITHOUT = """
import sys
from tests.core_job import Hiding
sys.meta_path[:] = [Hiding(finder) for finder in sys.meta_path]
from rscovlm.cli import app
app()
"""


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["trian", "recipe.yaml"], "Did you mean 'train'?"),
        (["data", "convrt"], "Did you mean 'convert'?"),
        (["predict", "a.tif", "--clases", "ship"], "--classes"),
        (["data", "convert", "rsra", ".", "a.jsonl"], "did you mean 'rsar'?"),
        (["data", "sources", "dota1.0"], "did you mean 'dota-v1.0'?"),
        (["predict", ".", "--task", "detct"], "did you mean 'detect'?"),
    ],
)
def test_what_is_mistyped_is_answered_with_the_nearest(typed: list[str], meant: str) -> None:
    done = RUN.invoke(app, typed)
    assert done.exit_code == 2
    assert meant in done.output


def test_the_version_is_that_of_the_package() -> None:
    assert RUN.invoke(app, ["--version"]).output == f"rscovlm {rscovlm.__version__}\n"


@pytest.mark.parametrize(
    ("command", "missing"),
    [
        (["train", "recipe.yaml"], 'torch is not installed: pip install "rscovlm[train]"'),
        (["predict", "scene.png", "--question", "?"], 'torch is not installed: pip install "rscovlm[torch]"'),
        (["serve"], 'uvicorn is not installed: pip install "rscovlm[serve]"'),
        (["data", "convert", "aid", ".", "shards"], 'datasets is not installed: pip install "rscovlm[train]"'),
    ],
)
def test_a_missing_package_is_answered_with_its_extra(command: list[str], missing: str, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    (tmp_path / "Airport").mkdir()
    for name in ("scene.png", "Airport/airport_1.jpg"):
        Image.new("RGB", (84, 84)).save(tmp_path / name)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, *command],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 2, done.stderr
    assert missing in done.stderr
    assert "Traceback" not in done.stderr


def test_a_server_that_does_not_answer_ends_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    Image.new("RGB", (84, 84)).save(tmp_path / "scene.png")
    server = ["--server", "http://127.0.0.1:9/v1", "--model", "m"]
    rows = str(tmp_path / "rows.jsonl")
    done = RUN.invoke(app, ["predict", str(tmp_path / "scene.png"), "--question", "?", "--out", rows, *server])
    assert done.exit_code == 2
    assert done.output.startswith("rscovlm predict: no server says how its model sees images")


def test_the_demo_names_a_missing_package_before_it_works(tmp_path: Path) -> None:
    code = "import sys; sys.modules['trl'] = None\nfrom rscovlm.cli import app\napp()"
    done = subprocess.run(
        [sys.executable, "-c", code, "demo", "--out", "demo"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 2
    assert 'trl is not installed: pip install "rscovlm[demo]"' in done.stderr
    assert not done.stdout and not list(tmp_path.iterdir())
