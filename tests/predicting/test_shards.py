"""Four processes share a run, one is killed: nothing is lost, nothing is doubled, and the merged file is a run's own."""

import base64
import hashlib
import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from rscovlm.cli import app
from rscovlm.predicting.items import Item, find_items
from rscovlm.predicting.latest_rows import PREDICTIONS, LatestRows
from rscovlm.predicting.shards import Shard, merge_shards, parts_of
from rscovlm.zoom.journal import Journal, read_settings
from tests.engines.test_server import said, serving

IMAGES, PARTS = 48, 4


def _word(request: dict[str, Any], _: int) -> tuple[int, Any]:
    """Answer after a while with a word that depends on the picture's bytes alone."""
    time.sleep(0.1)
    url = re.search(r"data:image/\w+;base64,([A-Za-z0-9+/=]+)", json.dumps(request))
    assert url is not None
    return said(hashlib.sha256(base64.b64decode(url[1])).hexdigest()[:12])


def _command(folder: Path, address: str, shard: str | None) -> list[str]:
    words = ["predict", str(folder / "in"), "--task", "caption", "--out", str(folder / "all.jsonl"), "--batch", "2"]
    words += ["--server", address, "--model", "words", *(["--shard", shard] if shard else [])]
    return [sys.executable, "-m", "rscovlm", *words]


def _wait_for_rows(path: Path, process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + 180
    while not path.exists() or path.read_bytes().count(b"\n") < 3:
        assert process.poll() is None and time.monotonic() < end, "the process ended before it could be killed"
        time.sleep(0.01)


def test_a_killed_process_of_four_loses_and_doubles_nothing(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    rng = np.random.default_rng(0)
    for number in range(IMAGES):
        Image.fromarray(rng.integers(0, 255, (56, 56, 3), dtype=np.uint8)).save(tmp_path / f"in/{number:03}.png")
    shards = [Shard(number, PARTS) for number in range(1, PARTS + 1)]
    files = [shard.out(tmp_path / "all.jsonl") for shard in shards]
    with serving(_word, _word) as servers:
        addresses = [servers[k % 2].address for k in range(PARTS)]
        commands = [_command(tmp_path, address, f"{k + 1}/{PARTS}") for k, address in enumerate(addresses)]
        running = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for command in commands]
        _wait_for_rows(files[1], running[1])
        running[1].kill()
        assert [process.wait(timeout=300) for process in running] == [0, -signal.SIGKILL, 0, 0]
        before = files[1].read_bytes()
        whole = before[: before.rfind(b"\n") + 1]
        assert 0 < len(LatestRows(files[1])) < len(shards[1].of(find_items([tmp_path / "in"])))
        # The same line again takes up what the killed one left.
        assert subprocess.run(commands[1], check=False, timeout=300).returncode == 0
        assert files[1].read_bytes().startswith(whole)
        asked = sum(len(server.requests) for server in servers)
        assert asked <= IMAGES + 2  # at most the batch that was under way is asked again
        assert CliRunner().invoke(app, ["merge", str(tmp_path / "all.jsonl")]).exit_code == 0
        rows = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()[1:]]
        assert Counter(row["id"] for row in rows) == Counter(f"{number:03}.png" for number in range(IMAGES))
        # To the unsharded command the merged file is its own, with nothing left to ask.
        done = subprocess.run(_command(tmp_path, addresses[0], None), capture_output=True, text=True, check=True)
        assert f"0 done, {IMAGES} before, 0 errors" in done.stdout
        assert sum(len(server.requests) for server in servers) == asked
        alone = tmp_path / "alone.jsonl"
        command = _command(tmp_path, addresses[1], None)
        command[command.index(str(tmp_path / "all.jsonl"))] = str(alone)
        assert subprocess.run(command, check=False, timeout=300).returncode == 0
    assert dict(LatestRows(alone)) == {row["id"]: row for row in rows}


