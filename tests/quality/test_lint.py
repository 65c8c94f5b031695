"""Lint finds each fault that is planted, names its place, and is silent on a sound set."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from rscovlm.data.sources import convert
from rscovlm.quality.findings import CHECKS
from rscovlm.quality.fingerprints import fingerprint, near_pairs
from rscovlm.quality.lint import box_faults, lint
from rscovlm.quality.lint_page import write_page
from rscovlm.quality.lint_pictures import draw_worst
from rscovlm.records.record import Annotation, ImageRef, Record
from tests.shared_data import shared

SIZE = ImageRef("x.png", width=100, height=80)


def _picture(seed: int, size: tuple[int, int] = (96, 64)) -> Image.Image:
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
    return coarse.resize(size, Image.Resampling.BICUBIC)


def _saved(root: Path, name: str, picture: Image.Image) -> ImageRef:
    picture.save(root / name)
    return ImageRef(name, width=picture.width, height=picture.height)


def _detection(
    number: int, image: ImageRef, split: str = "train", *boxes: Annotation, names: tuple[str, ...] = ("ship",)
) -> Record:
    return Record(str(number), "made", split, "detection", (image,), objects=boxes, categories=names)


@pytest.mark.parametrize(
    ("values", "check"),
    [
        (((0, 0, 100, 80), "hbb"), None),
        (((-0.4, 10, 100.5, 20), "hbb"), None),
        (((90, 10, 104, 20), "hbb"), "box outside"),
        (((120, 10, 140, 20), "hbb"), "box far outside"),
        (((10, 10, 900, 20), "hbb"), "box far outside"),
        (((20, 10, 10, 20), "hbb"), "box inverted"),
        (((10, 10, 10, 20), "hbb"), "box inverted"),
        (((50, 40, 20, 10, 45), "obb"), None),
        (((50, 40, 20, 0, 45), "obb"), "box inverted"),
        (((98, 40, 20, 10, 0), "obb"), "box outside"),
        (((1, 1, 9, 1, 9, 9, 1, 9), "quad"), None),
        (((1, 1, 9, 9, 1, 1, 9, 9), "quad"), "box inverted"),
        (((5, 5, 5, 5, 5, 5, 5, 5), "quad"), "box inverted"),
    ],
)
def test_faults_of_one_box(values: Any, check: str | None) -> None:
    found = [fault[0] for fault in box_faults(Annotation(values[0], "x", values[1]), SIZE)]
    assert found == ([check] if check else [])


def test_a_sound_set_is_silent(tmp_path: Path) -> None:
    rows = []
    for i in range(30):
        image = _saved(tmp_path, f"{i}.png", _picture(i))
        boxes = [Annotation((2, 2, 90 - i, 60), "ship", "hbb"), Annotation((30, 20, 20, 10, i), "ship", "obb")]
        rows.append(_detection(i, image, "val" if i % 3 == 0 else "train", *boxes))
    report = lint(rows, tmp_path)
    assert not report.counts
    assert (report.records, report.images, report.errors) == (30, 30, 0)
    assert report.table() == "30 records, 30 images: 0 errors, 0 warnings"


def test_every_planted_fault_is_found(tmp_path: Path) -> None:
    pictures = [_saved(tmp_path, f"{i}.png", _picture(i)) for i in range(6)]
    twin = _saved(tmp_path, "twin.png", _picture(0))
    brighter = Image.fromarray(np.clip(np.asarray(_picture(1), float) * 1.1 + 3, 0, 255).astype(np.uint8))
    brighter.resize((80, 60)).save(tmp_path / "near.jpg", quality=80)
    (tmp_path / "broken.png").write_bytes(b"no image")
    tiles = [_saved(tmp_path, f"P7__512__{x}___0.png", _picture(50 + x)) for x in range(2)]
    good = Annotation((2, 2, 20, 20), "ship", "hbb")
    rows = [
        _detection(0, pictures[0], "train", Annotation((2, 2, 120, 20), "ship", "hbb")),
        _detection(1, pictures[1], "train", Annotation((20, 2, 2, 20), "ship", "hbb")),
        _detection(2, twin, "val", good),
        _detection(3, ImageRef("near.jpg", width=80, height=60), "train", good),
        _detection(4, ImageRef("broken.png", width=50, height=50), "train", good),
        _detection(5, ImageRef("absent.png", width=50, height=50), "train", good),
        _detection(6, replace(pictures[2], width=50), "train", good),
        _detection(7, pictures[3], "train", Annotation((200, 200, 300, 300), "ship", "hbb")),
        _detection(7, pictures[4], "train", good, names=("Ship", "ships", "tennis-court", "TennisCourt")),
        _detection(8, tiles[0], "train", good),
        _detection(9, tiles[1], "test", good),
        Record("10", "made", "train", "vqa", (pictures[5],), question="How many?", answer="2"),
        Record("11", "made", "train", "vqa", (pictures[5],), question="How many?", answer="3"),
        Record("12", "made", "train", "vqa", (pictures[5],), question="Which?", answer=" "),
        Record("13", "made", "val", "vqa", (pictures[5],), question="Which?", answer="A"),
    ]
    report = lint(rows, tmp_path)
    assert report.counts == {
        "box outside": 1,
        "box far outside": 1,
        "box inverted": 1,
        "content": 1,
        "repeated id": 1,
        "missing file": 1,
        "unreadable image": 1,
        "size": 1,
        "near image": 1,
        "leak": 2,
        "parent leak": 1,
        "class names": 2,
        "conflicting answers": 2,
    }
    assert "made/train/5" in report.worst("missing file")[0].place
    assert report.worst("near image")[0].others == ("made/train/1",)
    pictures_of_worst = draw_worst(report, tmp_path, tmp_path / "out")
    assert {path.name for path in pictures_of_worst} >= {
        "box-inverted-1.png",
        "box-far-outside-1.png",
        "leak-1.png",
        "near-image-1.png",
    }
    outside = np.asarray(Image.open(tmp_path / "out" / "box-outside-1.png"))
    assert (np.all(outside == (255, 40, 40), axis=2)).any()
    report.write(tmp_path / "out" / "lint.json")
    written = json.loads((tmp_path / "out" / "lint.json").read_text())
    assert (
        written["errors"]
        == report.errors
        == sum(n for check, n in report.counts.items() if CHECKS[check][0] == "error")
    )
    assert sum(check["count"] for check in written["checks"].values()) == report.counts.total()
    write_page(report, tmp_path, tmp_path / "out" / "lint.html")
    page = (tmp_path / "out" / "lint.html").read_text(encoding="utf-8")
    tree = ElementTree.fromstring(re.sub(r"<meta[^>]*>|<!doctype html>", "", page))
    shown = [
        ("".join(cells[0].itertext()), cells[2].text)
        for row in tree.iter("tr")
        if len(cells := list(row.iter("td"))) == 4
    ]
    assert dict(shown) == {check: str(count) for check, count in report.counts.items()}
    # As many pictures as are beside it, none from elsewhere, and every kept place by name.
    sources = [image.attrib["src"] for image in tree.iter("img")]
    assert len(sources) == len(pictures_of_worst) and all(one.startswith("data:image/png;base64,") for one in sources)
    assert "http" not in page and "<script" not in page
    text = " ".join(tree.itertext())
    assert all(one.place in text and one.detail in text for check in report.counts for one in report.worst(check))


def test_the_page_writes_names_as_text_and_says_where_nothing_failed(tmp_path: Path) -> None:
    hostile = Record("<b>1</b>", "made", "train", "vqa", (), question="Q?", answer=" ")
    write_page(lint([hostile]), None, tmp_path / "a.html")
    assert (
        "&lt;b&gt;1&lt;/b&gt;" in (tmp_path / "a.html").read_text() and "<img" not in (tmp_path / "a.html").read_text()
    )
    write_page(lint([]), None, tmp_path / "a.html")
    assert "No check failed." in (tmp_path / "a.html").read_text()
    (tmp_path / "mine.html").write_text("mine")
    with pytest.raises(ValueError, match=r"mine\.html"):
        write_page(lint([]), None, tmp_path / "mine.html")


@pytest.mark.parametrize(("unit", "silent"), [(1, False), (100, False), (1000, False), (0, True), (-10, False)])
def test_scales_that_are_no_pixels(unit: int, silent: bool) -> None:
    rng = np.random.default_rng(3)
    rows = []
    for i in range(60):
        width, height = (int(side) for side in rng.integers(400, 700, 2))
        x, y = (
            np.sort(rng.random((2, 2)), axis=1)
            * (unit if unit > 0 else 1)
            * ([[1], [1]] if unit > 0 else [[width], [height]])
        )
        box = np.round([x[0], y[0], x[1], y[1]], 4) * (10 if unit < 0 else 1)
        rows.append(
            _detection(
                i,
                ImageRef(f"{i}.png", width=width, height=height),
                "train",
                Annotation(tuple(box.tolist()), "ship", "hbb"),
            )
        )
    assert (lint(rows).counts["scale"] == 0) is silent


def test_embedded_pictures_are_compared(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    _picture(4).save(buffer, "PNG")
    first = ImageRef(data=buffer.getvalue(), width=96, height=64)
    buffer = io.BytesIO()
    _picture(4).save(buffer, "TIFF")
    second = ImageRef(data=buffer.getvalue(), width=96, height=64)
    report = lint([_detection(0, first, "train"), _detection(1, second, "test")])
    assert report.counts == {"leak": 1}
    assert len(draw_worst(report, tmp_path, tmp_path / "out")) == 1


def test_unrelated_and_flat_pictures_are_no_pairs() -> None:
    flat = [Image.new("RGB", (64, 64), (30, 60, 90 + i)) for i in range(10)]
    prints = [fingerprint(picture) for picture in (*(_picture(i) for i in range(150)), *flat)]
    assert list(near_pairs(prints)) == []


@pytest.mark.parametrize("seed", range(5))
def test_pairs_do_not_depend_on_order(seed: int) -> None:
    pictures = [_picture(i) for i in range(12)] + [_picture(i).resize((50, 40)) for i in range(0, 12, 2)]
    prints = [fingerprint(picture) for picture in pictures]
    order = np.random.default_rng(seed).permutation(len(prints))
    found = {tuple(sorted((int(order[i]), int(order[j])))) for i, j in near_pairs([prints[k] for k in order])}
    assert found == {(i, 12 + i // 2) for i in range(0, 12, 2)}


def test_real_pairs_and_half_scale_copies() -> None:
    root = shared("change/levir_cd")
    records = [record for split in ("train", "test") for record in convert("levir-cd", root, split)]
    report = lint(records, root)
    assert report.errors == 0
    copy, original = shared("dota_half_scale/P1888__0.5__0___0.png"), shared("dota/P1888.png")
    images = [Image.open(path).convert("RGB") for path in (original, copy)]
    half = images[1].crop((0, 0, images[0].width // 2, images[0].height // 2))
    prints = [fingerprint(images[0]), fingerprint(half)]
    assert list(near_pairs(prints)) == [(0, 1)]
