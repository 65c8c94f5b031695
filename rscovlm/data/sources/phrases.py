"""What sets of phrases and masks share: lines of a picture's name and its phrase, and pictures on one grid."""

from __future__ import annotations

from collections.abc import Iterator

from rscovlm.data.sources.folder import Folder
from rscovlm.records.record import ImageRef
from rscovlm.records.tally import Rejected


def phrase_lines(folder: Folder, name: str) -> Iterator[tuple[str, int, str, str]]:
    """Give place, number, picture and phrase of each line that is not empty; a record without a phrase is counted as such later."""
    for number, line in enumerate(folder.lines(name), start=1):
        picture, _, phrase = line.strip().partition(" ")
        if picture:
            yield f"{name}, line {number}", number, picture, phrase.strip()


def on_one_grid(*images: ImageRef) -> None:
    """Check that pictures and masks have one size.

    Raises:
        ValueError: They have several; the message names them.
    """
    if len({(image.width, image.height) for image in images}) > 1:
        sizes = ", ".join(f"{image.path} {image.width}x{image.height}" for image in images)
        raise Rejected("sizes differ", f"pictures and mask are not on one grid: {sizes}")
