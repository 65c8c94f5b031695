"""Records go to a Hub and come back identical, over real sockets."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from rscovlm.data.storage import read_parquet, write_parquet
from rscovlm.hub import pull_records, push_dataset
from rscovlm.hub.records import dataset_card
from rscovlm.records.names import TASKS
from rscovlm.records.record import Annotation, ImageRef, Record
from tests.data.sources.layouts import encoded
from tests.hub.loopback import serving

pytest.importorskip("datasets")


def _records() -> list[Record]:
    image = ImageRef(data=encoded(40, 30), width=40, height=30)
    ship = Annotation((1, 2, 9, 8), "ship", "hbb")
    rows = [
        Record(str(i), "made", "train", "detection", (image,), objects=(ship,) * i, categories=("ship",))
        for i in range(5)
    ]
    return [*rows, Record("q", "made", "test", "vqa", (image,), question="How many?", answer="1")]


def test_records_are_pushed_and_pulled_identical(tmp_path: Path) -> None:
    write_parquet(_records(), tmp_path / "set", shard_rows=2)
    (tmp_path / "set" / "notes.txt").write_text("stays here")
    with serving() as hub:
        address = push_dataset(
            tmp_path / "set", "me/ships", licence="cc-by-4.0", token="hf_test", endpoint=hub.address
        ).address
        assert "/datasets/me/ships/commit/" in address
        files = hub.files["me/ships"]
        assert set(files) == {
            "README.md",
            "data/test-00000-of-00001.parquet",
            *(f"data/train-0000{i}-of-00003.parquet" for i in range(3)),
        }
        pull_records("me/ships", tmp_path / "back", token="hf_test", endpoint=hub.address)
    found = {record.id: record for record in read_parquet(tmp_path / "back")}
    assert found == {record.id: record for record in _records()}
    card = files["README.md"].decode()
    head = yaml.safe_load(card.split("---")[1])
    assert head["license"] == "cc-by-4.0"
    assert head["size_categories"] == ["n<1K"]
    assert [part["split"] for part in head["configs"][0]["data_files"]] == ["test", "train"]
    assert "6 records, 6 of them with the images" in card
    everything = b"".join(files.values())
    assert b"hf_test" not in everything
    assert str(tmp_path).encode() not in everything


@pytest.mark.parametrize("task", TASKS)
def test_records_of_every_task_have_a_card(task: str) -> None:
    """Four tasks had no name on the Hub, and pushing their records ended in a KeyError."""
    card = dataset_card([Record("1", "made", "train", task)], "mine/records", "cc0-1.0")
    known = {  # of https://huggingface.co/tasks
        "image-classification",
        "image-segmentation",
        "image-text-to-text",
        "image-to-text",
        "object-detection",
        "visual-question-answering",
    }
    assert set(yaml.safe_load(card.split("---")[1])["task_categories"]) <= known


def test_the_datasets_library_streams_the_repository(tmp_path: Path) -> None:
    write_parquet(_records(), tmp_path / "set")
    script = "from datasets import load_dataset; print([row['id'] for row in load_dataset('me/ships', split='train', streaming=True)])"
    with serving() as hub:
        push_dataset(tmp_path / "set", "me/ships", licence="other", token="hf_test", endpoint=hub.address)
        settings = {
            "HF_ENDPOINT": hub.address,
            "HF_HOME": str(tmp_path / "home"),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "NO_PROXY": "*",
        }
        result = subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            timeout=900,
            env={**os.environ, **settings},
            check=False,
        )
    assert result.stdout.strip() == str([str(i) for i in range(5)]), result.stderr[-2000:] + chr(10).join(
        hub.visits[-12:]
    )


def test_a_repository_without_records_says_so(tmp_path: Path) -> None:
    with serving() as hub:
        hub.files["me/other"] = {"README.md": b"# other"}
        with pytest.raises(FileNotFoundError, match="does not hold records"):
            pull_records("me/other", tmp_path / "back", token="hf_test", endpoint=hub.address)
    with pytest.raises(FileNotFoundError, match="no shards"):
        push_dataset(tmp_path, "me/none", licence="other", token="hf_test", endpoint=hub.address)


def test_names_of_records_cannot_break_the_card() -> None:
    odd = "a|b\n---\nlicense: mit"
    card = dataset_card([replace(one, source=odd) for one in _records()], "me/ships", "cc-by-4.0")
    assert yaml.safe_load(card.split("---\n")[1])["license"] == "cc-by-4.0"
    assert "| a\\|b --- license: mit | 6 |" in card.splitlines()
