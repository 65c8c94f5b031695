"""An output is never changed before it is known to be ours, and is replaced whole or not at all."""

import ast
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rscovlm.data.formats import write_coco, write_messages, write_refgeo
from rscovlm.data.storage import write_jsonl, write_parquet, write_records
from rscovlm.exports import map_page, to_coco, to_dota, to_geojson, to_yolo_obb
from rscovlm.exports.geopackage import to_geopackage
from rscovlm.exports.geoparquet import to_geoparquet
from rscovlm.files import check_output, claim_folder, mark, replacing, write_picture, write_text
from rscovlm.geometry import Boxes, Frame, Objects
from rscovlm.mixtures.balance import next_recipe
from rscovlm.quality.findings import Report
from rscovlm.rasters import open_image
from rscovlm.scenes import write_geotiff
from rscovlm.training.evaluation import write_results
from rscovlm.zoom.journal import Journal, read_rows

FRAME = Frame(40, 30, root_to_world=(0.1, 0, 10, 0, -0.1, 50), crs="EPSG:4326")
FOUND = Objects(Boxes([[1, 2, 11, 8]], "hbb", FRAME), ("ship",))
PLAIN = Objects(Boxes([[1, 2, 11, 8]], "hbb", Frame(40, 30)), ("ship",))

RECIPE = "subsets:\n  - {name: a, weight: 1, records: a.jsonl}\n  - {name: b, weight: 1, records: b.jsonl}\n"


def _next_recipe(path: Path) -> None:
    given = path.parent / "given.yaml"
    given.write_text(RECIPE)
    next_recipe(given, {"a": 1, "b": 0.5}, {"a": 1, "b": 1}, path)


def _view() -> Any:
    return open_image(np.zeros((30, 40, 3), np.uint8)).overview()


# What may be written again where it stands, because the file says that it is ours.
MARKED: dict[str, Callable[[Path], object]] = {
    "journal": lambda path: Journal(path).close(),
    "geojson": lambda path: to_geojson(FOUND, path),
    "coco": lambda path: to_coco({"a": PLAIN}, path),
    "records as coco": lambda path: write_coco([], path),
    "geopackage": lambda path: to_geopackage(FOUND, path),
    "geoparquet": lambda path: to_geoparquet(FOUND, path),
    "map": lambda path: map_page(path, _view()),
    "picture": lambda path: write_picture(path, Image.new("RGB", (9, 9))),
    "geotiff": lambda path: write_geotiff(path, FRAME, lambda x1, y1, x2, y2: Image.new("RGB", (x2 - x1, y2 - y1))),
    "lint": lambda path: Report().write(path),
    "results": lambda path: write_results(path, 3, {"a": 1.0}),
    "recipe": _next_recipe,
}
# What other programs read and no mark of ours may stand in.
PLAIN_FILES: dict[str, Callable[[Path], object]] = {
    "records": lambda path: write_jsonl([], path),
    "messages": lambda path: write_messages([], path),
    "refgeo": lambda path: write_refgeo([], path),
    "yolo": lambda path: to_yolo_obb(PLAIN, ["ship"], path),
}


def _png(path: Path) -> None:
    Image.new("RGB", (8, 8), "red").save(path, "PNG")


FOREIGN: dict[str, Callable[[Path], object]] = {
    "picture": _png,
    "line": lambda path: path.write_bytes(b"my thesis, one long line without a break at its end"),
    "lines": lambda path: path.write_bytes(b"line one\nline two without a break"),
    "rows": lambda path: path.write_bytes(b'{"id": 1, "settings": {}}\n{"id": 2}\n{"id'),
    "words": lambda path: path.write_text(f"They write {mark('geojso')} and {mark('geojsonline')} into files."),
}


