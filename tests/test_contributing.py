"""The recipes of CONTRIBUTING.md work as they stand: followed in a copy of the package, and used."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
STEP = re.compile(
    r'^```\w+ title="(?P<file>[^"]+)"(?: after="(?P<after>(?:\\"|[^"])*)")?\n(?P<body>.*?)^```$',
    re.MULTILINE | re.DOTALL,
)

USE = """
import json, sys
from pathlib import Path
from PIL import Image
import rscovlm
from rscovlm.codec.dialect import Dialect
from rscovlm.data.sources import convert
from rscovlm.mixtures.renderer import RecordRenderer
from rscovlm.predicting.items import Item
from rscovlm.predicting.prediction import DefaultQuestion, predict
from rscovlm.processing import PixelBudget
import numpy as np

root = Path(sys.argv[1])
(root / "images").mkdir()
Image.new("RGB", (120, 90), "grey").save(root / "images/a.png")
rows = [{"file": "images/a.png", "material": "tile"}, {"file": "images/a.png"}]
(root / "roofs.jsonl").write_text("\\n".join(map(json.dumps, rows)))
from rscovlm.records import Tally
tally = Tally(0.9)
(record,) = convert("roofs", root, tally=tally)
print(record.task, dict(tally.dropped))
sample = RecordRenderer(Dialect.preset("rscovlm-v1"), PixelBudget(), root)(record, np.random.default_rng(0))
engine = rscovlm.engines.Constant("tile")
predict(engine, [Item("a", root / "images/a.png")], DefaultQuestion("material"), root / "out.jsonl")
row = [json.loads(line) for line in (root / "out.jsonl").read_text().splitlines()][-1]
print(row["material"], sample["messages"][0]["content"][-1]["text"])
from tests.serving.loopback import chat, served, uri, user
with served(engine) as server:
    status, reply = chat(server, user("?", uri(Image.open(root / "images/a.png"))), model="rscovlm:material")
    print(status, reply["choices"][0]["message"]["content"], reply["model"])
    status, reply = chat(server, user("?"), rscovlm={"task": "material"})
    print(status, reply["error"]["message"])
from rscovlm.benchmarks.running import Job, run_jobs
from rscovlm.benchmarks.scoring import score_folder
from rscovlm.benchmarks.suite import load_suite
from rscovlm.training.evaluation import ask, metric_of, score
(root / "roofs.jsonl").write_text(json.dumps(rows[0]))
(root / "suite.yaml").write_text(sys.argv[2])
job = Job([load_suite(root / "suite.yaml")], root, controls=False)
run_jobs(engine, job.plan(), job, root / "run", "constant", print)
(scored,) = score_folder(root / "run", suites=job.suites)
print([(figure.name, figure.rule, figure.value) for figure in scored.figures], scored.counts["answers"])
asked = ask(engine, [sample], max_new_tokens=8)
print(score([(asked[0], sample)], engine), metric_of("material", [sample]))
print(rscovlm.metrics.exact_material(["Tile"], ["tile"]))
print(Dialect.preset("percent").ask("detect", classes="ship").user)
Image.new("RGB", (31, 17), (9, 80, 200)).save(root / "picture.ppm")
with rscovlm.open_image(root / "picture.ppm") as raster:
    print(raster.width, raster.height, raster.overview().image.getpixel((3, 4)))
"""

SUITE = """
name: roofs
version: 1
title: Roofs
records: {source: roofs, split: train, task: material, folder: .}
licence: CC0-1.0
get: by hand
protocol: {scoring: words, rule: exact}
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a copy of the package in which every step was followed."""
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(ROOT / "rscovlm", folder / "rscovlm", ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("tests/__init__.py", "tests/serving/__init__.py", "tests/serving/loopback.py"):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, folder / file)
    for step in STEP.finditer(TEXT):
        path, after = folder / step["file"], step["after"]
        if after is None:
            assert not path.exists(), f"{step['file']} is there already"
            path.write_text(step["body"], encoding="utf-8")
        else:
            line = after.replace('\\"', '"') + "\n"
            text = path.read_text(encoding="utf-8")
            assert text.count(line) == 1, f"{step['file']} has no line {line!r}"
            path.write_text(text.replace(line, line + step["body"]), encoding="utf-8")
    return folder


def run(package: Path, *command: str) -> str:
    environment = {"PYTHONPATH": str(package), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", "HOME": str(package)}
    done = subprocess.run(
        [sys.executable, *command], cwd=package, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_what_was_added_is_found_and_used(package: Path, tmp_path: Path) -> None:
    lines = run(package, "-c", USE, str(tmp_path), SUITE).splitlines()
    assert lines == [
        "material {'malformed row': 1}",
        "tile What is the roof made of?",
        "200 tile rscovlm:material",
        "400 task 'material' has no image; send one as a data URI in an image_url block",
        "roofs.as-is: 1 asked, 0 before, 0 errors",
        "[('all', 'exact', 1.0)] 1",
        "{'material/accuracy': 1.0} accuracy",
        "{'accuracy': 1.0}",
        "List every ship as JSON, in per cent of the image.",
        "31 17 (9, 80, 200)",
    ]


def test_what_was_added_meets_the_checks(package: Path) -> None:
    added = [step["file"] for step in STEP.finditer(TEXT) if step["file"].endswith(".py")]
    assert len(added) == 6
    config = str(ROOT / "pyproject.toml")
    run(package, "-m", "ruff", "check", "--config", config, "--no-cache", *added)
    run(package, "-m", "ruff", "format", "--check", "--config", config, "--no-cache", *added)
    run(package, "-m", "mypy", "--strict", "--config-file", config, "--cache-dir", str(package / "cache"), *added)


def test_one_file_and_one_line_a_thing() -> None:
    steps = list(STEP.finditer(TEXT))
    recipes = re.split(r"^## Add ", TEXT, flags=re.MULTILINE)[1:]
    assert len(recipes) == 6
    for recipe in recipes:
        found = [step for step in steps if step[0] in recipe]
        files = 0 if recipe.startswith("a raster format\n") else 1
        assert sum(step["after"] is None for step in found) == files
        assert all(step["body"].count("\n") == 1 for step in found if step["after"] is not None)
