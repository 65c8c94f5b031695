"""The windows a chain looked into, drawn on the overview."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from rscovlm.exports.drawing import COLOURS
from rscovlm.zoom.windows import ZoomView


def draw_windows(overview: ZoomView, views: Sequence[ZoomView]) -> Image.Image:
    """Return a copy of the overview with each view's window as a numbered rectangle.

    Args:
        overview: The view of the whole image.
        views: Views of windows of the same image, numbered in order from 1.
    """
    picture = overview.image.convert("RGB").copy()
    pen = ImageDraw.Draw(picture)
    x0, y0, x1, y1 = overview.window
    across, down = picture.width / (x1 - x0), picture.height / (y1 - y0)
    line = max(2, round(max(picture.size) / 250))
    font = ImageFont.load_default(max(10, round(max(picture.size) / 40)))
    for number, view in enumerate(views, start=1):
        colour = COLOURS[(number - 1) % len(COLOURS)]
        left, top, right, bottom = view.window
        corners = ((left - x0) * across, (top - y0) * down, (right - x0) * across - 1, (bottom - y0) * down - 1)
        pen.rectangle(
            [corners[0], corners[1], max(corners[2], corners[0]), max(corners[3], corners[1])],
            outline=colour,
            width=line,
        )
        size = pen.textbbox((0, 0), str(number), font=font)
        width, height = size[2] + 2 * line, size[3] + line
        x = min(max(0.0, corners[0]), picture.width - width)
        y = min(max(0.0, corners[1] - height), picture.height - height)
        pen.rectangle([x, y, x + width, y + height], fill=colour)
        pen.text((x + line, y), str(number), fill="#000000", font=font)
    return picture
