"""Rows survive kills, errors are rows, and objects lie on the map."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from rscovlm.cli import app
from rscovlm.predicting.items import find_items
from rscovlm.predicting.latest_rows import LatestRows
from rscovlm.predicting.placed_rows import write_objects
from rscovlm.predicting.prediction import DefaultQuestion, predict
from rscovlm.scenes.geotiff import write_geotiff
from tests.zoom.scripted import Scripted

RUN = CliRunner()
SLOW = """
import sys, time
from pathlib import Path
from rscovlm.predicting.items import find_items
from rscovlm.predicting.prediction import DefaultQuestion, predict
from tests.zoom.scripted import Scripted

def say(conversation, turn):
    time.sleep(0.02)
    return "grey " + str(conversation.images()[0].getpixel((0, 0))[0])

print("ready", flush=True)
predict(Scripted(say), find_items([Path(sys.argv[1])]), DefaultQuestion("ask", "How grey?"), Path(sys.argv[2]), batch=1)
"""


def _pictures(folder: Path, count: int) -> Path:
    folder.mkdir()
    for grey in range(count):
        Image.new("RGB", (64, 64), (grey, grey, grey)).save(folder / f"{grey:03}.png")
    return folder


def test_killed_again_and_again_it_answers_everything_once(tmp_path: Path) -> None:
    folder, out = _pictures(tmp_path / "in", 60), tmp_path / "out.jsonl"
    code = [sys.executable, "-c", SLOW, str(folder), str(out)]
    kills = 0
    for _ in range(30):
        process = subprocess.Popen(code, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        before = out.stat().st_size if out.exists() else 0
        while kills < 3 and process.poll() is None and (out.stat().st_size if out.exists() else 0) < before + 800:
            time.sleep(0.005)
        if kills < 3 and process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        process.communicate()
        if kills and process.returncode == -signal.SIGKILL:
            with out.open("ab") as file:  # as if the kill had hit a write
                file.write(b'{"id":"059.png","ans')
            continue
        assert process.returncode == 0
        break
    assert kills == 3
    header, *rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert header["written_by"] == "urn:rscovlm:predictions"
    assert sorted(row["id"] for row in rows) == [f"{grey:03}.png" for grey in range(60)]
    assert {row["id"]: row["answer"] for row in rows} == {f"{grey:03}.png": f"grey {grey}" for grey in range(60)}


def test_an_image_that_cannot_be_read_is_a_row_and_is_tried_again(tmp_path: Path) -> None:
    folder, out = _pictures(tmp_path / "in", 3), tmp_path / "out.jsonl"
    (folder / "001.png").write_bytes(b"no picture")
    items, asked = find_items([folder]), DefaultQuestion("caption")
    assert predict(Scripted(lambda *_: "grey"), items, asked, out) == {"done": 3, "before": 0, "errors": 1}
    assert "error" in LatestRows(out)["001.png"]
    Image.new("RGB", (64, 64)).save(folder / "001.png")
    assert predict(Scripted(lambda *_: "grey"), items, asked, out) == {"done": 1, "before": 2, "errors": 0}
    assert [row["caption"] for row in LatestRows(out).values()] == ["grey"] * 3
    with pytest.raises(ValueError, match="another task"):
        predict(Scripted(lambda *_: "grey"), items, DefaultQuestion("classify"), out)


def test_manifests_say_what_to_ask(tmp_path: Path) -> None:
    _pictures(tmp_path / "in", 2)
    manifest = tmp_path / "rows.jsonl"
    rows: list[dict[str, Any]] = [
        {"id": "a", "image": "in/000.png", "question": "Is it dark?"},
        {"id": "b", "image": "in/000.png"},
    ]
    manifest.write_text("\n".join(map(json.dumps, rows)))
    engine = Scripted(lambda conversation, _: conversation.messages[-1]["content"][-1]["text"])
    predict(engine, find_items([manifest]), DefaultQuestion("ask", "Is it wet?", zoom=False), tmp_path / "o.jsonl")
    assert [row["answer"] for row in LatestRows(tmp_path / "o.jsonl").values()] == ["Is it dark?", "Is it wet?"]
    with pytest.raises(ValueError, match="no question"):
        predict(engine, find_items([manifest]), DefaultQuestion("ask"), tmp_path / "p.jsonl")
    manifest.write_text(json.dumps({"image": "in/000.png", "imgae": 1}))
    with pytest.raises(ValueError, match=r"line 1: has unknown fields \['imgae'\]"):
        find_items([manifest])
    with pytest.raises(ValueError, match="used twice"):
        find_items([tmp_path / "in", tmp_path / "in" / "000.png"])


def test_objects_lie_where_the_file_says(tmp_path: Path) -> None:
    from rscovlm.scenes.large import map_frame

    folder = _pictures(tmp_path / "in", 1)
    frame = map_frame(1, 300, 200)
    write_geotiff(folder / "a.tif", frame, lambda x1, y1, x2, y2: Image.new("RGB", (x2 - x1, y2 - y1)))
    out = tmp_path / "o.jsonl"
    for task in (DefaultQuestion("detect", classes=("ship",)), DefaultQuestion("ground", expressions=("the ship",))):
        out.unlink(missing_ok=True)
        said = "10,10,40,10,40,30,10,30 ship\n" if task.task == "detect" else "10,10,40,30 ship"
        assert predict(Scripted(lambda *_, said=said: said), find_items([folder]), task, out)["errors"] == 0
        assert write_objects(LatestRows(out), tmp_path / "o.geojson") == (1, 1)
        (feature,) = json.loads((tmp_path / "o.geojson").read_text())["features"]
        assert feature["properties"]["image"] == "a.tif"
        ring = np.array(feature["geometry"]["coordinates"][0])
        assert (np.abs(ring) <= (180, 90)).all()
        assert not list(tmp_path.glob(".*.tiles"))


def test_the_command_runs_on_the_embedded_model_and_names_mistakes(tmp_path: Path) -> None:
    folder = _pictures(tmp_path / "in", 2)
    out = str(tmp_path / "o.jsonl")
    done = RUN.invoke(app, ["predict", str(folder), "--task", "classify", "--out", out])
    assert done.exit_code == 0, done.output
    assert "2 done, 0 before, 0 errors" in done.output
    again = RUN.invoke(app, ["predict", str(folder), "--task", "classify", "--out", out])
    assert "0 done, 2 before" in again.output
    assert RUN.invoke(app, ["predict", str(folder), "--task", "detect"]).exit_code == 2
    assert RUN.invoke(app, ["predict", str(tmp_path / "absent")]).exit_code == 2
    assert RUN.invoke(app, ["predict", str(folder), "--task", "dance"]).exit_code == 2


def test_folders_give_every_kind_of_image_and_manifests_may_begin_with_a_mark(tmp_path: Path) -> None:
    names = ["a.tif", "b.jp2", "c.j2k", "d.gtiff", "e.JPE", "f.vrt", "g.ovr", "h.txt"]
    for name in names:
        (tmp_path / name).write_bytes(b"any")
    assert [item.image.name for item in find_items([tmp_path])] == sorted(names[:5])
    manifest = tmp_path / "list.jsonl"
    manifest.write_text('{"image": "a.tif"}\n', encoding="utf-8-sig")  # as editors on Windows write it
    assert [item.id for item in find_items([manifest])] == ["a.tif"]


def test_questions_that_no_prompt_may_hold_are_named_before_the_first_is_asked(tmp_path: Path) -> None:
    Image.new("RGB", (30, 30)).save(tmp_path / "a.png")
    manifest = tmp_path / "list.jsonl"
    for words, named in (("<|im_end|>", "control token"), ("\\ud800", "half a character")):
        manifest.write_text(f'{{"image": "a.png", "question": "What {words}"}}\n', encoding="utf-8")
        done = CliRunner().invoke(app, ["predict", str(manifest), "--out", str(tmp_path / "out.jsonl")])
        assert done.exit_code == 2 and "what is asked about 'a.png'" in done.output and named in done.output
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize(
    "name", ["../secret.png", "/etc/secret.png", "in/../../secret.png", "file:///a.png", "link.png", "out/a.png"]
)
def test_manifests_name_images_below_their_folder(tmp_path: Path, name: str) -> None:
    _pictures(tmp_path / "private", 1)
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "link.png").symlink_to(tmp_path / "private" / "000.png")
    (folder / "out").symlink_to(tmp_path / "private")
    (folder / "rows.jsonl").write_text(json.dumps({"image": "in/000.png"}) + "\n" + json.dumps({"image": name}))
    with pytest.raises(ValueError, match=r"rows.jsonl, line 2: .*in or below its own folder"):
        find_items([folder / "rows.jsonl"])
