"""Recorded values of what marks a record without published labels, and of the fields that are read back."""

from rscovlm.records.record import ImageRef, Record
from rscovlm.records.rows import Row
from rscovlm.records.unlabelled import is_unlabelled


def test_the_mark_of_an_unlabelled_record_is_what_files_hold() -> None:
    record = Record("1", "mine", "test", "detection", (ImageRef("a.png", width=9, height=5),))
    assert not is_unlabelled(record)
    assert is_unlabelled(Record.from_dict({**record.to_dict(), "extra": [{"key": "labels", "value": "not published"}]}))
    assert not is_unlabelled(Record.from_dict({**record.to_dict(), "extra": [{"key": "labels", "value": "published"}]}))


def test_bands_of_images_and_masks_come_back() -> None:
    image = ImageRef("a.tif", width=9, height=5, bands=(4, 3, 2))
    mask = ImageRef("m.tif", width=9, height=5, bands=(1,))
    record = Record("1", "mine", "test", "segmentation", (image,), masks=(mask,), categories=("road",))
    assert Record.from_dict(record.to_dict()) == record == Record.from_json(record.to_json())
    assert Record.from_dict(record.to_dict()).images[0].bands == (4, 3, 2)


def test_a_row_that_is_no_mapping_has_no_fields() -> None:
    assert len(Row(["a", "b"], "'row'")) == 0
    assert len(Row({"a": 1, "b": 2}, "'row'")) == 2
