"""Stored fingerprints give the report that reading gives, and only what is new or changed is read."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rscovlm.quality import stored_prints
from rscovlm.quality.fingerprints import Print, fingerprint
from rscovlm.quality.lint import lint
from rscovlm.quality.stored_prints import StoredPrints
from rscovlm.records import ImageRef, Record


def _records(root: Path, count: int = 12) -> list[Record]:
    """Pictures of which every third looks like the first; the last two are a window and inside of its record."""
    rng = np.random.default_rng(0)
    base = rng.integers(0, 255, (12, 16, 3), dtype=np.uint8)
    images = []
    for number in range(count):
        pixels = base if number % 3 == 0 else rng.integers(0, 255, (12, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((96, 72)).save(root / f"{number}.png")
        images.append(ImageRef(f"{number}.png"))
    images.append(ImageRef(parent="1.png", window=(0, 0, 60, 50)))
    images.append(ImageRef(data=(root / "2.png").read_bytes()))
    splits = ("train", "test")
    return [Record(str(k), "made", splits[k % 2], "caption", (image,), answer="a") for k, image in enumerate(images)]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One number for every picture whose fingerprint is taken."""
    taken: list[int] = []

    def counted(picture: Image.Image) -> Print:
        taken.append(1)
        return fingerprint(picture)

    monkeypatch.setattr(stored_prints, "fingerprint", counted)
    return taken


def test_a_second_run_reads_nothing_and_finds_the_same(tmp_path: Path, read: list[int]) -> None:
    records = _records(tmp_path)
    report = lint(records, tmp_path, crops=False)
    plain = report.to_dict()
    assert report.counts["leak"] >= 2
    for expected in (len(records), 0):
        read.clear()
        seen: list[int] = []
        with StoredPrints(tmp_path / "looks.jsonl") as looks:
            found = lint(records, tmp_path, crops=False, looks=looks, progress=seen.append)
        assert found.to_dict() == plain and len(read) == expected
        assert seen == list(range(1, len(records) + 1))


def test_an_interrupted_run_resumes_and_changed_pictures_are_read_again(
    tmp_path: Path, read: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    records, path = _records(tmp_path), tmp_path / "looks.jsonl"
    monkeypatch.setattr(stored_prints, "TOGETHER", 4)
    killed = StoredPrints(path)  # never closed in good order
    lint(records[:10], tmp_path, crops=False, looks=killed)
    killed._journal.close()
    with path.open("ab") as file:
        file.write(b'{"id":"torn')
    read.clear()
    os.utime(tmp_path / "0.png", ns=(1, 1))
    with StoredPrints(path) as looks:
        found = lint(records, tmp_path, crops=False, looks=looks)
    assert len(read) == len(records) - 8 + 1
    assert found.to_dict() == lint(records, tmp_path, crops=False).to_dict()


@pytest.mark.parametrize("change", [{"look": "AAAA"}, {"fine": 3}, {"bits": "x"}, {"look": None}])
def test_damaged_lines_are_read_again(change: dict[str, object], tmp_path: Path, read: list[int]) -> None:
    records, path = _records(tmp_path, 3), tmp_path / "looks.jsonl"
    with StoredPrints(path) as looks:
        lint(records, tmp_path, crops=False, looks=looks)
    head, *lines = path.read_text().splitlines()
    path.write_text("\n".join([head, json.dumps({**json.loads(lines[0]), **change}), *lines[1:]]) + "\n")
    read.clear()
    with StoredPrints(path) as looks:
        found = lint(records, tmp_path, crops=False, looks=looks)
    assert len(read) == 1 and found.to_dict() == lint(records, tmp_path, crops=False).to_dict()


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text("{}\n")
    with pytest.raises(ValueError, match="left as it is"):
        StoredPrints(tmp_path / "mine.jsonl")
    with StoredPrints(tmp_path / "a.jsonl"), pytest.raises(ValueError, match="another process"):
        StoredPrints(tmp_path / "a.jsonl")
