"""DOTA's label text and the data sets that share it: four corners, a class, a difficulty, one object a line."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from rscovlm.data.sources.folder import PICTURES, Folder, stem_of
from rscovlm.data.sources.registry import source
from rscovlm.records.record import Annotation, Record
from rscovlm.records.tally import Rejected
from rscovlm.records.unlabelled import NOT_PUBLISHED

DOTA = [
    "plane",
    "baseball-diamond",
    "bridge",
    "ground-track-field",
    "small-vehicle",
    "large-vehicle",
    "ship",
    "tennis-court",
    "basketball-court",
    "storage-tank",
    "soccer-ball-field",
    "roundabout",
    "harbor",
    "swimming-pool",
    "helicopter",
]
DOTA_15 = [*DOTA, "container-crane"]
DOTA_20 = [*DOTA_15, "airport", "helipad"]
SRSDD = ["Cell-Container", "Container", "Dredger", "Fishing", "LawEnforce", "ore-oil"]
RSAR = ["ship", "aircraft", "car", "tank", "bridge", "harbor"]

_HEADER = re.compile(r"\s*([A-Za-z][A-Za-z _]*?)\s*:")
_WHOLE = re.compile(r"[+-]?\d+(\.0*)?")
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?")
_FORM = "'x1 y1 x2 y2 x3 y3 x4 y4 class difficulty'"
_DOTA_LICENCE = "annotations and images for academic use only; the images are Google Earth's, GF-2's and others'"


def parse_label_txt(lines: list[str]) -> tuple[tuple[Annotation, ...], dict[str, str]]:
    """Read the lines of one image: objects, and the header's `imagesource`, `gsd` and the like, in lower case.

    A difficulty of 1 or 2 (truncated by tiling) marks an object difficult; without one it is not.

    Raises:
        ValueError: A line is neither a header nor an object.

    >>> objects, header = parse_label_txt(["gsd:0.25", "0 0 4 0 4 2 0 2 large-vehicle 1"])
    >>> objects[0].label, objects[0].difficult, header
    ('large-vehicle', True, {'gsd': '0.25'})
    """
    objects, header = [], {}
    for number, line in enumerate(lines, start=1):
        words = line.split()
        match = _HEADER.match(line)
        if match:
            header[match[1].lower()] = line[match.end() :].strip()
        elif words:
            hard = words.pop() if len(words) > 9 else "0"
            name = " ".join(words[8:])
            if not _WHOLE.fullmatch(hard) or not name or any(map(_NUMBER.fullmatch, words[8:])):
                raise Rejected("malformed label", f"line {number}, {line!r}, is not {_FORM}")
            try:
                objects.append(Annotation(tuple(map(float, words[:8])), name, "quad", difficult=float(hard) > 0))
            except ValueError as error:
                raise Rejected("malformed label", f"line {number}, {line!r}, is not {_FORM}: {error}") from None
    return tuple(objects), header


def _distance(header: Mapping[str, str]) -> float:
    """Return the ground sample distance that a header states, 0 where it states none (``null``)."""
    try:
        found = float(header.get("gsd", ""))
    except ValueError:
        return 0.0
    return found if 0 < found < math.inf else 0.0


def canonical_names(classes: Sequence[str]) -> dict[str, str]:
    """Give the classes by their spelling without case, spaces, hyphens and underscores."""
    return {_plain(name): name for name in classes}


def canonical(label: str, names: Mapping[str, str]) -> str:
    """Give the published spelling of a class name that a release spells with other case, spaces or hyphens.

    Raises:
        ValueError: It is no class of the set.
    """
    known = names.get(_plain(label))
    if known is None:
        raise Rejected("unknown class", f"class {label!r} is not one of {', '.join(names.values())}")
    return known


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]", "", name.lower())


def read_pairs(folder: Folder, name: str, split: str, labels: str, images: str, classes: list[str]) -> Iterator[Record]:
    """Yield one detection record for every label file in `labels`, with the picture of the same stem in `images`."""
    names = canonical_names(classes)
    files = folder.files(labels, ".txt")
    folder.unlabelled(images, map(stem_of, files))
    for file in files:
        with folder.row(file):
            found, header = parse_label_txt(folder.lines(file))
            objects = tuple(replace(item, label=canonical(item.label, names)) for item in found)
            stem = stem_of(file)
            image = replace(folder.picture(images, stem), gsd=_distance(header))
            yield Record(
                stem, name, split, "detection", (image,), objects=objects, categories=tuple(classes), extra=header
            )


def read_unlabelled(folder: Folder, name: str, split: str, images: str, classes: Sequence[str]) -> Iterator[Record]:
    """Yield one detection record for every picture of a split whose labels are not published; `extra` says so.

    They are there to be predicted: a record without objects would otherwise say that nothing is in the picture.
    """
    for file in folder.tree(images, *PICTURES):
        with folder.row(file):
            identity, extra = file.removeprefix(f"{images}/").rpartition(".")[0], dict(NOT_PUBLISHED)
            yield Record(
                identity, name, split, "detection", (folder.image(file),), categories=tuple(classes), extra=extra
            )


def _dota(version: str, classes: list[str]) -> None:
    name = f"dota-v{version}"

    def read(folder: Folder, split: str) -> Iterator[Record]:
        top = f"{split}/" if (folder.root / split).is_dir() else ""
        if split == "test":
            yield from read_unlabelled(folder, name, split, f"{top}images", classes)
            return
        versioned = f"{top}labelTxt-v{version}"
        labels = folder.first(
            f"{versioned}/DOTA-v{version}_{split}",
            f"{versioned}/labelTxt",
            versioned,
            f"{top}annotations/version{version}",
            *([f"{top}labelTxt", f"{top}annfiles"] if version == "1.0" else []),
        )
        yield from read_pairs(folder, name, split, labels, f"{top}images", classes)

    source(
        name,
        splits=["train", "val", "trainval", "test"],
        tasks=["detection"],
        licence=_DOTA_LICENCE,
        layout=f"""<split>/images/P0001.png; <split>/labelTxt-v{version}/P0001.txt, or below DOTA-v{version}_<split>/ in it
        (v1.0 also <split>/labelTxt/, and tiles in <split>/annfiles/). A folder that is one split
        has no <split>/. The test split's labels are not published: its records are the pictures, to be predicted.""",
        held="""published labels of ten images of v1.0; open-mmlab/mmrotate mmrotate/datasets/dota.py (annfiles of tiles);
        torchgeo/torchgeo torchgeo/datasets/dota.py (classes of the three versions, annotations/version<v>/).""",
    )(read)


for _version, _classes in (("1.0", DOTA), ("1.5", DOTA_15), ("2.0", DOTA_20)):
    _dota(_version, _classes)
