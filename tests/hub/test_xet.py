"""The client with `hf_xet` against a Hub that has Git LFS alone, and against one whose Xet store fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hub.loopback import HubFault, serving

ROOT = Path(__file__).parents[2]
TOKEN = "hf_" + "xetxetxetxetxetxetxetxetxetxetxet"
# A process of its own: hf_xet reads its settings once, and has a session for the whole process.
ROUND_TRIP = """
import sys
from pathlib import Path

from rscovlm.hub import pull
from rscovlm.hub.uploads import HubUpload, send

folder = Path(sys.argv[1])
files = {"data/train-00000-of-00001.parquet": folder / "large", "in_memory.parquet": b"x" * 100_000, "small.json": b"{}"}
send(HubUpload("me/x", "dataset", files, ""), message="m")
pull("me/x", folder / "back", kind="dataset")
"""


@pytest.mark.parametrize("store", [None, "http://127.0.0.1:9"], ids=["only LFS", "a store that is closed"])
def test_large_files_go_and_come_without_the_store(store: str | None, tmp_path: Path) -> None:
    pytest.importorskip("hf_xet", reason="hf_xet is not installed")
    content = os.urandom(200_000)
    (tmp_path / "large").write_bytes(content)
    with serving() as hub:
        hub.large, hub.token, hub.xet = (".parquet",), TOKEN, store
        hub.faults = [HubFault("PUT /lfs", "503", 1)]
        variables = {"HF_ENDPOINT": hub.address, "HF_TOKEN": TOKEN, "HF_HOME": str(tmp_path / "home")}
        variables |= {"HF_XET_CLIENT_RETRY_MAX_ATTEMPTS": "1", "HF_XET_CLIENT_RETRY_BASE_DELAY": "100ms"}
        variables |= {"PYTHONPATH": str(ROOT), "HF_HUB_DISABLE_XET": "0", "HF_HUB_DISABLE_TELEMETRY": "1"}
        done = subprocess.run(
            [sys.executable, "-c", ROUND_TRIP, str(tmp_path)],
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
    assert any("/xet-write-token/" in visit for visit in hub.visits), "the client tried the store first"
    assert any("/xet-read-token/" in visit for visit in hub.visits) == (store is not None)
    assert hub.files["me/x"]["data/train-00000-of-00001.parquet"] == content
    assert (tmp_path / "back/data/train-00000-of-00001.parquet").read_bytes() == content
    assert (tmp_path / "back/in_memory.parquet").read_bytes() == b"x" * 100_000
    assert len(hub.commits) == 1 and "the Xet store failed" in done.stderr
    assert TOKEN not in done.stderr + done.stdout