@pytest.mark.parametrize("foreign", FOREIGN)
@pytest.mark.parametrize("write", [*MARKED, *PLAIN_FILES])
def test_what_others_wrote_stays_as_it_is(write: str, foreign: str, tmp_path: Path) -> None:
    if write == "geoparquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / "out"
    FOREIGN[foreign](path)
    if write == "results" and foreign == "picture":
        path.write_bytes(path.read_bytes() + b"\n")
    before, changed = path.read_bytes(), path.stat().st_mtime_ns
    with pytest.raises(ValueError, match="out"):
        {**MARKED, **PLAIN_FILES}[write](path)
    assert path.read_bytes() == before and path.stat().st_mtime_ns == changed
    assert not list(tmp_path.glob("*.part")) and not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("write", MARKED)
def test_what_is_ours_is_written_again_and_by_its_own_kind_only(write: str, tmp_path: Path) -> None:
    if write == "geoparquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / "out"
    MARKED[write](path)
    MARKED[write](path)
    before = path.read_bytes()
    for name, other in MARKED.items():
        if name != write and {name, write} != {"coco", "records as coco"}:
            with pytest.raises(ValueError, match="out"):
                other(path)
            assert path.read_bytes() == before, name


def test_folders_devices_and_links(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is a folder"):
        check_output(tmp_path, "geojson")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for write in MARKED.values():
        for path in (pipe, Path(os.devnull)):
            with pytest.raises(ValueError, match="plain file"):
                write(path)
    (tmp_path / "thesis").write_text("words")
    (tmp_path / "link").symlink_to(tmp_path / "thesis")
    with pytest.raises(ValueError, match="not written by rscovlm"):
        to_geojson(FOUND, tmp_path / "link")
    to_geojson(FOUND, tmp_path / "link", overwrite=True)
    assert (tmp_path / "link").is_symlink() and "ship" in (tmp_path / "thesis").read_text()


def test_a_write_that_fails_leaves_the_file_that_was_there(tmp_path: Path) -> None:
    path = write_text(tmp_path / "a", mark("x"), "x")
    with pytest.raises(ZeroDivisionError), replacing(path, "x") as part:
        part.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == mark("x") and [one.name for one in tmp_path.iterdir()] == ["a"]


def test_a_full_disk_leaves_whole_files(tmp_path: Path) -> None:
    """The limit on a file's size stands for a full disk: a write fails in its middle."""
    code = """
import resource, signal, sys
from pathlib import Path
from rscovlm.files import write_text
from rscovlm.zoom.journal import Journal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
failed = 0
with Journal(sys.argv[1]) as journal:
    for number in range(9):
        try:
            journal.append([{"id": number, "text": "x" * 3000}])
        except OSError:
            failed += 1
try:
    write_text(sys.argv[2], "urn:rscovlm:x" + "y" * 30000, "x")
except OSError:
    failed += 1
print(failed)
"""
    page = write_text(tmp_path / "page", mark("x"), "x")
    command = [sys.executable, "-c", code, str(tmp_path / "rows"), str(page)]
    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1])
    assert run.stdout == "4\n", run.stderr
    assert page.read_text() == mark("x")
    assert (tmp_path / "rows").read_bytes().endswith(b"\n")
    assert [row["id"] for row in read_rows(tmp_path / "rows")] == list(range(6))
    assert sorted(one.name for one in tmp_path.iterdir()) == ["page", "rows"]


def test_a_second_writer_is_refused_until_the_first_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    code = "import sys, time; from rscovlm.zoom.journal import Journal\n"
    code += "journal = Journal(sys.argv[1]); journal.append([{'id': 1}]); print('open', flush=True); time.sleep(60)"
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[1]) as first:
        assert first.stdout is not None and first.stdout.readline() == b"open\n"
        before = path.read_bytes()
        with pytest.raises(ValueError, match="another process is writing"):
            Journal(path)
        assert path.read_bytes() == before and list(read_rows(path)) == [{"id": 1}]
        first.send_signal(signal.SIGKILL)
    with Journal(path) as journal:
        assert list(journal) == [{"id": 1}]


