"""A folder with YOLO labels: oriented (four corners), upright (centre, size) or outlines, after the class, as shares of the sides."""

from __future__ import annotations

from collections.abc import Iterator

import yaml

from rscovlm.data.sources.folder import PICTURES, Folder
from rscovlm.data.sources.registry import source
from rscovlm.records.record import Annotation, ImageRef, Record
from rscovlm.records.rows import as_whole
from rscovlm.records.tally import Rejected


@source(
    "yolo-obb",
    splits=["train", "val", "test"],
    tasks=["detection"],
    licence="your own",
    layout="""data.yaml (or dataset.yaml, or the only .yaml of another name) with names, a list or a table, or classes.txt, one a line; images/<split>/* with labels/<split>/<stem>.txt, or
    <split>/images/* with <split>/labels/<stem>.txt; lines of
    'class x1 y1 x2 y2 x3 y3 x4 y4', 'class cx cy w h' or outlines of other lengths in shares. A picture without a label file has no
    objects. Folders in these folders are read too.""",
)
def yolo_obb(folder: Folder, split: str) -> Iterator[Record]:
    """Read one detection record a picture."""
    names = _names(folder)
    pictures = folder.first(f"images/{split}", f"{split}/images", *(["valid/images"] if split == "val" else []))
    folder_of_labels = f"labels/{split}" if pictures.startswith("images/") else f"{pictures.partition('/')[0]}/labels"
    labels = folder.by_stem(folder_of_labels, ".txt") if (folder.root / folder_of_labels).is_dir() else {}
    # A list of the classes lies beside the labels that LabelImg writes.
    labels.pop("classes", None)
    for file in folder.tree(pictures, *PICTURES):
        with folder.row(file):
            stem = file.removeprefix(f"{pictures}/").rpartition(".")[0]
            lines = folder.lines(labels.pop(stem)) if stem in labels else []
            image = folder.image(file)
            objects = tuple(
                _object(number, line, image, names) for number, line in enumerate(lines, start=1) if line.strip()
            )
            categories = tuple(names.values())
            yield Record(stem, "yolo-obb", split, "detection", (image,), objects=objects, categories=categories)
    for name in labels.values():
        folder.tally.drop("labels without a picture", name)


_MOST = 2.0
"""No share of a side is larger: objects that the image cuts reach beyond it by less than its size."""


def as_class(word: str) -> int:
    """Read a class number, written as a whole number or with decimals that are none.

    Raises:
        ValueError: It is no whole number.

    >>> as_class("3"), as_class("0.000000")
    (3, 0)
    """
    number = float(word)
    if not number.is_integer():
        raise ValueError(f"class {word!r} is no whole number")
    return int(number)


def _names(folder: Folder) -> dict[int, str]:
    file = _names_file(folder)
    lines = folder.lines(file)
    if file.endswith(".txt"):
        return dict(enumerate(line.strip() for line in lines if line.strip()))
    try:
        # Names are taken as they are written: `no` and `1` are names here.
        content = yaml.BaseLoader("\n".join(lines)).get_single_data()
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"{file} is not YAML: {error}") from error
    table = content.get("names") if isinstance(content, dict) else None
    if isinstance(table, list):
        pairs = dict(enumerate(table))
    elif isinstance(table, dict):
        pairs = {as_whole(key, f"a class number in {file}"): name for key, name in table.items()}
    else:
        raise ValueError(f"{file} has no list or table of names")
    if not pairs or not all(isinstance(name, str) and name.strip() for name in pairs.values()):
        raise ValueError(f"{file}: names {table!r} are not one name a class")
    return pairs


def _names_file(folder: Folder) -> str:
    usual = ("data.yaml", "dataset.yaml", "classes.txt")
    if any((folder.root / name).is_file() for name in usual):
        return folder.first(*usual)
    own = folder.files("", ".yaml", ".yml")
    if len(own) > 1:
        raise ValueError(f"{', '.join(own)} may each name the classes; call the one that does data.yaml")
    return own[0] if own else folder.first(*usual)


def _object(row: int, line: str, image: ImageRef, names: dict[int, str]) -> Annotation:
    words = line.split()
    try:
        values = [float(word) for word in words[1:]]
        # Label files saved from an array of numbers write the class as 0.000000.
        number = as_class(words[0])
    except ValueError as error:
        raise Rejected("malformed label", f"line {row}, {line!r}, is not a class number and shares: {error}") from error
    if number not in names:
        raise Rejected("unknown class", f"class {number} has no name in data.yaml")
    if values and max(values) > _MOST:
        raise Rejected(
            "pixels, not shares",
            f"line {row}, {line!r}, has {max(values):g} where shares of the sides are 0 to 1; divide pixels by width and height",
        )
    pixels = [share * (image.height if i % 2 else image.width) for i, share in enumerate(values)]
    if len(pixels) == 8:
        return Annotation(tuple(pixels), names[number], "quad")
    if len(pixels) == 4:
        x, y, w, h = pixels
        return Annotation((x - w / 2, y - h / 2, x + w / 2, y + h / 2), names[number], "hbb")
    if len(pixels) >= 6 and len(pixels) % 2 == 0:
        xs, ys = pixels[0::2], pixels[1::2]
        return Annotation((min(xs), min(ys), max(xs), max(ys)), names[number], "hbb", polygons=(tuple(pixels),))
    raise Rejected(
        "malformed label",
        f"line {row}, {line!r}, has {len(values)} numbers; 4 (upright), 8 (oriented) or an outline's x and y are read",
    )