def test_every_item_is_in_one_shard_and_shards_are_even() -> None:
    items = [Item(f"tile_{number}\ud800.tif", Path("a.tif")) for number in range(20_000)]
    for count in (1, 3, 7, 64):
        shards = [Shard(number, count).of(items) for number in range(1, count + 1)]
        assert Counter(item.id for shard in shards for item in shard) == Counter(item.id for item in items)
        sizes = np.array([len(shard) for shard in shards])
        assert np.abs(sizes - len(items) / count).max() < 6 * np.sqrt(len(items) / count)
        # Other items beside it do not change where an item goes.
        assert {item.id for item in shards[0]} >= {item.id for item in Shard(1, count).of(items[::3])}


@pytest.mark.parametrize("text", ["0/4", "5/4", "1/0", "-1/4", "1", "1/4/2", "a/b", "", "1/99999999", "١/٤"])
def test_shards_that_do_not_exist_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="shard"):
        Shard.parse(text)


def _part(path: Path, rows: list[dict[str, Any]], **settings: Any) -> Path:
    with Journal(path, {"task": "ask", **settings}, kind=PREDICTIONS) as journal:
        journal.append(rows)
    return path


def test_merging_takes_the_rows_that_count(tmp_path: Path) -> None:
    first = _part(
        tmp_path / "a.jsonl", [{"id": "x", "error": "e"}, {"id": "x", "answer": "1"}, {"id": "y", "answer": "1"}]
    )
    second = _part(
        tmp_path / "b.jsonl", [{"id": "y", "error": "e"}, {"id": "z", "error": "e"}, {"id": "x", "answer": "2"}]
    )
    with second.open("ab") as file:
        file.write(b'{"id":"torn","ans')
    counts = merge_shards([first, second], tmp_path / "all.jsonl")
    assert counts == {"rows": 3, "errors": 1, "doubled": 2}
    assert {name: row.get("answer") for name, row in LatestRows(tmp_path / "all.jsonl").items()} == {
        "y": "1",
        "x": "2",
        "z": None,
    }
    assert read_settings(tmp_path / "all.jsonl", kind=PREDICTIONS) == {"task": "ask"}
    with pytest.raises(ValueError, match="exists already"):
        merge_shards([first], tmp_path / "all.jsonl")


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    out = tmp_path / "all.jsonl"
    first, other = _part(tmp_path / "a.jsonl", []), _part(tmp_path / "b.jsonl", [], checkpoint="another")
    with pytest.raises(ValueError, match=r"another checkpoint than"):
        merge_shards([first, other], out)
    (tmp_path / "notes.jsonl").write_text('{"id": "mine"}\n')
    with pytest.raises(ValueError, match="does not begin with"):
        merge_shards([first, tmp_path / "notes.jsonl"], out)
    with Journal(first, {"task": "ask"}, kind=PREDICTIONS), pytest.raises(ValueError, match="another process"):
        merge_shards([first], out)
    with pytest.raises(ValueError, match="no shard"):
        parts_of(out)
    _part(tmp_path / "all.1-of-3.jsonl", [])
    _part(tmp_path / "all.3-of-3.jsonl", [])
    with pytest.raises(ValueError, match=r"1 shards have no file yet, the first all\.2-of-3\.jsonl"):
        parts_of(out)
    _part(tmp_path / "all.2-of-3.jsonl", [])
    assert [path.name for path in parts_of(out)] == [f"all.{k}-of-3.jsonl" for k in (1, 2, 3)]
    _part(tmp_path / "all.1-of-2.jsonl", [])
    with pytest.raises(ValueError, match="of 2 and of 3 shards"):
        parts_of(out)
    assert not out.exists() and not list(tmp_path.glob(".*"))


def test_two_mergers_may_read_at_once_or_are_refused(tmp_path: Path) -> None:
    """The lock that says that nobody writes does not outlive the merger."""
    part = _part(tmp_path / "a.jsonl", [{"id": str(number)} for number in range(2000)])
    results: list[object] = []

    def work(number: int) -> None:
        try:
            results.append(merge_shards([part], tmp_path / f"{number}.jsonl")["rows"])
        except ValueError as error:
            results.append(str(error))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 2000 in results and all(one == 2000 or "another process" in str(one) for one in results)
    assert merge_shards([part], tmp_path / "again.jsonl")["rows"] == 2000
