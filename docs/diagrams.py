"""Draws the three diagrams of the site: `python docs/diagrams.py` writes them beside this file."""

from __future__ import annotations

from html import escape
from pathlib import Path

HEAD = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="13" '
    'role="img" aria-label="{title}"><title>{title}</title>'
    '<defs><marker id="end" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    '<path d="M0 0 8 4 0 8z" fill="#37474f"/></marker></defs>'
    '<rect width="{width}" height="{height}" rx="8" fill="#fafafa"/>'
)
Box = tuple[int, int, int, int, str, str]
"""x, y, width, height, lines of text divided by `|`, fill."""
PLAIN, OURS, GROUND = "#ffffff", "#d7efe9", "#fde8d7"


def diagram(title: str, width: int, height: int, boxes: list[Box], arrows: list[tuple[int, int, int, int, str]]) -> str:
    """Return a diagram of boxes and arrows (x1, y1, x2, y2, words) as SVG text."""
    parts = [HEAD.format(width=width, height=height, title=escape(title))]
    for x, y, wide, high, text, fill in boxes:
        parts.append(f'<rect x="{x}" y="{y}" width="{wide}" height="{high}" rx="6" fill="{fill}" stroke="#607d8b"/>')
        lines = text.split("|")
        for number, line in enumerate(lines):
            down = y + high / 2 + 5 + 17 * (number - (len(lines) - 1) / 2)
            weight = ' font-weight="bold"' if number == 0 else ' fill="#455a64" font-size="12"'
            parts.append(f'<text x="{x + wide / 2}" y="{down}" text-anchor="middle"{weight}>{escape(line)}</text>')
    for x1, y1, x2, y2, words in arrows:
        parts.append(f'<path d="M{x1} {y1} L{x2} {y2}" stroke="#37474f" stroke-width="1.5" marker-end="url(#end)"/>')
        if words:
            anchor, across, up = ("middle", 0, -7) if y1 == y2 else ("start", 8, 4)
            place = f'x="{(x1 + x2) / 2 + across}" y="{(y1 + y2) / 2 + up}" text-anchor="{anchor}"'
            parts.append(f'<text {place} fill="#37474f" font-size="12" font-style="italic">{escape(words)}</text>')
    return "".join([*parts, "</svg>\n"])


def diagrams() -> dict[str, str]:
    """Return the SVG text of each diagram by file name."""
    frames = diagram(
        "Frames: every grid knows its map to the original image, and that one its place on the ground",
        760, 300,
        [
            (20, 110, 150, 70, "overview|shrunk to the budget", PLAIN),
            (20, 210, 150, 70, "window|x1, y1, x2, y2, resized", PLAIN),
            (20, 20, 150, 60, "thousandths|what some models write", PLAIN),
            (300, 100, 170, 90, "root frame|pixels of the file|x right, y down", OURS),
            (590, 100, 150, 90, "the ground|metres or degrees|of a CRS", GROUND),
        ],
        [
            (170, 50, 300, 120, ""), (170, 145, 300, 145, "to_root"), (170, 245, 300, 172, ""),
            (470, 145, 590, 145, "root_to_world"),
        ],
    )  # fmt: skip
    records = diagram(
        "From records to the trainer",
        900, 250,
        [
            (20, 90, 130, 70, "sources|converters", PLAIN),
            (190, 90, 130, 70, "records|original pixels,|no prompt", OURS),
            (360, 90, 130, 70, "mixture|weights, seed,|position", OURS),
            (530, 90, 140, 70, "renderer|task and dialect:|words and pictures", OURS),
            (710, 90, 170, 70, "packed rows|one lane a row|of a step", OURS),
            (710, 190, 170, 45, "SFTTrainer (TRL)", PLAIN),
            (190, 15, 130, 45, "lint, clean, tile", PLAIN),
            (530, 15, 140, 45, "readback|boxes come back", PLAIN),
        ],
        [
            (150, 125, 190, 125, ""), (320, 125, 360, 125, ""), (490, 125, 530, 125, ""), (670, 125, 710, 125, ""),
            (795, 160, 795, 190, ""), (255, 60, 255, 90, ""), (600, 90, 600, 60, ""),
        ],
    )  # fmt: skip
    replicas = diagram(
        "From a client to replicas",
        900, 250,
        [
            (20, 20, 150, 55, "OpenAI client|image as data URI", PLAIN),
            (20, 95, 150, 55, "predict, Python", PLAIN),
            (20, 170, 150, 55, "agent|rscovlm mcp", PLAIN),
            (270, 70, 170, 110, "rscovlm serve|limits, memory,|zoom chain, boxes in|pixels of the image", OURS),
            (540, 85, 150, 80, "Server engine|retries, spreads|over replicas", OURS),
            (760, 20, 120, 55, "vLLM|replica 1", PLAIN),
            (760, 98, 120, 55, "vLLM|replica 2", PLAIN),
            (760, 175, 120, 55, "any|/v1 server", PLAIN),
        ],
        [
            (170, 47, 270, 95, ""), (170, 122, 270, 125, ""), (170, 197, 270, 158, ""), (440, 125, 540, 125, "batches"),
            (690, 110, 760, 50, ""), (690, 125, 760, 125, ""), (690, 140, 760, 200, ""),
        ],
    )  # fmt: skip
    return {"diagram_frames.svg": frames, "diagram_records.svg": records, "diagram_replicas.svg": replicas}


if __name__ == "__main__":
    for name, text in diagrams().items():
        Path(__file__).with_name(name).write_text(text, encoding="utf-8")
