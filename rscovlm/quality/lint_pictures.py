"""Pictures of lint's worst cases: the image with the faulty box, or two images side by side."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from rscovlm.data.formats.coco import corners
from rscovlm.files import write_picture
from rscovlm.quality.findings import Finding, Report
from rscovlm.records.record import Annotation, ImageRef
from rscovlm.records.views import load_image

_SIDE = 384
_MARGIN = 48
_COLOUR = (255, 40, 40)
_PAPER = (245, 245, 245)


def draw_worst(
    report: Report, root: str | Path, folder: str | Path, *, most: int = 4, overwrite: bool = False
) -> list[Path]:
    """Write `<check>-<number>.png` for the worst findings of each check that has something to look at.

    Images that cannot be read are left out: their finding says so already.

    Args:
        report: What lint found.
        root: The data folder.
        folder: Where the pictures go.
        most: Pictures per check.
        overwrite: Replace pictures that something else wrote.

    Raises:
        ValueError: A file of such a name is there that is no picture of ours.
    """
    target = Path(folder)
    written = []
    for check in report.counts:
        for number, finding in enumerate([item for item in report.worst(check) if item.images][:most], start=1):
            picture = picture_of(finding, Path(root))
            if picture is None:
                continue
            target.mkdir(parents=True, exist_ok=True)
            path = target / f"{re.sub(r'[^a-z]+', '-', check)}-{number}.png"
            write_picture(path, picture, overwrite=overwrite)
            written.append(path)
    return written


def picture_of(finding: Finding, root: Path) -> Image.Image | None:
    """Return the images of a finding side by side with its boxes, or None where an image cannot be read."""
    try:
        return _draw(finding, root)
    except (ValueError, FileNotFoundError):
        return None


def _draw(finding: Finding, root: Path) -> Image.Image:
    panels = [_panel(image, finding.boxes if i == 0 else (), root) for i, image in enumerate(finding.images)]
    canvas = Image.new("RGB", (sum(panel.width for panel in panels), max(panel.height for panel in panels)), _PAPER)
    left = 0
    for panel in panels:
        canvas.paste(panel, (left, 0))
        left += panel.width
    return canvas


def _panel(image: ImageRef, boxes: tuple[Annotation, ...], root: Path) -> Image.Image:
    """Show an image with a margin, so that boxes that leave it are seen leaving."""
    picture = load_image(image, root, max_pixels=_SIDE * _SIDE)
    width, height = image.width or picture.width, image.height or picture.height
    canvas = Image.new("RGB", (picture.width + 2 * _MARGIN, picture.height + 2 * _MARGIN), _PAPER)
    canvas.paste(picture, (_MARGIN, _MARGIN))
    draw = ImageDraw.Draw(canvas)
    for item in boxes:
        points = np.asarray(corners(item)).reshape(4, 2) * [picture.width / width, picture.height / height] + _MARGIN
        inside = np.clip(points, 1, np.array(canvas.size) - 2)
        draw.polygon([(float(x), float(y)) for x, y in inside], outline=_COLOUR, width=2)
    return canvas
