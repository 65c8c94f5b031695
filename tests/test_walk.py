"""The page that goes the whole way: its commands run as printed, in their order, in one folder, by a shell."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from rscovlm.extras import require

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs/walk.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r'^```(?:\w*)(?: title="([\w.]+)")?\n(.*?)^```', PAGE, re.DOTALL | re.MULTILINE)
SERVER = "http://127.0.0.1:8123/health"


def _wait(process: subprocess.Popen[bytes]) -> None:
    for _ in range(240):
        assert process.poll() is None, "the server ended"
        try:
            with urllib.request.urlopen(SERVER, timeout=5):
                return
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.5)
    raise AssertionError("the server does not answer")


@pytest.mark.slow
def test_the_whole_way_once(tmp_path: Path) -> None:
    for package, extra in (("trl", "train"), ("starlette", "serve"), ("rasterio", "geo")):
        require(package, extra=extra)
    program = tmp_path / "bin" / "rscovlm"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nfrom rscovlm.cli import app\napp()\n", encoding="utf-8")
    program.chmod(0o755)
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "RSCOVLM_CACHE": ""}
    server = None
    try:
        for title, text in BLOCKS:
            if title:
                (tmp_path / title).write_text(text, encoding="utf-8")
                continue
            # Packages are there; everything else is run as printed.
            script = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("pip install"))
            if " serve " in script:
                command = script.strip().removesuffix("&")
                server = subprocess.Popen(["bash", "-c", f"exec {command}"], cwd=tmp_path, env=environment)
                _wait(server)
                continue
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", script],
                cwd=tmp_path,
                env=environment,
                capture_output=True,
                text=True,
                timeout=900,
                check=False,
            )
            assert done.returncode == 0, f"{script}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    finally:
        if server is not None:
            server.terminate()
            server.wait()
    here, there = (json.loads((tmp_path / name).read_text()) for name in ("found.geojson", "served.geojson"))
    assert here["features"] == there["features"] and "coordinates" not in here
    for feature in here["features"]:
        assert all(-180 <= x <= 180 and -90 <= y <= 90 for x, y in feature["geometry"]["coordinates"][0])
    assert (tmp_path / "runs/mine/model.safetensors").is_file()
