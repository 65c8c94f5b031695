"""A folder with YOLO labels: oriented (class and four corners) or upright (class, centre, size), as shares of the sides."""

from __future__ import annotations

from collections.abc import Iterator

import yaml

from rscovlm.data.records import Annotation, ImageRef, Record
from rscovlm.data.sources.folder import PICTURES, Folder
from rscovlm.data.sources.registry import source
from rscovlm.data.tally import Rejected


@source(
    "yolo-obb",
    splits=["train", "val", "test"],
    tasks=["detection"],
    licence="your own",
    layout="""data.yaml (or dataset.yaml) with names, a list or a table; images/<split>/* with labels/<split>/<stem>.txt, or
    <split>/images/* with <split>/labels/<stem>.txt; lines of
    'class x1 y1 x2 y2 x3 y3 x4 y4' or 'class cx cy w h' in shares. A picture without a label file has no objects.""",
)
def yolo_obb(folder: Folder, split: str) -> Iterator[Record]:
    """Read one detection record a picture."""
    names = _names(folder)
    pictures = folder.first(f"images/{split}", f"{split}/images", *(["valid/images"] if split == "val" else []))
    folder_of_labels = f"labels/{split}" if pictures.startswith("images/") else f"{pictures.partition('/')[0]}/labels"
    for file in folder.files(pictures, *PICTURES):
        with folder.row(file):
            image = folder.image(file)
            stem = file.rpartition("/")[2].rpartition(".")[0]
            labels = f"{folder_of_labels}/{stem}.txt"
            lines = folder.lines(labels) if (folder.root / labels).exists() else []
            objects = tuple(_object(line, image, names) for line in lines if line.strip())
            categories = tuple(names.values())
            yield Record(stem, "yolo-obb", split, "detection", (image,), objects=objects, categories=categories)


def _names(folder: Folder) -> dict[int, str]:
    table = yaml.safe_load("\n".join(folder.lines(folder.first("data.yaml", "dataset.yaml"))))["names"]
    return dict(enumerate(table)) if isinstance(table, list) else {int(key): name for key, name in table.items()}


def _object(line: str, image: ImageRef, names: dict[int, str]) -> Annotation:
    words = line.split()
    number, values = int(words[0]), [float(word) for word in words[1:]]
    if number not in names:
        raise Rejected("unknown class", f"class {number} has no name in data.yaml")
    pixels = [share * (image.height if i % 2 else image.width) for i, share in enumerate(values)]
    if len(pixels) == 8:
        return Annotation(tuple(pixels), names[number], "quad")
    if len(pixels) == 4:
        x, y, w, h = pixels
        return Annotation((x - w / 2, y - h / 2, x + w / 2, y + h / 2), names[number], "hbb")
    raise Rejected(
        "malformed label", f"label line {line!r} has {len(values)} numbers; 4 (upright) or 8 (oriented) are read"
    )
