"""Class folders and pairs of images, and the table of all sources."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rscovlm.data.sources import Folder, convert, registry, source, sources
from rscovlm.records import Record
from rscovlm.records.names import TASKS
from rscovlm.records.tally import Tally
from tests.data.sources.layouts import picture, read, text
from tests.shared_data import shared


@pytest.mark.parametrize(
    ("name", "place", "ending"),
    [
        ("aid", "AID/", "jpg"),
        ("ucmerced", "UCMerced_LandUse/Images/", "tif"),
        ("nwpu-resisc45", "NWPU-RESISC45/", "jpg"),
        ("whu-rs19", "WHU-RS19/", "jpg"),
        ("aid", "", "jpg"),
        ("aid", "train/", "jpg"),
    ],
)
def test_folders_are_classes(tmp_path: Path, name: str, place: str, ending: str) -> None:
    for folder in ("BaseballField", "dense_residential"):
        picture(tmp_path, f"{place}{folder}/{folder}_1.{ending}", 60, 50)
    text(tmp_path, f"{place}BaseballField/Thumbs.db", "not a picture")
    first, second = read(name, tmp_path)[0]
    assert (first.classes, second.classes) == (("baseball field",), ("dense residential",))
    assert first.categories == ("baseball field", "dense residential")
    assert (first.images[0].width, first.images[0].height) == (60, 50)


def test_meter_ml_reads_its_table_or_folders(tmp_path: Path) -> None:
    picture(tmp_path, "val_images/s1/naip.png")
    feature = {"type": "Feature", "properties": {"Type": "WWTreatment", "Image_Folder": "val_images/s1"}}
    text(tmp_path, "val_dataset.geojson", {"type": "FeatureCollection", "features": [feature]})
    (record,), _ = read("meter-ml", tmp_path, "val")
    assert record.classes[0] in record.categories
    picture(tmp_path, "test/Mines/a.png")
    (record,), _ = read("meter-ml", tmp_path, "test")
    assert record.classes == ("mines",)


def test_unreadable_pictures_are_counted(tmp_path: Path) -> None:
    for number in range(9):
        picture(tmp_path, f"AID/Airport/{number}.jpg")
    text(tmp_path, "AID/Airport/broken.jpg", "not a picture")
    rows, tally = read("aid", tmp_path, limit=0.1)
    assert len(rows) == 9
    assert tally.dropped == {"unreadable image": 1}
    with pytest.raises(ValueError, match=r"(?s)10\.00% of the rows.*broken\.jpg"):
        read("aid", tmp_path, limit=0.05)


@pytest.mark.parametrize("flat", [True, False])
def test_levir_cd_pairs(tmp_path: Path, flat: bool) -> None:
    for split in ("train", "test"):
        for part in ("A", "B", "label"):
            picture(tmp_path, f"{part}/{split}_1.png" if flat else f"{split}/{part}/{split}_1.png")
    picture(tmp_path, "A/test_2.png" if flat else "test/A/test_2.png")
    (record,), tally = read("levir-cd", tmp_path, "test", limit=0.5)
    assert [image.path.split("/")[-2] for image in record.images] == ["A", "B"]
    assert record.masks[0].path.endswith("label/test_1.png")
    assert tally.dropped == {"missing file": 1}


def test_real_levir_pairs() -> None:
    root = shared("change/levir_cd")
    rows = read("levir-cd", root, "test")[0] + read("levir-cd", root, "train")[0]
    assert len(rows) == 6
    for row in rows:
        mask = np.asarray(Image.open(root / row.masks[0].path))
        assert mask.shape[:2] == (row.images[0].height, row.images[1].width) == (256, 256)


@pytest.mark.parametrize("masks", [True, False])
def test_levir_mci_sentences(tmp_path: Path, masks: bool) -> None:
    for part in ("A", "B", *(["label"] if masks else [])):
        picture(tmp_path, f"images/val/{part}/val_1.png")
    sentences = [{"raw": f" sentence {i} .", "tokens": []} for i in range(5)]
    row = {"filename": "val_1.png", "filepath": "val", "split": "val", "changeflag": 1, "sentences": sentences}
    text(tmp_path, "LevirCCcaptions.json", {"images": [row, row | {"split": "train", "filename": "train_1.png"}]})
    (record,), _ = read("levir-mci", tmp_path, "val")
    assert record.captions == tuple(f"sentence {i} ." for i in range(5))
    assert bool(record.masks) is masks


def test_every_source_documents_itself() -> None:
    table = sources()
    wanted = """aid chat coco dior dior-r dota-v1.0 dota-v1.5 dota-v2.0 fair1m geochat geojson georeferenced hrsc2016 levir-cd levir-mci llava-onevision lrs-vqa
    lrs-vqa-zoom meter-ml mme-realworld-rs nwpu-resisc45 refgeo rsar rsvqa-hr rsvqa-lr srsdd teochatlas-fmow teochatlas-geochat
    teochatlas-qfabric teochatlas-s2looking teochatlas-xbd ucmerced vhm vrsbench vrsbench-objects whu-rs19 xlrs-bench yolo-obb
    rrsis-d refsegrs earthreason risbench loveda isaid deepglobe-roads remotecontour-34k mtrefseg"""
    assert set(wanted.split()) <= set(table)
    for name, entry in table.items():
        assert entry.name == name
        assert entry.splits
        assert entry.licence
        assert set(entry.tasks) <= set(TASKS)
        assert len(entry.layout) > 20


def test_unknown_names_splits_and_folders_say_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown; known are aid"):
        convert("atlantis", tmp_path)
    with pytest.raises(ValueError, match="did you mean 'rsar'"):
        convert("rsra", tmp_path)
    with pytest.raises(ValueError, match="no split 'test'; use one of train, val"):
        convert("vrsbench", tmp_path, "test")
    with pytest.raises(FileNotFoundError, match="unpacked"):
        convert("aid", tmp_path / "absent")
    for name, entry in sources().items():
        with pytest.raises(FileNotFoundError):
            list(convert(name, tmp_path, entry.splits[0]))


def test_ones_own_source_takes_five_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_SOURCES", dict(registry._SOURCES))

    @source("mine", splits=["train"], tasks=["caption"], licence="CC0", layout="images/*.png, captions.jsonl")
    def mine(folder: Folder, split: str) -> Iterator[Record]:
        for place, row in folder.items("captions.jsonl"):
            with folder.row(place):
                yield Record(
                    row["file"], "mine", split, "caption", (folder.image(row["file"]),), captions=(row["text"],)
                )

    picture(tmp_path, "images/a.png")
    text(
        tmp_path,
        "captions.jsonl",
        [{"file": "images/a.png", "text": "A port."}, {"file": "images/b.png", "text": "A field."}],
    )
    (record,), tally = read("mine", tmp_path, limit=0.5)
    assert record.captions == ("A port.",)
    assert tally.dropped == {"missing file": 1}
    with pytest.raises(ValueError, match="already read by"):
        source("aid", splits=["train"], tasks=["caption"], licence="-", layout="-")(mine)


def test_an_exhausted_tally_is_the_callers(tmp_path: Path) -> None:
    for number in range(3):
        picture(tmp_path, f"AID/Airport/{number}.jpg")
    tally = Tally()
    list(convert("aid", tmp_path, tally=tally))
    list(convert("aid", tmp_path, tally=tally))
    assert tally.kept == 6
