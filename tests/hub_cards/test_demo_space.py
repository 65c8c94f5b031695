"""The demo Space, clicked through in a real browser by an interpreter that has gradio and playwright; see `test_pages`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from rscovlm.demo.space_jobs import LIMITS, SCENES, run_job, write_scene
from rscovlm.demo.space_page import engine_of
from rscovlm.hub import push_space
from tests.hub_cards.test_pages import interpreter  # noqa: F401  a fixture

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "hub_cards/demo"


@pytest.mark.parametrize("job", ["ask", "ground", "detect"])
@pytest.mark.parametrize("scene", SCENES)
def test_every_job_answers_on_every_scene(scene: str, job: str, tmp_path: Path) -> None:
    _, question, names = SCENES[scene]
    text = {"ask": question, "ground": "the tank", "detect": names}[job]
    shown = run_job(engine_of("", ""), write_scene(scene, tmp_path), job, text)
    assert shown.text and shown.pictures and shown.map.startswith("<!")
    assert (shown.geojson is None) == (job == "ask")


def test_what_a_click_may_not_ask_for_is_refused(tmp_path: Path) -> None:
    path = write_scene("one small picture", tmp_path)
    engine = engine_of("", "")
    for job, text, words in (("ask", " ", "the text is empty"), ("dance", "x", "choose ask, ground or detect")):
        with pytest.raises(ValueError, match=words):
            run_job(engine, path, job, text)
    with pytest.raises(ValueError, match="choose from a pad"):
        write_scene("nowhere", tmp_path)
    assert LIMITS.tiles < 400 and LIMITS.seconds < 600


def test_the_space_is_pushed_whole() -> None:
    upload = push_space(FOLDER, "me/demo", dry_run=True)
    assert set(upload.files) == {"README.md", "app.py", "requirements.txt"} and not upload.left_out


@pytest.mark.slow
def test_a_person_clicks_through(interpreter: str, tmp_path: Path) -> None:  # noqa: F811
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not on this machine (Debian's package chromium)")
    image = write_scene("an airfield", tmp_path).rename(tmp_path / "mine.tif")
    room = Path(os.environ.get("RSCOVLM_SCREENSHOTS") or tmp_path)
    job = {"folder": str(FOLDER), "chromium": chromium, "image": str(image), "room": str(room)}
    done = subprocess.run(
        [interpreter, "-m", "tests.hub_cards.browse_demo", json.dumps(job)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "GRADIO_ANALYTICS_ENABLED": "False"},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    seen = json.loads(done.stdout.splitlines()[-1])
    assert "there is no image" in seen["without an image"] and "--server needs --model" in seen["without a name"]
    # The pad's marking is read in a closer look, whose picture stands beside the whole image.
    assert seen["answer"] == "ring" and seen["pictures"] >= 2
    assert "plane" in seen["found"] and seen["map"] > 0
    features = seen["geojson"]["features"]
    assert sum(int(part.split(" x ")[0]) for part in seen["found"].split(", ")) == len(features) > 0
    for feature in features:
        assert all(-180 <= x <= 180 and 40 < y < 60 for x, y in feature["geometry"]["coordinates"][0])
    assert "the plane" in seen["pointed"]
    assert seen["by a server"] == seen["found"] and seen["asked"] > 0
    assert seen["widths"] == {"1280": 1280, "400": 400}, "the page is wider than its window"
    assert seen["faults"] == []
    for width in (1280, 400):
        assert (room / f"demo-{width}.png").stat().st_size > 10_000
