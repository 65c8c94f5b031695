"""The metric Spaces as `evaluate` modules, used for real: offline, over a Hub on this machine, by two processes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rscovlm.metrics.spaces import NAMES
from tests.hub.loopback import serving
from tests.hub_cards.folders import write_spaces

pytest.importorskip("evaluate", reason="the extra eval is not installed")

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_spaces(tmp_path_factory.mktemp("spaces"))


@pytest.fixture(scope="module")
def seen(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a process that used every module saw."""
    with serving() as hub:
        for name in NAMES:
            files = (path for path in (folder / name).iterdir() if path.is_file())
            hub.files[f"rscovlm/{name}"] = {path.name: path.read_bytes() for path in files}
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("HF_")},
            "HF_HOME": str(tmp_path_factory.mktemp("hub")),
            "HF_ENDPOINT": hub.address,
            "HF_UPDATE_DOWNLOAD_COUNTS": "0",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "NO_PROXY": "127.0.0.1",
            "PYTHONPATH": str(ROOT),
        }
        done = subprocess.run(
            [sys.executable, "-m", "tests.hub_cards.probe", str(folder)],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    assert done.returncode == 0, done.stderr[-3000:]
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {**result, "asked": [visit.partition(" ")[2] for visit in hub.visits]}


@pytest.mark.parametrize("name", NAMES)
def test_every_way_of_feeding_gives_the_functions_result(seen: dict[str, Any], name: str) -> None:
    ways = ("compute", "add", "add_batch", "keep_in_memory", "by name over the Hub", "combine")
    assert seen["ways"][name] == dict.fromkeys(ways, True)


def test_the_hub_is_asked_for_the_modules_alone(seen: dict[str, Any]) -> None:
    assert all(path.startswith("/spaces/rscovlm/") for path in seen["asked"]), seen["asked"]
    assert {path.split("/")[3] for path in seen["asked"]} == set(NAMES)


def test_two_processes_give_what_one_gives(seen: dict[str, Any]) -> None:
    assert seen["pair"] is True


def test_fifty_thousand_boxes_cost_two_seconds_at_most(seen: dict[str, Any]) -> None:
    assert seen["overhead"] < 2.0


@pytest.mark.parametrize(
    ("name", "part"), [("ap_nc", "'labels'"), ("acc_at_05", "4, 5 or 8 numbers"), ("lrs_vqa_aa", "'category'")]
)
def test_malformed_items_are_refused_with_reason(seen: dict[str, Any], name: str, part: str) -> None:
    assert part in seen["messages"][name]


_SQUARE = [[0, 0, 10, 0, 10, 10, 0, 10]]
_ASKED = {"answer": "2", "category": "count", "source": "FAIR_1"}


@pytest.mark.parametrize(
    ("name", "found", "true", "headline"),
    [
        ("ap_nc", [{"boxes": _SQUARE, "labels": [3]}], [{"boxes": _SQUARE, "labels": [3]}], 1.0),
        (
            "ap_nc",
            [{"boxes": _SQUARE, "labels": ["3"], "id": 7}],
            [{"boxes": _SQUARE, "labels": [3], "area": [1.0]}],
            1.0,
        ),
        ("ap_nc", [None], [{"boxes": _SQUARE, "labels": ["ship"], "difficult": None}], 0.0),
        ("acc_at_05", [None, [0, 0, 5, 5]], [[0, 0, 5, 5], [0, 0, 5, 5]], 0.5),
        ("lrs_vqa_aa", [2, None], [{**_ASKED, "answer": 2, "hbox": [1, 2, 3, 4]}, _ASKED], 0.5),
    ],
)
def test_rows_as_tables_have_them_are_taken(folder: Path, name: str, found: Any, true: Any, headline: float) -> None:
    import evaluate

    result = evaluate.load(str(folder / name)).compute(predictions=found, references=true)
    figure = result[{"ap_nc": "ap_nc50", "acc_at_05": "acc50", "lrs_vqa_aa": "average_accuracy"}[name]]
    assert (figure["mean"] if name == "ap_nc" else figure) == headline


def test_each_module_meets_what_evaluate_asks_of_every_module(folder: Path, tmp_path: Path) -> None:
    """No open options, examples that are found and run, and the name of its folder."""
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("HF_")},
        "HF_HOME": str(tmp_path / "hub"),
        "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "tests.hub_cards.loaded", str(folder)]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for name, seen_there in json.loads(done.stdout.splitlines()[-1]).items():
        assert seen_there["attempted"] > 1 and seen_there["failed"] == 0, (name, done.stdout)
        assert seen_there["open"] == [] and seen_there["same options"], name
        assert seen_there["name"] == name
