"""DOTA's Task 1 files: one text file per class, a line per found box."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rscovlm.files import check_output, mark, replacing, write_text
from rscovlm.metrics.detections import quads

_STAMP = (1980, 1, 1, 0, 0, 0)
_LIMIT = 1 << 30
"""Bytes of text that a zip may unpack to: no real submission comes near."""

_NO_NAME = frozenset('/\\:*?"<>|')  # what a file's name cannot hold on one system or another
_TILE = re.compile(r"__\d+(?:\.\d+)?__-?\d+___-?\d+$")
_LONGEST = 200  # bytes of a name: file systems take 255, with Task1_ and the ending


def write_task1(
    path: str | Path,
    detections: Mapping[str, Mapping[str, Any]],
    classes: Sequence[str],
    *,
    decimals: int = 2,
    score_decimals: int = 6,
    overwrite: bool = False,
) -> Path:
    """Write detections as DOTA's evaluation and its server want them.

    Args:
        path: A folder, which is made, or a file that ends in ``.zip``.
        detections: Image name -> ``boxes`` (n, 8), ``labels`` and, if there are any, ``scores`` (else 1), such as
            `merge_tiles` returns.
        classes: All classes that may occur. Each that does gets its file ``Task1_<class>.txt``; the benchmark's own program ends in
            an error at an empty one.
        decimals: Digits after the point of a coordinate.
        score_decimals: Digits after the point of a score; the peers write 2, which ties nearly all.
        overwrite: Replace files of these names; without it only a zip that this function wrote is replaced.

    Returns:
        The path.

    Raises:
        ValueError: If a label is not among `classes`, an image or class name has blanks, slashes or control characters, or boxes are
            malformed, or an image's name is that of a tile; or another file is there.
    """
    lines: dict[str, list[str]] = {_checked(name, "class"): [] for name in classes}
    for image, item in detections.items():
        _checked(image, "image")
        if _TILE.search(image):
            raise ValueError(
                f"image {image!r} has the name of a tile; join tiles with merge_tiles first, as images are scored whole"
            )
        boxes = quads(item["boxes"], f"detections[{image!r}]['boxes']")
        labels = item["labels"]
        scores = item.get("scores")
        scores = np.ones(len(boxes)) if scores is None else np.asarray(scores, dtype=np.float64)
        if not len(boxes) == len(labels) == len(scores):
            raise ValueError(f"detections[{image!r}] has {len(boxes)} boxes and {len(labels)} labels; give one each")
        for box, label, score in zip(boxes, labels, scores, strict=True):
            if label not in lines:
                raise ValueError(f"detections[{image!r}] holds {label!r}, which is not among classes {list(lines)}")
            corners = " ".join(f"{value:.{decimals}f}" for value in box)
            lines[label].append(f"{image} {score:.{score_decimals}f} {corners}\n")
    target = Path(path)
    if target.suffix == ".zip":
        with (
            replacing(target, "task1", overwrite=overwrite) as part,
            zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive,
        ):
            archive.comment = mark("task1").encode()
            for name in sorted(name for name in lines if lines[name]):
                # A fixed date: the same detections make the same bytes.
                archive.writestr(zipfile.ZipInfo(f"Task1_{name}.txt", _STAMP), "".join(lines[name]))
        return target
    target.mkdir(parents=True, exist_ok=True)
    texts = {target / f"Task1_{name}.txt": "".join(rows) for name, rows in lines.items()}
    # All are looked at before the first is written: results of two runs in one folder would be scored as one.
    for file in texts:
        check_output(file, overwrite=overwrite)
    for file, text in texts.items():
        if text:
            write_text(file, text, overwrite=overwrite)
        else:
            # An earlier run's file would be scored with this run's.
            file.unlink(missing_ok=True)
    return target


def read_task1(path: str | Path, images: Iterable[str] | None = None) -> dict[str, dict[str, Any]]:
    """Read Task 1 files.

    Args:
        path: The folder or zip.
        images: Names of all images, in order; those without a line get empty items. None takes those that occur,
            sorted.

    Returns:
        Image name -> ``boxes`` (n, 8), ``labels``, ``scores``: items of `ap_nc`.

    Raises:
        ValueError: If there is no such file, a line is malformed, or it names an image that is not among `images`.
    """
    rows: dict[str, list[tuple[list[float], str, float]]] = {} if images is None else {name: [] for name in images}
    texts = _texts(Path(path))
    if not texts:
        raise ValueError(f"{path} holds no file Task1_<class>.txt; give the folder or zip of a submission")
    for label, text in sorted(texts.items()):
        for number, line in enumerate(text.splitlines(), start=1):
            if not line.strip():
                continue
            image, *fields = line.split()
            try:
                score, *corners = map(float, fields)
            except ValueError:
                score, corners = 0.0, []
            if len(corners) != 8 or not np.isfinite([score, *corners]).all():
                raise ValueError(
                    f"Task1_{label}.txt line {number} is {line!r}; expected image, score and 8 coordinates"
                )
            if images is not None and image not in rows:
                raise ValueError(f"Task1_{label}.txt line {number} names image {image!r}, which is not among images")
            rows.setdefault(image, []).append((corners, label, score))
    names = rows if images is not None else sorted(rows)
    return {
        name: {
            "boxes": np.asarray([row[0] for row in rows[name]], dtype=np.float64).reshape(-1, 8),
            "labels": [row[1] for row in rows[name]],
            "scores": np.asarray([row[2] for row in rows[name]], dtype=np.float64),
        }
        for name in names
    }


def _texts(path: Path) -> dict[str, str]:
    """Return class -> text of its file; names inside a zip are looked at without their folders, nothing is unpacked."""
    if path.is_dir():
        return {_class(file.name): file.read_text(encoding="utf-8") for file in path.glob("Task1_*.txt")}
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path} is neither a folder nor a zip; give one that holds Task1_<class>.txt")
    with zipfile.ZipFile(path) as archive:
        members = [
            member
            for member in archive.infolist()
            if Path(member.filename).name.startswith("Task1_") and member.filename.endswith(".txt")
        ]
        if sum(member.file_size for member in members) > _LIMIT:
            raise ValueError(f"{path} unpacks to more than {_LIMIT} bytes; that is no Task 1 submission")
        return {_class(Path(member.filename).name): archive.read(member).decode("utf-8") for member in members}


def _class(name: str) -> str:
    return name.removeprefix("Task1_").removesuffix(".txt")


def _checked(name: str, what: str) -> str:
    # A class is part of a file's name; an image stands in a line, and its name is a file's elsewhere.
    if not name or any(sign.isspace() or not sign.isprintable() or sign in _NO_NAME for sign in name):
        raise ValueError(
            f"{what} name {name!r} cannot stand in a Task 1 file; use one of letters, digits, '-', '_', '.' and the like, "
            "without blanks, slashes, colons and control characters"
        )
    if len(name.encode()) > _LONGEST:
        raise ValueError(f"{what} name {name[:40]!r}... has more than {_LONGEST} bytes; use a shorter one")
    return name
