"""An answer is kept for the same item, question, image, checkpoint and settings, and for nothing else."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from rscovlm.cli import app
from rscovlm.predicting.identity import checkpoint_of
from rscovlm.predicting.items import find_items
from rscovlm.predicting.latest_rows import LatestRows
from rscovlm.predicting.prediction import DefaultQuestion, predict
from rscovlm.rasters.digests import content
from rscovlm.zoom.journal import Journal
from tests.zoom.scripted import Scripted


def _grey(path: Path, value: int) -> None:
    path.parent.mkdir(exist_ok=True)
    Image.new("RGB", (64, 64), (value,) * 3).save(path, "BMP")


class Grey(Scripted):
    """Says how grey a picture is and what was asked, and counts what it was asked."""

    def __init__(self) -> None:
        super().__init__(self._say)
        self.count = 0

    def _say(self, conversation: Any, _: int) -> str:
        self.count += 1
        text = conversation.messages[-1]["content"][-1]["text"]
        return f"{conversation.images()[0].getpixel((0, 0))[0]} {text}"


def _answers(out: Path) -> dict[str, str]:
    return {name: row["answer"] for name, row in LatestRows(out).items()}


def test_new_questions_in_a_manifest_are_answered(tmp_path: Path) -> None:
    _grey(tmp_path / "a.bmp", 7)
    _grey(tmp_path / "b.bmp", 8)
    manifest, out, engine = tmp_path / "list.jsonl", tmp_path / "out.jsonl", Grey()
    for first in ("Is it dark?", "Is it wet?", "Is it dark?"):
        lines = [{"image": "a.bmp", "question": first}, {"image": "b.bmp", "question": "Is it old?"}]
        manifest.write_text("\n".join(map(json.dumps, lines)))
        counts = predict(engine, find_items([manifest]), DefaultQuestion("ask", zoom=False), out)
        assert _answers(out) == {"a.bmp": f"7 {first}", "b.bmp": "8 Is it old?"}
    assert counts == {"done": 1, "before": 1, "errors": 0, "changed": 1} and engine.count == 4


def test_folders_with_the_same_names_and_replaced_pictures(tmp_path: Path) -> None:
    for folder, value in (("one", 10), ("two", 20)):
        for number in range(3):
            _grey(tmp_path / folder / f"{number}.bmp", value + number)
    out, engine, asked = tmp_path / "out.jsonl", Grey(), DefaultQuestion("ask", "q?", zoom=False)
    predict(engine, find_items([tmp_path / "one"]), asked, out)
    assert predict(engine, find_items([tmp_path / "two"]), asked, out)["changed"] == 3
    assert _answers(out) == {f"{number}.bmp": f"{20 + number} q?" for number in range(3)}
    # Of the same size and time, as a restored or a retouched copy has them.
    replaced = tmp_path / "two" / "1.bmp"
    stat = replaced.stat()
    _grey(replaced, 99)
    os.utime(replaced, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert replaced.stat().st_size == stat.st_size
    assert predict(engine, find_items([tmp_path / "two"]), asked, out)["changed"] == 1
    assert _answers(out)["1.bmp"] == "99 q?"
    # A copy of the folder holds the same pictures.
    shutil.copytree(tmp_path / "two", tmp_path / "three")
    assert predict(engine, find_items([tmp_path / "three"]), asked, out) == {"done": 0, "before": 3, "errors": 0}
    # A world file moves the picture.
    (tmp_path / "two" / "2.bpw").write_text("1\n0\n0\n-1\n0\n0\n")
    assert predict(engine, find_items([tmp_path / "two"]), asked, out)["changed"] == 1


def test_the_content_of_a_virtual_file_is_that_of_its_sources(tmp_path: Path) -> None:
    pytest.importorskip("rasterio")
    for number in range(2):
        Image.new("RGB", (40, 30), (number, 0, 0)).save(tmp_path / f"{number}.tif")
    source = '<SimpleSource><SourceFilename relativeToVRT="1">0.tif</SourceFilename><SourceBand>1</SourceBand></SimpleSource>'
    band = f'<VRTRasterBand dataType="Byte" band="1">{source}</VRTRasterBand>'
    vrt = tmp_path / "a.vrt"
    vrt.write_text(f'<VRTDataset rasterXSize="40" rasterYSize="30">{band}</VRTDataset>')
    before = content(vrt)
    assert content(vrt) == before
    (tmp_path / "1.tif").replace(tmp_path / "0.tif")
    assert content(vrt) != before


def test_other_settings_and_models_are_refused_by_name(tmp_path: Path) -> None:
    _grey(tmp_path / "in" / "a.bmp", 7)
    items, out = find_items([tmp_path / "in"]), tmp_path / "out.jsonl"
    predict(Grey(), items, DefaultQuestion("ask", "q?", model="m"), out)
    before = out.read_bytes()
    others = {
        "question": DefaultQuestion("ask", "Q?", model="m"),
        "model": DefaultQuestion("ask", "q?", model="n"),
        "zoom": DefaultQuestion("ask", "q?", zoom=False, model="m"),
        "opening": DefaultQuestion("ask", "q?", model="m", opening={"bands": [1]}),
        "revision": DefaultQuestion("ask", "q?", model="m", revision="v2"),
    }
    for name, asked in others.items():
        with pytest.raises(ValueError, match=rf"another task, model, question or settings \(.*{name}"):
            predict(Grey(), items, asked, out)
        assert out.read_bytes() == before
    with pytest.raises(FileNotFoundError):
        LatestRows(tmp_path / "absent.jsonl")
    assert not (tmp_path / "absent.jsonl").exists()


def test_how_files_are_read_is_no_other_question(tmp_path: Path) -> None:
    _grey(tmp_path / "in" / "a.bmp", 7)
    items, out = find_items([tmp_path / "in"]), tmp_path / "out.jsonl"
    predict(Grey(), items, DefaultQuestion("ask", "q?"), out)
    assert predict(Grey(), items, DefaultQuestion("ask", "q?", tiled=True), out) == {
        "done": 0,
        "before": 1,
        "errors": 0,
    }


def test_a_checkpoint_is_known_by_what_is_in_its_folder(tmp_path: Path) -> None:
    class Loaded:
        def __init__(self, folder: Path) -> None:
            self.name_or_path = str(folder)

    class Engine(Grey):
        def __init__(self, folder: Path) -> None:
            super().__init__()
            self.model = Loaded(folder)

    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    (first / "model.safetensors").write_bytes(bytes(300_000))
    (first / "config.json").write_text("{}")
    shutil.copytree(first, second)
    assert checkpoint_of(Engine(first), str(first)) == checkpoint_of(Engine(second), str(second))
    (second / "trainer_state.json").write_text("{}")
    (first / "scores.json").write_text("{}")
    assert checkpoint_of(Engine(first)) == checkpoint_of(Engine(second))
    with (second / "model.safetensors").open("r+b") as weights:
        weights.seek(100_001)
        weights.write(b"x")
    assert checkpoint_of(Engine(first)) != checkpoint_of(Engine(second))
    _grey(tmp_path / "in" / "a.bmp", 7)
    items, out = find_items([tmp_path / "in"]), tmp_path / "out.jsonl"
    predict(Engine(first), items, DefaultQuestion("caption", model=str(first)), out)
    with pytest.raises(ValueError, match=r"\(checkpoint\)"):
        predict(Engine(second), items, DefaultQuestion("caption", model=str(second)), out)


def test_finished_tiles_are_taken_up_or_removed(tmp_path: Path) -> None:
    _grey(tmp_path / "in" / "a.bmp", 7)
    out = tmp_path / "out.jsonl"

    class Stopping(Scripted):
        left = 3

        def generate(self, conversations: Any, **options: Any) -> Any:
            self.left -= len(conversations)
            if self.left < 0:
                raise KeyboardInterrupt
            return super().generate(conversations, **options)

    def run(engine: Scripted, classes: str, target: Path = out) -> dict[str, int]:
        asked = DefaultQuestion("detect", classes=(classes,), tile=8, overlap=0)
        items = [*find_items([tmp_path / "in"])]
        return predict(engine, items, asked, target)

    def say(*_: Any) -> str:
        return "1,1,5,1,5,5,1,5 ship\n"

    engine = Stopping(say)
    engine.left = 20  # of 64 tiles, asked about 16 at a time
    with pytest.raises(KeyboardInterrupt):
        run(engine, "ship")
    (tiles,) = tmp_path.glob(".out.jsonl.*.tiles")
    # The picture is another one now: its tiles begin anew, and what was found before is gone.
    _grey(tmp_path / "in" / "a.bmp", 9)
    engine.left = 40
    with pytest.raises(KeyboardInterrupt):
        run(engine, "ship")
    (others,) = tmp_path.glob(".out.jsonl.*.tiles")
    assert others != tiles
    mine = tmp_path / ".out.jsonl.notes.tiles"
    mine.write_text("mine")
    engine.left = 32  # the other half is done
    assert run(engine, "ship") == {"done": 1, "before": 0, "errors": 0}
    assert list(tmp_path.glob(".out.jsonl.*.tiles")) == [mine] and mine.read_text() == "mine"
    assert LatestRows(out)["a.bmp"]["tiles"] == 64


@pytest.mark.parametrize("option", ["--out", "--geojson"])
def test_the_command_changes_no_file_of_others(option: str, tmp_path: Path) -> None:
    _grey(tmp_path / "in" / "a.bmp", 7)
    kept = {"picture.bmp": (tmp_path / "in" / "a.bmp").read_bytes(), "notes.txt": b"one line without a break"}
    kept |= {"rows.jsonl": b'{"id": "a", "question": "mine"}\n{"id": "b"}', "more.jsonl": b'{"settings": {}}\n'}
    for name, data in kept.items():
        (tmp_path / name).write_bytes(data)
        command = ["predict", str(tmp_path / "in"), "--task", "caption", "--out", str(tmp_path / "out.jsonl")]
        done = CliRunner().invoke(app, [*command, option, str(tmp_path / name)])
        assert done.exit_code == 2 and name in done.output, done.output
        assert (tmp_path / name).read_bytes() == data
    assert not (tmp_path / "out.jsonl").exists()


def test_a_second_run_on_one_output_is_refused(tmp_path: Path) -> None:
    _grey(tmp_path / "in" / "a.bmp", 7)
    out = tmp_path / "out.jsonl"
    asked = DefaultQuestion("caption")
    predict(Grey(), find_items([tmp_path / "in"]), asked, out)
    header = json.loads(out.read_text().splitlines()[0])
    with Journal(out, header["settings"], kind="predictions"):
        with pytest.raises(ValueError, match="another process is writing"):
            predict(Grey(), find_items([tmp_path / "in"]), asked, out)
        assert "a.bmp" in LatestRows(out)
