"""What the README says works as written."""

import json
import re
from pathlib import Path

import pytest

from rscovlm.scenes import LayoutConfig, SceneLayout

README = Path(__file__).resolve().parents[1] / "README.md"
TEXT = README.read_text(encoding="utf-8")


def test_the_python_of_the_readme_runs_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = re.search(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
    assert code is not None
    monkeypatch.chdir(tmp_path)
    exec(compile(code.group(1), "README.md", "exec"), {})  # noqa: S102  the README is ours
    pad = SceneLayout(0, LayoutConfig(2048, 2048)).pad
    assert pad is not None
    assert capsys.readouterr().out.strip() == pad.glyph
    assert f"# {pad.glyph}\n" in code.group(1)
    collection = json.loads((tmp_path / "objects.geojson").read_text(encoding="utf-8"))
    assert len(collection["features"]) > 10
    for feature in collection["features"]:
        longitude, latitude = feature["geometry"]["coordinates"][0][0]
        assert 6 < longitude < 12
        assert 45.5 < latitude < 52


def test_the_targets_of_the_readme_are_in_the_makefile() -> None:
    targets = re.findall(r"^(\w+):", README.with_name("Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    named = re.findall(r"make (\w+)", TEXT)
    assert named
    assert set(named) <= set(targets)


@pytest.mark.parametrize(
    ("here", "page", "there"),
    [
        ("0.995, 0.161", "rscovlm/embedded/README.md", r"\| zoom_on \| 0\.995 (?s:.*)\| zoom_off \| 0\.161 "),
        ("1.000, 0.919", "rscovlm/embedded/README.md", r"grounding_one \| 1\.000 (?s:.*)ap_nc50_one \| 0\.919 "),
        ("2.5 times", "docs/training.md", r"bench_packed_training .* 2\.5 times"),
        ("0.11 s, 0.02 s", "docs/rasters.md", r"`rasterio` \| 11\d \| 2\d "),
        ("1.7 times the time", "docs/zoom.md", r"1\.7 times as long"),
    ],
)
def test_the_figures_of_the_readme_are_those_of_their_pages(here: str, page: str, there: str) -> None:
    assert f"| {here} |" in TEXT
    assert re.search(there, (README.parent / page).read_text(encoding="utf-8"))
