"""A chart as SVG: series over places on an axis, a mark for the mean and a dot for each value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from rscovlm.files import mark

PLOT = "plot"
"""Kind of a file with a drawing."""

_COLOURS = ("#c2571a", "#0b6e8f", "#1d7a46", "#8a3fa0", "#b01e45", "#6b6f1c", "#3a55c4", "#7a4b2a")
_LEFT, _TOP, _WIDTH, _HEIGHT = 60, 44, 540, 220


def draw(
    series: Mapping[str, Mapping[str, Sequence[float]]],
    *,
    title: str,
    across: str,
    joined: bool = False,
    dashed: Sequence[str] = (),
) -> str:
    """Return an SVG drawing.

    Args:
        series: Values, such as those of several seeds, by series and by place on the axis; places stand in the order of
            their first mention, their names broken into lines at commas.
        title: What is drawn, above it.
        across: What the places are, below them.
        joined: Whether a line joins the means of a series; otherwise its marks stand beside those of the others.
        dashed: Series drawn with dashes.

    Raises:
        ValueError: There is nothing to draw.

    >>> draw({"one": {"a": [0.5, 0.7]}}, title="t", across="x").count("<circle")
    2
    """
    places = list(dict.fromkeys(place for arm in series.values() for place in arm))
    values = [value for arm in series.values() for seeds in arm.values() for value in seeds]
    if not values:
        raise ValueError("no series has a value; give one at least")
    top = _ceiling(max(values))
    width = _LEFT + _WIDTH + 30 + max(7 * len(name) for name in series) + 20
    height = max(_TOP + _HEIGHT + 54, _TOP + 20 * len(series))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="#fff"/>',
        f'<text x="{_LEFT}" y="24" font-size="14" font-weight="bold">{escape(title)}</text>',
        *_axes(places, top, across),
    ]
    step = _WIDTH / len(places)
    for number, (name, arm) in enumerate(series.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        dash = ' stroke-dasharray="5 4"' if name in dashed else ""
        beside = 0.0 if joined else (number - (len(series) - 1) / 2) * min(22.0, 0.8 * step / len(series))
        at = {place: _LEFT + step * (places.index(place) + 0.5) + beside for place in arm}
        means = {place: _y(float(np.mean(seeds)), top) for place, seeds in arm.items()}
        if joined and len(means) > 1:
            points = " ".join(f"{at[place]:.1f},{means[place]:.1f}" for place in means)
            parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
        for place, seeds in arm.items():
            x, y = at[place], means[place]
            parts.append(f'<path d="M{x - 8:.1f} {y:.1f}h16" stroke="{colour}" stroke-width="3"/>')
            parts += [
                f'<circle cx="{x:.1f}" cy="{_y(value, top):.1f}" r="3" fill="{colour}" fill-opacity="0.45"/>'
                for value in seeds
            ]
        y = _TOP + 10 + 20 * number
        parts.append(
            f'<path d="M{_LEFT + _WIDTH + 12} {y - 4}h16" stroke="{colour}" stroke-width="3"{dash}/>'
            f'<text x="{_LEFT + _WIDTH + 34}" y="{y}">{escape(name)}</text>'
        )
    return "\n".join([*parts, "</svg>\n"])


def marked(drawing: str) -> str:
    """Return a drawing with the comment by which its file is known to be ours.

    >>> marked("<svg></svg>")
    '<svg></svg>\\n<!-- urn:rscovlm:plot -->\\n'
    """
    return f"{drawing.rstrip()}\n<!-- {mark(PLOT)} -->\n"


def _axes(places: Sequence[str], top: float, across: str) -> list[str]:
    base = _TOP + _HEIGHT
    parts = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = _y(top * share, top)
        parts.append(f'<path d="M{_LEFT} {y:.1f}h{_WIDTH}" stroke="#dde"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{top * share:.2f}</text>')
    step = _WIDTH / len(places)
    for number, place in enumerate(places):
        middle = _LEFT + step * (number + 0.5)
        for line, text in enumerate(place.split(", ")):
            y = base + 18 + 14 * line
            parts.append(f'<text x="{middle:.1f}" y="{y}" text-anchor="middle">{escape(text)}</text>')
    middle = _LEFT + _WIDTH / 2
    parts.append(f'<text x="{middle}" y="{base + 46}" text-anchor="middle" fill="#556">{escape(across)}</text>')
    return parts


def _y(value: float, top: float) -> float:
    return _TOP + _HEIGHT * (1 - value / top)


def _ceiling(value: float) -> float:
    """Return the next round number above the largest value."""
    return next((mark for mark in (0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.6, 2.0, 3.0, 4.0) if value <= mark), value)
