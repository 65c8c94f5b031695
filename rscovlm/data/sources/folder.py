"""What a converter sees of its data: files below one root, and a count of the rows that cannot be used."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from rscovlm.rasters import PixelLimits, RasterError, open_image
from rscovlm.rasters.formats import PICTURE_ENDINGS
from rscovlm.records.jsonfiles import read_items, read_json
from rscovlm.records.paths import below, check_relative, resolve
from rscovlm.records.record import ImageRef, Record
from rscovlm.records.rows import Row
from rscovlm.records.tally import Rejected, Tally

PICTURES = PICTURE_ENDINGS
# Only headers are read here, so an image too large to decode whole may pass.
_HEADERS = PixelLimits(in_memory=1 << 30)


class Folder:
    """Files below `root`, named by relative paths with `/`; nothing outside can be reached.

    Args:
        root: The data folder.
        tally: Where `row` counts.
    """

    def __init__(self, root: str | Path, tally: Tally) -> None:
        self.root = Path(root)
        self.tally = tally
        self._sizes: dict[str, tuple[int, int]] = {}
        self._stems: dict[str, dict[str, list[str]]] = {}
        self._endings: dict[tuple[str, str], dict[str, str]] = {}
        if not self.root.is_dir():
            raise FileNotFoundError(f"no folder {str(root)!r}; give the folder the data set was unpacked into")

    def row(self, place: str) -> AbstractContextManager[None]:
        """Count what is worked on inside as dropped if it turns out unusable; see `Tally.row`."""
        return self.tally.row(place)

    def path(self, name: str) -> Path:
        """Find a file; see `paths.resolve`."""
        return resolve(self.root, name)

    def image(self, name: str, *, under: str = "", width: int = 0, height: int = 0, time: str = "") -> ImageRef:
        """Refer to an image that exists, named relative to the folder `under`; its size is read from its header unless both sides are given."""
        name = below(under, name)
        if name not in self._sizes:
            path = self.path(name)
            self._sizes[name] = (width, height) if width and height else image_size(path)
        width, height = self._sizes[name]
        return ImageRef(name, width=width, height=height, time=time)

    def picture(self, folder: str, stem: str) -> ImageRef:
        """Refer to the image in `folder`, or in a folder in it, whose name without its ending is `stem`.

        Raises:
            ValueError: Folders in `folder` hold several of that name and `folder` itself none.
            FileNotFoundError: No such file exists.
        """
        if folder not in self._stems:
            self._stems[folder] = defaultdict(list)
            for name in self.tree(folder, *PICTURES):
                self._stems[folder][stem_of(name)].append(name)
        found = self._stems[folder].get(stem)
        if not found:
            raise FileNotFoundError(f"no image {stem!r} in {folder!r}")
        if len(found) > 1 and found[0].count("/") == found[1].count("/"):
            raise Rejected("ambiguous picture", f"image {stem!r} is one of {', '.join(map(repr, found[:4]))}")
        return self.image(found[0])

    def labels(self, folder: str, stem: str, ending: str) -> str:
        """Name the file of labels of a stem in `folder`, its ending in any case; a missing one is named as it should be."""
        name = f"{folder}/{check_relative(stem)}{ending}"
        return name if (self.root / name).is_file() else self._cased(folder, ending).get(stem, name)

    def _cased(self, folder: str, ending: str) -> dict[str, str]:
        if (folder, ending) not in self._endings:
            self._endings[folder, ending] = {stem_of(name): name for name in self.files(folder, ending)}
        return self._endings[folder, ending]

    def tree(self, folder: str, *endings: str) -> list[str]:
        """List the files in `folder` and in the folders in it at any depth; see `files`."""
        return [name for place in (folder, *self._inner(folder)) for name in self.files(place, *endings)]

    def _inner(self, folder: str) -> Iterator[str]:
        """Give the folders at any depth in `folder`, the nearest first."""
        nearest = self.folders(folder)
        yield from nearest
        for name in nearest:
            yield from self._inner(name)

    def present(self, records: Iterable[Record]) -> Iterator[Record]:
        """Pass on the records whose images and masks all exist, with sizes from these where none are given; the others are counted."""
        for record in records:
            with self.row(self.tally.at or f"{record.source}/{record.id}"):
                for image in (*record.images, *record.masks):
                    if image.path:
                        self.path(image.path)
                yield replace(record, images=tuple(map(self._sized, record.images)))

    def _sized(self, image: ImageRef) -> ImageRef:
        if image.width:
            return image
        if image.data is not None:
            width, height = image_size(image.data)
            return replace(image, width=width, height=height)
        return self.image(image.path) if image.path else image

    def files(self, folder: str, *endings: str) -> list[str]:
        """List the files directly in `folder` by name, only those with one of the endings (of any case) if some are given.

        Raises:
            FileNotFoundError: There is no such folder.
        """
        base = self.root / folder
        if not base.is_dir():
            raise FileNotFoundError(f"no folder {folder!r} below {str(self.root)!r}")
        names = (entry.name for entry in base.iterdir() if entry.is_file() and not entry.name.startswith("."))
        prefix = "" if folder in ("", ".") else f"{folder}/"
        return [prefix + name for name in sorted(names) if not endings or name.lower().endswith(endings)]

    def by_stem(self, folder: str, *endings: str, deep: bool = True) -> dict[str, str]:
        """Give the files in `folder`, and with `deep` in the folders in it, by their name there without its ending."""
        names = self.tree(folder, *endings) if deep else self.files(folder, *endings)
        prefix = "" if folder in ("", ".") else f"{folder}/"
        return {name.removeprefix(prefix).rpartition(".")[0]: name for name in names}

    def folders(self, folder: str) -> list[str]:
        """List the folders directly in `folder` by name.

        Raises:
            FileNotFoundError: There is no such folder.
        """
        base = self.root / folder
        if not base.is_dir():
            raise FileNotFoundError(f"no folder {folder!r} below {str(self.root)!r}")
        prefix = "" if folder in ("", ".") else f"{folder}/"
        return [
            prefix + entry.name for entry in sorted(base.iterdir()) if entry.is_dir() and not entry.name.startswith(".")
        ]

    def first(self, *names: str) -> str:
        """Choose the first of several places a release is unpacked to.

        Raises:
            FileNotFoundError: None of them exists.
        """
        for name in names:
            if (self.root / check_relative(name)).exists():
                return name
        raise FileNotFoundError(
            f"none of {', '.join(map(repr, names))} is below {str(self.root)!r}; unpack the data set as published"
        )

    def lines(self, name: str) -> list[str]:
        """Read a text file's lines without their ends."""
        return self.path(name).read_text(encoding="utf-8-sig").splitlines()

    def unlabelled(self, pictures: str, labelled: Iterable[str]) -> None:
        """Set aside the pictures in a folder that no file of labels names by its stem."""
        known = set(labelled)
        for name in self.tree(pictures, *PICTURES):
            if stem_of(name) not in known:
                self.tally.set_aside("picture without labels", name)

    def json(self, name: str) -> Row:
        """Read one JSON document, whose fields are checked as they are read."""
        return Row(read_json(self.path(name)), name)

    def items(self, name: str) -> Iterator[tuple[str, Row]]:
        """Read a JSON array or JSON lines element by element, each with its place in words."""
        return ((place, Row(value)) for place, value in read_items(self.path(name)))

    def xml(self, name: str) -> ElementTree.Element:
        """Read an XML document, its elements named without namespaces; one that declares a document type is refused."""
        parser = ElementTree.XMLParser(target=_Tree())
        try:
            parser.feed(self.path(name).read_bytes())
            root: ElementTree.Element = parser.close()
        except ElementTree.ParseError as error:
            raise Rejected("malformed XML", f"{name} is not XML: {error}") from error
        return root


