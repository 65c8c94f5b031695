"""A table of figures as a picture: a line a column, a mark a model, our intervals drawn."""

from __future__ import annotations

import html

from rscovlm.benchmarks.grids import GridCell, GridRow, ReportGrid

_LEFT, _WIDTH, _RIGHT = 190, 430, 100
_LINE, _APART, _TOP = 30, 10, 44
_CORNERS = (
    (),  # a disc
    ((-4.5, -4.5), (4.5, -4.5), (4.5, 4.5), (-4.5, 4.5)),
    ((0, -6), (5.5, 4.5), (-5.5, 4.5)),
    ((0, -6), (6, 0), (0, 6), (-6, 0)),
)
"""Marks of our rows in turn, told apart without colours."""
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#222}.title{font-size:14px;font-weight:600}.quiet{fill:#666}"
    ".axis{stroke:#ccc;stroke-width:1}.other{fill:none;stroke:#777;stroke-width:1.3}.a{fill:#0b62a4;stroke:#0b62a4}"
    ".b{fill:#c2540a;stroke:#c2540a}.c{fill:#6a3d9a;stroke:#6a3d9a}.d{fill:#00796b;stroke:#00796b}"
    "@media(prefers-color-scheme:dark){text{fill:#eee}.quiet{fill:#aaa}.axis{stroke:#555}.other{stroke:#aaa}"
    ".a{fill:#6cb4ee;stroke:#6cb4ee}.b{fill:#f4a261;stroke:#f4a261}.c{fill:#c9a7eb;stroke:#c9a7eb}.d{fill:#4dd0b5;stroke:#4dd0b5}}"
)


def to_svg(grid: ReportGrid) -> str:
    """Return a picture of a table: published models as rings, ours as filled marks with their 95 % intervals.

    The axis runs from 0 to 100 %, or as far as CIDEr, which has no such end, needs. Names and figures of all marks are their tooltips.

    Args:
        grid: The table.
    """
    known = [cell.value for row in grid.rows for cell in row.cells if cell is not None]
    most = 100 * max(1, -(-max(known, default=0.0) // 100))
    ours = [row for row in grid.rows if not row.published and row.drawn]
    # Ours stand one below the other, so that no mark hides another.
    line = max(_LINE, _APART * len(ours) + 16)
    legend = _TOP + line * len(grid.columns) + 42
    rings = ["○ published"] if any(row.published for row in grid.rows) else []
    names = [*rings, *(row.name for row in ours)]
    height = legend + 18 * len(names)
    parts = [
        f'<text class="title" x="0" y="16">{html.escape(grid.title)}</text>',
        *_axis(legend - 42, most),
    ]
    for number, column in enumerate(grid.columns):
        y = _TOP + line * number + (line - _LINE) // 2
        parts.append(f'<text x="{_LEFT - 12}" y="{y + 4}" text-anchor="end">{html.escape(_short(column))}</text>')
        parts.append(f'<line class="axis" x1="{_LEFT}" x2="{_LEFT + _WIDTH}" y1="{y}" y2="{y}"/>')
        parts += [_mark(row, row.cells[number], column, y, 0, most) for row in grid.rows if row.published]
        first = y - _APART * (len(ours) - 1) / 2
        for place, row in enumerate(ours):
            parts.append(_mark(row, row.cells[number], column, first + _APART * place, place, most))
        only = ours[0].cells[number] if len(ours) == 1 else None
        if only is not None:
            parts.append(f'<text x="{_LEFT + _WIDTH + 14}" y="{y + 4}">{only.value:.2f}</text>')
    for place, name in enumerate(names):
        y = legend + 18 * place
        mark = "" if place < len(rings) else _shape(place - len(rings), _LEFT + 5, y - 4, "")
        parts.append(f'{mark}<text x="{_LEFT + (18 if mark else 0)}" y="{y}">{html.escape(_short(name, 70))}</text>')
    size = f"0 0 {_LEFT + _WIDTH + _RIGHT} {height}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{size}" role="img"><title>{html.escape(grid.title)}</title>'
        f"<style>{_STYLE}</style>{''.join(parts)}</svg>\n"
    )


def _axis(y: float, most: float) -> list[str]:
    parts = []
    for quarter in range(5):
        x = _LEFT + _WIDTH * quarter / 4
        parts.append(f'<line class="axis" x1="{x}" x2="{x}" y1="{_TOP - 14}" y2="{y - 12}"/>')
        parts.append(f'<text class="quiet" x="{x}" y="{y + 4}" text-anchor="middle">{most * quarter / 4:.0f} %</text>')
    return parts


def _mark(row: GridRow, cell: GridCell | None, column: str, y: float, place: int, most: float) -> str:
    if cell is None:
        return ""
    x = _LEFT + _WIDTH * max(0.0, cell.value) / most
    ends = "" if cell.low is None or cell.high is None else f" [{cell.low:.2f}, {cell.high:.2f}]"
    told = html.escape(f"{row.name}, {column}: {cell.value:.2f}{ends}")
    if row.published:
        return f'<circle class="other" cx="{x:.1f}" cy="{y}" r="4.5"><title>{told}</title></circle>'
    line = ""
    if cell.low is not None and cell.high is not None:
        low, high = (_LEFT + _WIDTH * max(0.0, end) / most for end in (cell.low, cell.high))
        line = f'<line class="{_colour(place)}" x1="{low:.1f}" x2="{high:.1f}" y1="{y}" y2="{y}" stroke-width="2"/>'
    return line + _shape(place, x, y, told)


def _shape(place: int, x: float, y: float, told: str) -> str:
    corners, colour = _CORNERS[place % 4], _colour(place)
    title = f"<title>{told}</title>" if told else ""
    if not corners:
        return f'<circle class="{colour}" cx="{x:.1f}" cy="{y:.1f}" r="5">{title}</circle>'
    path = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in corners)
    return f'<polygon class="{colour}" points="{path}">{title}</polygon>'


def _colour(place: int) -> str:
    """Return the colour of a row of ours: with the shape of its mark it is no other's among sixteen."""
    return "abcd"[(place + place // 4) % 4]


def _short(text: str, most: int = 26) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
