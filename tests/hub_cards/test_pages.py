"""The metric Spaces' pages in a real browser.

They need gradio and playwright, which want an older Pillow than ours, so they run with an interpreter of their own:
``RSCOVLM_SPACES_PYTHON`` names it (a virtual environment with the extra ``spaces``), or ``RSCOVLM_TEST_SPACES=1`` has the
tests build one (about two minutes, and packages from the index pip is set to). Chromium is Debian's.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pytest

from rscovlm.hub import write_metric

ROOT = Path(__file__).resolve().parents[2]
SQUARE = [100, 100, 200, 100, 200, 180, 100, 180]
OTHER = [300, 100, 340, 100, 340, 140, 300, 140]


def _items(*boxes: list[int]) -> list[Any]:
    return [{"boxes": list(boxes), "labels": ["ship"] * len(boxes)}]


def _answers(*answers: str, hbox: list[int] | None = None) -> list[Any]:
    box = {} if hbox is None else {"hbox": hbox}
    return [{"answer": answer, "category": "count", "source": "FAIR_1", **box} for answer in answers]


# Space -> what is pasted, what is dropped, and what must then be seen: part of the table, and the shapes or answers.
JOBS: dict[str, tuple[list[Any], list[Any], tuple[str, list[str]], tuple[str, list[str]]]] = {
    "ap_nc": (
        [_items(SQUARE, OTHER), _items(SQUARE)],
        [_items(OTHER), _items(SQUARE)],
        ("66.67", ["false", "matched"]),
        ("0.00", ["missed", "false"]),
    ),
    "acc_at_05": (
        [[[0, 0, 10, 10], [5, 5, 9, 9]], [[0, 0, 10, 9], [0, 0, 2, 2]]],
        [[[0, 0, 10, 10]], [[20, 20, 30, 30]]],
        ("50.00", ["matched"]),
        ("0.00", ["missed", "false"]),
    ),
    "lrs_vqa_aa": (
        [["two", "gray"], _answers("2", "red")],
        [["3"], _answers("2")],
        ("50.00", ["right", "wrong"]),
        ("0.00", ["wrong"]),
    ),
    # Questions with the box they are about; then answers that also say where the model looked.
    "lrs_vqa_aa boxes": (
        [["two", "gray"], [*_answers("2", hbox=[0, 0, 9, 9]), *_answers("red", hbox=[20, 0, 29, 9])]],
        [[{"answer": "3", "hbox": [50, 50, 60, 60]}], _answers("2", hbox=[0, 0, 9, 9])],
        ("50.00", ["missed", "matched", "right", "wrong"]),
        ("0.00", ["missed", "false", "wrong"]),
    ),
}


@pytest.fixture(scope="session")
def interpreter(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a Python that has gradio and playwright, built here if asked for."""
    named = os.environ.get("RSCOVLM_SPACES_PYTHON")
    if named:
        return named
    if all(importlib.util.find_spec(name) is not None for name in ("gradio", "playwright")):
        return sys.executable
    if os.environ.get("RSCOVLM_TEST_SPACES") != "1":
        pytest.skip(
            "gradio and playwright are not installed here; RSCOVLM_SPACES_PYTHON may name a Python that has them, "
            "or RSCOVLM_TEST_SPACES=1 has the test build an environment"
        )
    folder = tmp_path_factory.mktemp("spaces") / "venv"
    venv.create(folder, with_pip=True)
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", "--editable", f"{ROOT}[spaces]"]
    done = subprocess.run(install, capture_output=True, text=True, timeout=1200, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return str(python)


@pytest.mark.slow
@pytest.mark.parametrize("name", JOBS)
def test_a_person_sees_table_and_picture(name: str, interpreter: str, tmp_path: Path) -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not on this machine (Debian's package chromium)")
    pasted, dropped, after_pasting, after_dropping = JOBS[name]
    files = []
    for number, items in enumerate(dropped):
        file = tmp_path / f"{number}.json"
        file.write_text(json.dumps(items))
        files.append(str(file))
    job = {
        "folder": str(write_metric(name.split()[0], tmp_path / name.split()[0])),
        "chromium": chromium,
        "pasted": [json.dumps(items) for items in pasted],
        "dropped": files,
        "screenshots": os.environ.get("RSCOVLM_SCREENSHOTS", "")
        and f"{os.environ['RSCOVLM_SCREENSHOTS']}/{name.split()[0]}",
    }
    done = subprocess.run(
        [interpreter, "-m", "tests.hub_cards.browse", json.dumps(job)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "GRADIO_ANALYTICS_ENABLED": "False"},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    seen = json.loads(done.stdout.splitlines()[-1])
    for moment, (cell, marks) in (("pasted", after_pasting), ("dropped", after_dropping)):
        assert any(cell in text for text in seen[moment]["cells"]), seen[moment]
        assert seen[moment]["shapes"] + seen[moment]["answers"] == marks
    assert "this is no JSON" in seen["complaint"]
    # Nothing is filled in, an example is on demand, and picture and legend stand in the first screen of what it gives.
    assert seen["first"] == ["", ""]
    assert all(json.loads(text) for text in seen["example"])
    assert seen["keys"] == 3 and seen["picture above table"]
    assert seen["widths"] == {"1280": 1280, "400": 400}, "a page is wider than its window"
    assert seen["cut"] == [], "a column or a key is out of sight"
    assert seen["links in the title"] == 0, "'Acc@0.5' is no address"
    assert seen["faults"] == []