class _Tree(ElementTree.TreeBuilder):
    """Builds elements without namespaces, and refuses a document type, whose entities could grow without bound."""

    def start(self, tag: str, attrs: dict[Any, Any], /) -> ElementTree.Element:
        return super().start(tag.rpartition("}")[2], attrs)

    def end(self, tag: str, /) -> ElementTree.Element:
        return super().end(tag.rpartition("}")[2])

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise Rejected("unsafe XML", f"the file declares a document type, {name!r}; annotation files have none")


def stem_of(name: str) -> str:
    """Give a file's name without its folders and its ending.

    >>> stem_of("train/labels/P0001.v2.TXT")
    'P0001.v2'
    """
    return name.rpartition("/")[2].rpartition(".")[0]


def image_size(image: Path | bytes) -> tuple[int, int]:
    """Read (width, height) in pixels from an image's header, from its file or what is in one; no pixel is decoded.

    Raises:
        ValueError: It is no image, or claims more pixels than can be worked with.
    """
    try:
        with open_image(image, limits=_HEADERS) as raster:
            return raster.width, raster.height
    except RasterError as error:
        raise Rejected("unreadable image", str(error)) from error


def written(cell: Any) -> str:
    """Give what a cell of a row says as text: a number as it is written, nothing for null.

    Raises:
        ValueError: It is a list or an object.

    >>> written(" a port "), written(7), written(None)
    (' a port ', '7', '')
    """
    if isinstance(cell, (list, dict)):
        raise Rejected("malformed row", f"{cell!r} stands where a text is expected")
    return "" if cell is None else str(cell)


def child(element: ElementTree.Element, path: str) -> ElementTree.Element:
    """Give a child element.

    Raises:
        ValueError: There is none: the file is of another kind.
    """
    found = element.find(path)
    if found is None:
        raise Rejected("missing element", f"element <{element.tag}> has no <{path}>; the file is of another kind")
    return found


def value(element: ElementTree.Element, path: str) -> str:
    """Read the text of a child element.

    Raises:
        ValueError: There is none.
    """
    text = element.findtext(path)
    if text is None or not text.strip():
        raise Rejected("missing element", f"element <{element.tag}> has no text at {path!r}")
    return text.strip()
