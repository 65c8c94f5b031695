"""Lint: what is wrong with a set of records, counted by check, with the places and pictures of the worst.

Errors are rows that cannot mean what they say; warnings may be right. Checks of pixels need the data folder.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from rscovlm.data.formats.coco import corners
from rscovlm.data.textboxes import TextBox, recognise
from rscovlm.geometry.window import Window
from rscovlm.quality.findings import Finding, Report
from rscovlm.quality.fingerprints import Print, fingerprint, near_pairs
from rscovlm.quality.near_duplicates.crops import Crops
from rscovlm.quality.stored_prints import StoredPrints
from rscovlm.records.record import Annotation, ImageRef, Record
from rscovlm.records.tally import Rejected, Tally
from rscovlm.records.views import load_image, open_ref
from rscovlm.tasks.table import problems as problems_of
from rscovlm.tasks.table import task_of

_TILE = re.compile(r"__\d.*$")


def lint(
    records: Iterable[Record],
    root: str | Path | None = None,
    *,
    pixels: bool = True,
    crops: bool = True,
    scales: bool = True,
    keep: int = 50,
    rows: Tally | None = None,
    looks: StoredPrints | None = None,
    progress: Callable[[int], None] | None = None,
) -> Report:
    """Check records, of one source or many; all splits together, so that leaks between them show.

    Args:
        records: Read once; only small facts about each stay in memory.
        root: The data folder; without it, files are not looked at.
        pixels: Read the pixels too, for duplicates and leaks.
        crops: Look for crops of one scene at other places, turned or mirrored, too, where there is detail. This reads every picture
            whole, at half its scale.
        scales: Look for crops at up to twice or half the scale, too; this takes three to nine times as long.
        keep: Findings kept per check; all are counted.
        rows: What counted the rows as they were read, such as ``read_records(..., tally=rows)``: those that are no records
            are findings.
        looks: Fingerprints of pictures that were compared before; new ones are added.
        progress: Called with the number of images so far, after each.
    """
    gather = Crops(scales=scales) if pixels and crops else None
    survey = _Survey(Report(keep=keep), Path(root) if root is not None else None, pixels, gather, looks)
    before = 0
    for record in records:
        survey.add(record)
        if progress is not None and survey.report.images > before:
            progress(before := survey.report.images)
    survey.finish()
    if rows is not None:
        for reason, places in rows.places.items():
            for place in places:
                survey.report.add(Finding("broken row", place, reason))
        survey.report.counts["broken row"] = rows.dropped.total()
    return survey.report


@dataclass(frozen=True)
class _Printed:
    """Where a picture that was compared is from; `parent` names the image it is a tile of, if it is one."""

    split: str
    place: str
    image: ImageRef
    parent: str


class _Survey:
    """Facts gathered while records pass by."""

    def __init__(
        self, report: Report, root: Path | None, pixels: bool, crops: Crops | None, looks: StoredPrints | None
    ) -> None:
        self.looks = looks
        self.report, self.root, self.pixels, self.crops = report, root, pixels, crops
        self.boxes: dict[str, list[tuple[TextBox, int, int]]] = defaultdict(list)
        self.names: dict[str, Counter[str]] = defaultdict(Counter)
        self.ids: set[tuple[str, str, str]] = set()
        self.answers: dict[tuple[str, str, str], set[str]] = defaultdict(set)
        self.images: dict[str, tuple[str, str]] = {}
        self.prints: list[Print] = []
        self.printed: list[_Printed] = []
        self.parents: dict[str, dict[str, str]] = defaultdict(dict)

    def add(self, record: Record) -> None:
        place = f"{record.source}/{record.split}/{record.id}"
        self.report.records += 1
        for problem in problems_of(record):
            self.report.add(Finding("content", place, problem))
        key = (record.source, record.split, record.id)
        if key in self.ids:
            self.report.add(Finding("repeated id", place, "an earlier record has the same id"))
        self.ids.add(key)
        for item in record.objects:
            self._box(record, item, place)
        if task_of(record.task).named:
            for name in {*record.classes, *record.categories, *(item.label for item in record.objects)} - {""}:
                self.names[_plain(name)][name] += 1
        if record.question and record.images:
            asked = (record.source, _where(record.images[0]), record.question)
            self.answers[asked].add(record.answer.strip().lower())
        for image in (*record.images, *record.masks):
            self._image(image, record, place, mask=image in record.masks)

    def _box(self, record: Record, item: Annotation, place: str) -> None:
        images = record.images[item.image : item.image + 1]
        for check, detail, weight in box_faults(item, images[0] if images else None):
            detail = f"{item.label!r} {_short(item.box)}: {detail}"
            self.report.add(Finding(check, place, detail, weight, images=images, boxes=(item,)))
        if record.images and len(self.boxes[record.source]) < 5000:
            image = record.images[item.image]
            self.boxes[record.source].append((TextBox(0, 0, item.box, item.kind), image.width, image.height))

    def _image(self, image: ImageRef, record: Record, place: str, *, mask: bool) -> None:
        key = _where(image)
        parent = _parent(image, record)
        if parent:
            self.parents[parent].setdefault(record.split, place)
        known = self.images.get(key)
        if known is not None:
            if known[0] != record.split and not mask:
                self.report.add(Finding("leak", place, f"image {key!r} is also in split {known[0]!r}", 1, (known[1],)))
            return
        self.images[key] = (record.split, place)
        self.report.images += 1
        if self.root is not None or image.data is not None:
            self._look(image, record, place, mask=mask)

    def _look(self, image: ImageRef, record: Record, place: str, *, mask: bool) -> None:
        root = self.root or Path()
        try:
            with open_ref(image, root) as raster:
                size = (raster.width, raster.height)
        except FileNotFoundError as error:
            self.report.add(Finding("missing file", place, str(error)))
            return
        except ValueError as error:
            unsafe = isinstance(error, Rejected) and error.reason == "unsafe path"
            self.report.add(Finding("missing file" if unsafe else "unreadable image", place, str(error)))
            return
        own_file = bool(image.path) or image.data is not None
        if own_file and image.width and size != (image.width, image.height):
            detail = f"{_where(image)!r} has {size[0]}x{size[1]} pixels, the record says {image.width}x{image.height}"
            self.report.add(Finding("size", place, detail))
        if not self.pixels or mask:
            return
        try:
            self.prints.append(self._print(image, root))
            self.printed.append(
                _Printed(record.split, place, image if image.data is None else _small(image), _parent(image, record))
            )
            if self.crops is not None:
                self.crops.add(self._half(image, root, size))
        except ValueError as error:
            self.report.add(Finding("unreadable image", place, str(error)))

    def _print(self, image: ImageRef, root: Path) -> Print:
        def load() -> Image.Image:
            return load_image(image, root, max_pixels=256 * 256)

        return fingerprint(load()) if self.looks is None else self.looks.of(image, root, load)

    def _half(self, image: ImageRef, root: Path, file: tuple[int, int]) -> Image.Image | None:
        """Read a picture at half its scale, or nothing of one that is too large for it."""
        window = image.window if not image.path and image.data is None else None
        width, height = Window(*window).size if window else file
        if self.crops is None or not self.crops.fits(width, height):
            return None
        across, down = self.crops.shrunk(width, height)
        return load_image(image, root, max_pixels=across * down)

    def finish(self) -> None:
        for source, rows in self.boxes.items():
            guess = recognise(rows)
            sized = any(width for _, width, _ in rows)
            if sized and len(rows) >= 20 and guess.scale != 0 and guess.certain:
                detail = f"{len(rows)} boxes never pass {guess.scale} though images are larger: shares of {guess.scale}, not pixels"
                self.report.add(Finding("scale", source, detail))
            elif sized and len(rows) >= 20 and guess.scale == 0 and guess.inside < 0.5:
                detail = (
                    f"only {guess.inside:.0%} of {len(rows)} boxes lie inside their images: larger than any pixel there"
                )
                self.report.add(Finding("scale", source, detail))
        for spellings in self.names.values():
            if len(spellings) > 1:
                detail = ", ".join(f"{name!r} ({count})" for name, count in spellings.most_common())
                self.report.add(Finding("class names", next(iter(spellings)), detail, spellings.total()))
        for (source, image, question), answers in self.answers.items():
            if len(answers) > 1:
                detail = f"{question!r} is answered {sorted(answers)}"
                self.report.add(Finding("conflicting answers", f"{source}/{image}", detail, len(answers)))
        for parent, splits in self.parents.items():
            if len(splits) > 1:
                places = tuple(splits.values())
                self.report.add(
                    Finding("parent leak", parent, f"tiles are in {', '.join(sorted(splits))}", len(splits), places)
                )
        self._pairs()

    def _pairs(self) -> None:
        first: dict[str, int] = {}
        equal: set[tuple[int, int]] = set()
        for index, item in enumerate(self.prints):
            if item.plain:
                continue
            if item.digest in first:
                equal.add((first[item.digest], index))
            first.setdefault(item.digest, index)
        for pair in sorted(equal):
            self._pair(*pair, same=True)
        like = list(range(len(self.prints)))

        def group(index: int) -> int:
            while like[index] != index:
                like[index] = index = like[like[index]]
            return index

        for i, j in equal:
            like[group(j)] = group(i)
        for i, j in near_pairs(self.prints, kinds=[one.split for one in self.printed]):
            like[group(j)] = group(i)
            if self.prints[i].digest != self.prints[j].digest:
                self._pair(i, j, same=False)
        for found in self.crops.overlaps() if self.crops is not None else ():
            one, other = self.printed[found.first], self.printed[found.second]
            # Tiles of one image overlap by design, and a record's pictures of one place are meant to.
            related = one.place == other.place or (one.parent and one.parent == other.parent)
            if not related and group(found.first) != group(found.second):
                size = f" with {found.scale:.2f} times the pixels" if abs(found.scale - 1) > 0.02 else ""
                words = f"shows {found.share:.0%} of the same ground{', turned,' if found.turned else ''}{size} as"
                self._add(other, one, "shared ground", words, found.share * found.likeness)

    def _pair(self, i: int, j: int, *, same: bool) -> None:
        likeness = float((self.prints[i].look * self.prints[j].look).sum())
        words = "the same pixels as" if same else f"looks (likeness {likeness:.3f}) like"
        check = "same image" if same else "near image"
        self._add(self.printed[j], self.printed[i], check, words, 1.0 if same else likeness)

    def _add(self, one: _Printed, other: _Printed, check: str, words: str, weight: float) -> None:
        check = check if one.split == other.split else "leak"
        detail = f"{words} {other.place}" + (f" of split {other.split!r}" if check == "leak" else "")
        self.report.add(Finding(check, one.place, detail, weight, (other.place,), (other.image, one.image)))


def box_faults(item: Annotation, image: ImageRef | None) -> list[tuple[str, str, float]]:
    """Say what is wrong with one box: (check, detail, weight) each; nothing where all is well.

    Half a pixel past the edge is not a fault: sources round.
    """
    # Plain Python: over millions of boxes, an array of four points costs more than what is done with it.
    box = item.box
    if item.kind == "hbb" and (box[2] <= box[0] or box[3] <= box[1]):
        return [("box inverted", "sides are not left < right, top < bottom", 1.0)]
    if item.kind == "obb" and min(box[2], box[3]) <= 0:
        return [("box inverted", "width or height is not positive", 1.0)]
    numbers = corners(item)
    xs, ys = numbers[0::2], numbers[1::2]
    if abs(sum(xs[k - 1] * ys[k] - xs[k] * ys[k - 1] for k in range(4))) < 1e-9:
        return [("box inverted", "the corners enclose nothing", 1.0)]
    if image is None or not (image.width and image.height):
        return []
    left, top, right, bottom = min(xs), min(ys), max(xs), max(ys)
    beyond = max(right - image.width, bottom - image.height, -left, -top)
    if beyond <= 0.5:
        return []
    apart = left >= image.width or top >= image.height or right <= 0 or bottom <= 0
    relative = max(max(right - image.width, -left) / image.width, max(bottom - image.height, -top) / image.height)
    check = "box far outside" if apart or relative > 1 else "box outside"
    return [(check, f"{beyond:.1f} px outside {image.width}x{image.height}", relative)]


def _small(image: ImageRef) -> ImageRef:
    """Keep an embedded image as a miniature, enough to show."""
    buffer = io.BytesIO()
    load_image(image, Path(), max_pixels=256 * 256).save(buffer, "PNG")
    return ImageRef(data=buffer.getvalue(), width=image.width, height=image.height)


def _parent(image: ImageRef, record: Record) -> str:
    stem = Path(image.path).stem
    if not image.parent and not _TILE.search(stem):
        return ""
    return f"{record.source}/{image.parent or _TILE.sub('', stem)}"


def _where(image: ImageRef) -> str:
    if image.path:
        return image.path
    if image.data is not None:
        return f"embedded {hashlib.sha256(image.data).hexdigest()[:12]}"
    return f"{image.parent} {image.window}"


def _plain(name: str) -> str:
    """Strip a class name of case, spaces, hyphens and a plural s."""
    letters = re.sub(r"[^a-z0-9]", "", name.lower())
    return letters[:-1] if letters.endswith("s") and not letters.endswith("ss") else letters


def _short(values: Sequence[float]) -> str:
    return "(" + ", ".join(f"{value:g}" for value in values) + ")"
