"""A report to paste into an issue: true, whole, and silent on who runs it and where."""

from __future__ import annotations

import getpass
import importlib.metadata
import json
import os
import platform
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rscovlm.cli import app
from rscovlm.extras import EXTRAS

TOKEN = "hf_" + "abcdefghijklmnopqrstuvwxyzABCDEFGH"


@pytest.mark.parametrize("words", [["doctor"], ["doctor", "--json"]])
def test_nothing_in_the_report_tells_who_and_where(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "HF_TOKEN" in done.output and "120,40,310,200 plane" in done.output
    for secret in (TOKEN, str(tmp_path), str(Path.home()) + os.sep, os.getcwd(), socket.gethostname() + "."):
        assert secret not in done.output, secret
    assert getpass.getuser() not in done.output.split()


def test_the_report_is_what_the_machine_says() -> None:
    found = json.loads(CliRunner().invoke(app, ["doctor", "--json"]).output)
    assert found["python"] == platform.python_version() and found["round_trip"]["exact"] is True
    for name, number in found["packages"].items():
        if number is not None:
            assert number == importlib.metadata.version(name)
    named = {package for about in found["missing_extras"].values() for package in about["packages"]}
    assert named == {package for package in EXTRAS if importlib.util.find_spec(package) is None}


def test_it_runs_without_any_extra() -> None:
    """Every package of an extra hidden: each is named with what installs it, and the box still comes back."""
    script = (
        "import sys, importlib.util as u; from rscovlm.extras import EXTRAS; real = u.find_spec\n"
        "hidden = lambda name, package=None: None if name.split('.')[0] in EXTRAS else real(name, package)\n"
        "u.find_spec = hidden\n"
        "for name in EXTRAS: sys.modules[name] = None\n"
        "from rscovlm.cli import app; app(['doctor'])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "torch is not installed" in done.stdout
    for extra in set(EXTRAS.values()):
        assert f'pip install "rscovlm[{extra}]" gives' in done.stdout, done.stdout
