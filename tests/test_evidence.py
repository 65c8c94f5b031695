"""What travels with the repository says where it is from, and CI lets no skip pass that nobody listed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import rscovlm
from tests.conftest import SKIPS
from tests.evidence import HERE, OUTSIDE, evidence

ROOT = Path(__file__).resolve().parents[1]


def test_every_file_of_evidence_has_its_source_and_licence() -> None:
    rows = [line for line in (HERE / "README.md").read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    patterns = [cell for row in rows for cell in re.findall(r"`([^`]*)`", row.split("|")[1])]
    files = {path.relative_to(HERE).as_posix() for path in HERE.rglob("*") if path.suffix in (".json", ".tif")}
    named = {path.relative_to(HERE).as_posix() for pattern in patterns for path in HERE.glob(pattern)}
    assert files == named and len(files) > 10
    pictures = [row for row in rows if "images/" in row]
    assert all("public domain" in row or "CC0" in row for row in pictures) and len(pictures) == 2
    assert sum(path.stat().st_size for path in (HERE / "images").iterdir()) < 2_000_000


def test_what_is_not_here_is_skipped_in_one_line() -> None:
    assert evidence("ap_nc/trapezoids.json", outside="oracles").parent.parent == HERE
    with pytest.raises(pytest.skip.Exception, match="lies outside the repository"):
        evidence("nothing.json", outside="oracles")
    assert OUTSIDE.name == "shared"


def _run(folder: Path, body: str, ci: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_it.py").write_text(f"import pytest\n\n\ndef test_it():\n    {body}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "tests.conftest", "--rootdir", str(folder)]
    return subprocess.run(
        [*command, "-c", "/dev/null", str(folder / "test_it.py")],
        check=False,
        cwd=ROOT,
        env=os.environ | {"CI": ci, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize(
    ("body", "ci", "code"),
    [
        ("pytest.skip('I felt like it')", "true", 1),
        ("pytest.skip('I felt like it')", "", 0),
        ("pytest.importorskip('no_such_package')", "true", 1),
        ("pytest.skip('deepspeed is not installed')", "true", 0),
        ("pytest.xfail('known')", "true", 0),
        ("pass", "true", 0),
        ("assert False", "true", 1),
    ],
)
def test_a_skip_that_is_not_listed_fails_in_ci(tmp_path: Path, body: str, ci: str, code: int) -> None:
    done = _run(tmp_path, body, ci)
    assert done.returncode == code, done.stdout + done.stderr
    if code and "skip" in body:
        assert "which skips.txt does not list" in done.stdout


def test_the_list_of_skips_has_reasons() -> None:
    lines = SKIPS.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("#")
    for line in lines:
        if line and not line.startswith("#"):
            re.compile(line)
            assert line not in (".*", "")


def test_a_run_that_writes_into_the_package_fails(tmp_path: Path) -> None:
    mark = ROOT / "rscovlm" / "embedded" / f"left-by-{os.getpid()}.json"
    try:
        done = _run(tmp_path, f"open({str(mark)!r}, 'w').close()", "")
    finally:
        mark.unlink()
    assert done.returncode == 1 and f"{mark} was changed by this run" in done.stdout


def test_scoring_the_embedded_model_leaves_its_own_scores(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    shipped = Path(rscovlm.embedded_model(), "scores.json")
    before = shipped.read_bytes()
    command = [sys.executable, "-m", "rscovlm.experiments.scenes", rscovlm.embedded_model(), "--count", "6"]
    subprocess.run(
        [*command, "--out", str(tmp_path / "s.json")], check=True, cwd=ROOT, capture_output=True, timeout=300
    )
    assert shipped.read_bytes() == before
    assert json.loads((tmp_path / "s.json").read_text(encoding="utf-8"))["count"] == 6
