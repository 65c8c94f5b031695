"""Data of a benchmark pushed to a loopback Hub and evaluated from it."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rscovlm.benchmarks.hub_data import data_folder
from rscovlm.benchmarks.items import load_items
from rscovlm.benchmarks.suite import load_suite
from rscovlm.data.sources import convert
from rscovlm.data.storage import embedded, write_parquet
from rscovlm.hub import push_dataset
from tests.benchmarks.stand_ins import write_lrs_vqa
from tests.hub.loopback import serving

pytest.importorskip("pyarrow")


def test_records_of_the_hub_are_the_same_items(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_lrs_vqa(tmp_path / "data/lrs-vqa", np.random.default_rng(0), 2)
    suite = load_suite("lrs-vqa")
    root = tmp_path / "data/lrs-vqa"
    write_parquet((embedded(record, root) for record in convert("lrs-vqa", root, "test")), tmp_path / "set")
    monkeypatch.setattr("huggingface_hub.constants.HF_HOME", str(tmp_path / "home"))
    with serving() as hub:
        push_dataset(tmp_path / "set", "me/lrs", licence="other", token="hf_test", endpoint=hub.address)
        found = data_folder("me/lrs", endpoint=hub.address, token="hf_test")
        fetched = len(hub.visits)
        again = data_folder("me/lrs@main", endpoint=hub.address, token="hf_test")
        assert not any(".parquet" in visit for visit in hub.visits[fetched:])
        with pytest.raises(FileNotFoundError, match="me/none"):
            data_folder("me/none", endpoint=hub.address, token="hf_test")
    assert again == found and found.is_relative_to(tmp_path / "home")
    mine, theirs = load_items(suite, tmp_path / "data"), load_items(suite, found)
    assert [item.id for item in theirs] == [item.id for item in mine]
    assert [item.column for item in theirs] == [item.column for item in mine]
    assert [item.record.answer for item in theirs] == [item.record.answer for item in mine]


def test_shards_that_begin_together_fetch_once(tmp_path: Path) -> None:
    root = tmp_path / "lrs"
    write_lrs_vqa(root, np.random.default_rng(0), 2)
    write_parquet((embedded(record, root) for record in convert("lrs-vqa", root, "test")), tmp_path / "set")
    script = "import sys; from rscovlm.benchmarks.hub_data import data_folder; print(data_folder('me/lrs', endpoint=sys.argv[1], token='hf_test'))"
    with serving() as hub:
        push_dataset(tmp_path / "set", "me/lrs", licence="other", token="hf_test", endpoint=hub.address)
        began = len(hub.visits)
        command = [sys.executable, "-c", script, hub.address]
        environment = {**os.environ, "HF_HOME": str(tmp_path / "home")}
        ran = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(3)]
        found = [one.communicate(timeout=120)[0].strip() for one in ran]
        fetched = [visit for visit in hub.visits[began:] if visit.startswith("GET") and "test-00000" in visit]
    assert [one.returncode for one in ran] == [0, 0, 0]
    assert len(set(found)) == 1 and len(load_items(load_suite("lrs-vqa"), Path(found[0]))) == 12
    assert len(fetched) == 1


def test_a_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    assert data_folder(tmp_path) == tmp_path
    assert data_folder("/no/such/folder") == Path("/no/such/folder")
