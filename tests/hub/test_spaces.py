"""Metric Spaces go to a Hub, and `evaluate` loads them from there by name, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rscovlm.cli import app
from rscovlm.hub import push_metric, push_space, write_metric
from rscovlm.metrics.spaces import NAMES
from rscovlm.metrics.spaces.files import space_files
from tests.hub.loopback import HubFault, reach, serving

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "hf_" + "abcdefghijklmnopqrstuvwxyzABCDEFGH"
USE = """
import json, evaluate
found = [{"boxes": [[0, 0, 10, 0, 10, 10, 0, 10]], "labels": ["ship"]}]
module = evaluate.load("rscovlm/ap_nc")
print(json.dumps([module.compute(predictions=found, references=found), module.name]))
"""


@pytest.mark.parametrize("name", NAMES)
def test_a_metric_is_pushed_whole_and_private(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as hub:
        reach(hub, monkeypatch)
        hub.token = TOKEN
        dry = push_metric(name, f"rscovlm/{name}", token=TOKEN, dry_run=True)
        assert not hub.visits and f"{name}.py" in dry.table()
        hub.faults = [HubFault("POST .*commit/main", "503")]
        with pytest.raises(ConnectionError, match="do the same again"):
            push_metric(name, f"rscovlm/{name}", token=TOKEN)
        assert hub.files[f"rscovlm/{name}"] == {}
        push_metric(name, f"rscovlm/{name}", token=TOKEN)
        files = hub.files[f"rscovlm/{name}"]
        assert set(files) == {"README.md", "app.py", "requirements.txt", f"{name}.py"}
        assert {path: data.decode() for path, data in files.items()} == space_files(name)
        assert hub.created[0]["visibility"] == "private" and hub.created[0]["sdk"] == "gradio"


def test_evaluate_loads_a_pushed_metric_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("evaluate", reason="the extra eval is not installed")
    with serving() as hub:
        with monkeypatch.context() as here:
            reach(hub, here)
            here.setenv("HF_TOKEN", TOKEN)
            done = CliRunner().invoke(app, ["push", "metric", "ap_nc", "rscovlm/ap_nc"])
        assert done.exit_code == 0 and f"{hub.address}/spaces/rscovlm/ap_nc/commit/" in done.output, done.output
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("HF_")},
            "HF_HOME": str(tmp_path / "home"),
            "HF_ENDPOINT": hub.address,
            "HF_UPDATE_DOWNLOAD_COUNTS": "0",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "NO_PROXY": "127.0.0.1",
            "PYTHONPATH": str(ROOT),
        }
        used = subprocess.run(
            [sys.executable, "-c", USE],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    assert used.returncode == 0, used.stderr[-2000:]
    result, name = json.loads(used.stdout.splitlines()[-1])
    from rscovlm.metrics import ap_nc

    assert name == "ap_nc"
    assert any(visit.startswith("GET /spaces/rscovlm/ap_nc/resolve") for visit in hub.visits), hub.visits
    corners = [[0, 0, 10, 0, 10, 10, 0, 10]]
    plain = ap_nc([{"boxes": corners, "labels": ["ship"]}], [{"boxes": corners, "labels": ["ship"]}])
    assert result == json.loads(json.dumps(plain))


def test_what_is_no_metric_or_space_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="give a repository of its name"):
        push_metric("ap_nc", "rscovlm/other")
    write_metric("ap_nc", tmp_path / "copy")
    with pytest.raises(ValueError, match="holds files already"):
        write_metric("acc_at_05", tmp_path / "copy")
    (tmp_path / "copy" / "ap_nc.py").write_text("import evaluate\n")
    with pytest.raises(ValueError, match=r"no class on evaluate\.Metric"):
        push_metric(tmp_path / "copy", "rscovlm/ap_nc")
    (tmp_path / "copy" / "README.md").write_text("# no head\n")
    with pytest.raises(ValueError, match="has no head"):
        push_space(tmp_path / "copy", "me/space")
    with pytest.raises(FileNotFoundError, match="README.md is not there"):
        push_space(tmp_path, "me/space")