def test_reading_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    with pytest.raises(FileNotFoundError):
        list(read_rows(path))
    assert not path.exists()
    with Journal(path) as journal:
        journal.append([{"id": 1}])
    path.write_bytes(path.read_bytes() + b'{"id": 2, "cut')
    before = path.read_bytes()
    assert list(read_rows(path)) == [{"id": 1}]
    with pytest.raises(ValueError, match="urn:rscovlm:tiles"):
        list(read_rows(path, kind="tiles"))
    assert path.read_bytes() == before


def test_folders_of_others_are_not_taken(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "model.safetensors").write_bytes(b"weights")
    with pytest.raises(ValueError, match="new or an empty folder"):
        claim_folder(tmp_path / "mine", "demo")
    with pytest.raises(ValueError, match="is a file"):
        claim_folder(tmp_path / "mine" / "model.safetensors", "demo")
    assert [one.name for one in (tmp_path / "mine").iterdir()] == ["model.safetensors"]
    for _ in range(2):
        claim_folder(tmp_path / "new", "demo")
    with pytest.raises(ValueError, match="for training"):
        claim_folder(tmp_path / "new", "training")
    (tmp_path / "file").write_bytes(b"x")
    for write in (write_records, write_parquet):
        with pytest.raises((ValueError, OSError)):
            write([], tmp_path / "file")
    (tmp_path / "task1").mkdir()
    (tmp_path / "task1" / "Task1_ship.txt").write_text("P0001 0.5 1 2 3 4 5 6 7 8\n")
    with pytest.raises(ValueError, match=r"Task1_ship\.txt exists"):
        to_dota({"P0001": PLAIN}, tmp_path / "task1", categories=["boat", "ship"])
    assert [one.name for one in (tmp_path / "task1").iterdir()] == ["Task1_ship.txt"]


def test_nothing_else_writes_files() -> None:
    """Whoever writes a file does it through `rscovlm.files`; those who have a reason not to are named here."""
    allowed = {
        "files.py": "is it",
        "zoom/journal.py": "appends",
        "data/archives.py": "makes new files only",
        "training/trainer.py": "inside checkpoints, which begin empty",
        "training/provenance.py": "inside checkpoints, which begin empty",
        "training/checkpoints.py": "inside checkpoints, which begin empty",
        "training/run.py": "the mark and the lock of a run's folder",
        "processing/checkpoint.py": "completes what save_pretrained wrote",
        "metrics/wordnet/make.py": "makes a table of the package",
        "hub/downloads.py": "inside a folder that it claimed",
        "testing/__init__.py": "makes a folder of test data",
        "testing/adapters.py": "makes a folder of test data",
        "testing/layouts.py": "makes a folder of test data",
    }
    package = Path(__file__).parents[1] / "rscovlm"
    found: dict[str, set[int]] = {}
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package).as_posix()
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and name not in allowed and _writes(node):
                found.setdefault(name, set()).add(node.lineno)
    # A part of `replacing`, or memory.
    known = {"data/storage.py", "data/formats/messages.py", "data/formats/refgeo.py", "rasters/cache.py"}
    known |= {"experiments/scenes.py", "exports/geojson.py", "exports/mask_files.py", "hub/transfers.py"}
    assert set(found) <= known, {name: lines for name, lines in found.items() if name not in known}


def _writes(call: ast.Call) -> bool:
    """Tell whether a call opens a file for writing or writes one by its name."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name in ("write_text", "write_bytes"):
        return isinstance(call.func, ast.Attribute)
    if name == "open":
        modes = [*call.args[:2], *(word.value for word in call.keywords if word.arg == "mode")]
        words = [mode.value for mode in modes if isinstance(mode, ast.Constant) and isinstance(mode.value, str)]
        return any(set(word) <= set("rwxabt+") and set(word) & set("wxa+") for word in words)
    return name in ("rmtree", "copyfile", "copy2", "move")
