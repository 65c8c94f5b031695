"""A journal survives any cut, and detection goes on from it as if nothing had happened."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rscovlm.engines import Conversation, Reply
from rscovlm.rasters import open_image
from rscovlm.tasks import detect
from rscovlm.zoom.journal import Journal
from tests.tasks.test_detection import CLASSES, Painted, painted_scene
from tests.zoom.scripted import Scripted

ROWS: list[dict[str, Any]] = [{"id": "a", "text": "é\u2028"}, {"id": "b"}, {"id": "c", "numbers": [0.1, 1e-300]}]


def test_a_journal_cut_at_any_byte_keeps_every_whole_row(tmp_path: Path) -> None:
    with Journal(tmp_path / "whole.jsonl", {"task": "x"}) as journal:
        journal.append(ROWS)
    data = (tmp_path / "whole.jsonl").read_bytes()
    ends = [place + 1 for place, byte in enumerate(data) if byte == 10]
    for cut in range(len(data) + 1):
        path = tmp_path / "cut.jsonl"
        path.write_bytes(data[:cut])
        with Journal(path, {"task": "x"}) as journal:
            whole = sum(end <= cut for end in ends)
            assert list(journal) == ROWS[: max(0, whole - 1)]
            assert journal.dropped == cut - max([0, *(end for end in ends if end <= cut)])
            journal.append([{"id": "new"}])
            assert list(journal)[-1] == {"id": "new"}


def test_rows_are_found_again_at_the_bytes_where_they_begin(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.jsonl", {"task": "x"}) as journal:
        assert list(journal.placed()) == []
        journal.append(ROWS)
        found = list(journal.placed())
    assert [row for _, row in found] == ROWS
    data = (tmp_path / "j.jsonl").read_bytes()
    assert [json.loads(data[place : data.index(b"\n", place)]) for place, _ in found] == ROWS


def test_other_settings_and_damage_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    Journal(path, {"task": "x", "tile": 3}).close()
    with pytest.raises(ValueError, match=r"other settings \(tile\)"):
        Journal(path, {"task": "x", "tile": 4})
    path.write_text('{"written_by":"urn:rscovlm:rows","settings":{}}\nnot json\n{}\n')
    with pytest.raises(ValueError, match="line 2"):
        list(Journal(path, {}))


class Failing(Painted):
    """Gives up after some replies, as an interrupted run does."""

    def __init__(self, left: int) -> None:
        super().__init__()
        self.left = left

    def generate(self, conversations: Sequence[Conversation], **options: Any) -> list[Reply]:
        self.left -= len(conversations)
        if self.left < 0:
            raise KeyboardInterrupt
        return super().generate(conversations, **options)


def test_interrupted_and_resumed_detection_gives_the_same(tmp_path: Path) -> None:
    image, _ = painted_scene(1100, 900, 24, seed=5)
    options: dict[str, Any] = {"tile": 256, "overlap": 100, "batch": 3}
    plain = detect(Painted(), image, CLASSES, **options)
    path = tmp_path / "tiles.jsonl"
    runs = 0
    while True:
        engine = Failing(7)
        try:
            resumed = detect(engine, image, CLASSES, journal=path, **options)
            break
        except KeyboardInterrupt:
            runs += 1
            with path.open("ab") as torn:  # a kill in the middle of a write
                torn.write(b'{"window":[0,0,')
    assert runs == (len(plain.tiles) - 1) // 6
    assert resumed.objects == plain.objects
    assert resumed.frame == plain.frame
    assert (resumed.problems, resumed.merged) == (plain.problems, plain.merged)
    assert [(tile.window, tile.found, tile.tokens) for tile in resumed.tiles] == [
        (tile.window, tile.found, tile.tokens) for tile in plain.tiles
    ]
    again = Failing(0)
    assert detect(again, image, CLASSES, journal=path, **options).objects == plain.objects
    with pytest.raises(ValueError, match="other settings"):
        detect(Painted(), image, ["plane"], journal=path, **options)


def test_scores_and_skipped_tiles_come_back(tmp_path: Path) -> None:
    said = "10,10,40,40,20,60,5,50 ship\n"
    reply = Reply(said, 1, 0.1, "stop", [-0.3], [said])
    image = Image.new("RGB", (100, 100))
    for skip in (None, lambda picture: True):
        path = tmp_path / f"{skip is None}.jsonl"
        runs = [
            detect(Scripted(lambda *_: reply), image, ["ship"], confidence=True, skip=skip, journal=path)
            for _ in range(2)
        ]
        assert runs[0].objects == runs[1].objects
        assert runs[0].problems == runs[1].problems
        assert runs[0].tiles == runs[1].tiles


def test_a_journal_of_an_image_of_the_same_name_is_refused(tmp_path: Path) -> None:
    """Bands and mosaics are often called alike: scene1/red.png, scene2/red.png."""
    pictures = [painted_scene(300, 260, 6, seed=seed)[0] for seed in (1, 2)]
    for number, picture in enumerate(pictures):
        (tmp_path / str(number)).mkdir()
        Image.fromarray(np.asarray(picture)).save(tmp_path / str(number) / "scene.png")
    sources: list[Any] = [tmp_path / "0" / "scene.png", tmp_path / "1" / "scene.png"]
    for first, second in (sources, [path.read_bytes() for path in sources], [np.asarray(one) for one in pictures]):
        journal = tmp_path / "tiles.jsonl"
        found = detect(Painted(), first, CLASSES, journal=journal)
        assert detect(Failing(0), first, CLASSES, journal=journal).objects == found.objects
        with pytest.raises(ValueError, match=r"other settings \(content\)"):
            detect(Painted(), second, CLASSES, journal=journal)
        journal.unlink()


def test_a_journal_of_an_image_that_was_changed_anywhere_is_refused(tmp_path: Path) -> None:
    """One byte is enough, wherever it lies; the size of the file stays."""
    picture = np.random.default_rng(0).integers(0, 255, (500, 500, 3), np.uint8)
    changed = picture.copy()
    changed[120, 300] ^= 1
    for name, pixels in (("a.bmp", picture), ("b.bmp", changed)):
        Image.fromarray(pixels).save(tmp_path / name)
    data = [(tmp_path / name).read_bytes() for name in ("a.bmp", "b.bmp")]
    pairs: list[Sequence[Any]] = [
        data,
        (picture, changed),
        (Image.fromarray(picture), Image.fromarray(changed)),
        (np.ma.masked_less(picture, 1), np.ma.masked_less(picture, 2)),
    ]
    for pair in pairs:
        first, again, second = (open_image(one).digest() for one in (pair[0], pair[0], pair[1]))
        assert first == again != second
    path, journal = tmp_path / "scene.bmp", tmp_path / "tiles.jsonl"
    path.write_bytes(data[0])
    detect(Painted(), path, CLASSES, journal=journal)
    path.write_bytes(data[1])
    with pytest.raises(ValueError, match=r"other settings \(content\)"):
        detect(Painted(), path, CLASSES, journal=journal)


def test_half_a_character_is_written_and_read_back(tmp_path: Path) -> None:
    with Journal(tmp_path / "a.jsonl") as journal:
        journal.append([{"text": "half \ud800 a character, é"}])
        assert list(journal) == [{"text": "half \ud800 a character, é"}]
