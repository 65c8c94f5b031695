"""Every page that a command writes: in a window of 400 pixels nothing is cut, and dark mode is dark."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from rscovlm.benchmarks.grids import GridCell, GridRow, ReportGrid
from rscovlm.benchmarks.report import to_html
from rscovlm.exports.page_style import html_page
from rscovlm.quality.findings import Finding, Report
from rscovlm.quality.lint_page import write_page
from rscovlm.zoom import PolicyScore, write_comparison

PACKAGE = Path(__file__).resolve().parents[2] / "rscovlm"
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
LONG = "a_name_without_any_place_to_break_" * 4

# Frames, since windows of a browser without a screen are at least 500 pixels wide. What scrolls inside a page is cut for who reads it.
ASKING = """<body>FRAMES<pre id="found"></pre><script>
addEventListener("load", () => setTimeout(() => {
  const found = {};
  for (const frame of document.querySelectorAll("iframe")) {
    const page = frame.contentDocument, wide = [];
    for (const one of [page.documentElement, ...page.querySelectorAll("body *")])
      if (one.scrollWidth > one.clientWidth + 1 && one.clientWidth && getComputedStyle(one).display != "inline")
        wide.push(`${one.tagName} ${one.scrollWidth} of ${one.clientWidth}`);
    found[frame.src.split("/").pop()] = {
      wide, ground: getComputedStyle(page.body).backgroundColor,
    };
  }
  document.getElementById("found").textContent = JSON.stringify(found);
}, 500))
</script></body>"""


def _write_pages(folder: Path) -> list[str]:
    columns = ("AP_nc50", "AP_nc75", LONG, *(f"column {number}" for number in range(9)))
    rows = [
        GridRow(LONG, tuple(GridCell(51.5, 0.0, 100.0, "v1") for _ in columns)),
        GridRow("a", (None,) * 12, True),
    ]
    (folder / "report.html").write_text(to_html([ReportGrid("t", LONG, columns, tuple(rows), (LONG,))], []), "utf-8")
    report = Report(records=1, images=1, counts=Counter({"leak": 1, "class names": 2}))
    report.findings = {"leak": [Finding("leak", LONG, LONG)], "class names": [Finding("class names", LONG, LONG)]}
    write_page(report, None, folder / "lint.html")
    score = PolicyScore(LONG, 0.5, 0.1, 0.1, 0.5, None, 900.0, 3.0, 1.5, 1, Counter(), ())
    write_comparison({LONG: [score]}, folder / "policies.html", notes=[LONG])
    (folder / "plain.html").write_text(html_page(LONG, f"<h1>{LONG}</h1><p>{LONG}</p>", "me"), "utf-8")
    pytest.importorskip("torch")
    from rscovlm.training.inspection import InspectedSample, Inspection, TaskRow

    sample = InspectedSample(0, LONG, ["data:image/gif;base64,R0lGODlhAQABAAAAACw="], [(LONG, True)])
    row = TaskRow(LONG, 1000, (1000, 1000.0, 1000), 1000.0, 1000.0, (1000, 1000.0, 1000))
    Inspection([(LONG, 0.5, 0.5)], [row], [sample], {LONG: 1}).write(folder / "mixture.html")
    return sorted(path.name for path in folder.glob("*.html"))


def _asked(folder: Path, names: list[str], *options: str) -> dict[str, Any]:
    if BROWSER is None:
        pytest.skip("chromium is not installed")
    frames = "".join(f'<iframe src="{name}" style="border:0;width:400px;height:800px"></iframe>' for name in names)
    asking = folder / "asking.htm"
    asking.write_text(ASKING.replace("FRAMES", frames), encoding="utf-8")
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000", *options]
    command += ["--allow-file-access-from-files", f"--user-data-dir={folder / 'profile'}", "--dump-dom"]
    done = subprocess.run([*command, asking.as_uri()], capture_output=True, text=True, timeout=240, check=True)
    found = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found is not None and found[1], done.stderr
    answer: dict[str, Any] = json.loads(html.unescape(found[1]))
    return answer


def test_nothing_is_cut_at_400_pixels_and_dark_mode_is_dark(tmp_path: Path) -> None:
    names = _write_pages(tmp_path)
    light, dark = (
        _asked(tmp_path, names),
        _asked(tmp_path, names, "--force-dark-mode", "--blink-settings=preferredColorScheme=0"),
    )
    assert sorted(light) == names
    for name in names:
        assert not light[name]["wide"], f"{name}: {light[name]['wide']}"
        assert sum(_grey(light[name]["ground"])) > 600 and sum(_grey(dark[name]["ground"])) < 150, name


def test_every_page_of_the_package_says_how_wide_it_is_and_has_a_dark_mode() -> None:
    files = [path for path in PACKAGE.rglob("*") if path.suffix in (".jinja", ".html", ".py")]
    pages = [path for path in files if "<!doctype html>" in path.read_text(encoding="utf-8").lower()]
    assert len(pages) >= 6
    for path in pages:
        text = path.read_text(encoding="utf-8")
        assert 'name="viewport" content="width=device-width' in text, path
        assert "prefers-color-scheme: dark" in text or "{{ style }}" in text or "page_style()" in text, path


def _grey(colour: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", colour)[:3]]
