"""Which boxes were matched, missed and false, as rows and as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np

from rscovlm.geometry.affine import Floats
from rscovlm.metrics.detections import quads
from rscovlm.metrics.matched_detections import Board, DetectionProtocol, settle

COLOURS = {"matched": "#009e73", "false": "#d55e00", "missed": "#0072b2", "ignored": "#888888"}
"""Of Okabe and Ito's palette (https://jfly.uni-koeln.de/color/), which colour-blind people tell apart."""

DASHES = {"missed": "6 4", "false": "2 3"}
"""Strokes of boxes that are not found and true, so that the picture reads without colour too."""

_SIDE = 720
"""Longer side of the picture in pixels."""

_MOST = 2000
"""Boxes drawn at most: a browser copes with these."""


def match_boxes(
    prediction: Mapping[str, Any],
    reference: Mapping[str, Any],
    *,
    iou: float = 0.5,
    protocol: DetectionProtocol = "dota",
    **overrides: Any,
) -> dict[str, list[Any]]:
    """Tell matched, missed and false boxes of one image apart.

    Args:
        prediction: An item of `ap_nc`. Of boxes that point at one true box the first takes it, the highest score first
            where there are scores.
        reference: Its truth.
        iou: The threshold.
        protocol: As for `ap_nc`.
        overrides: `overlap`, `strict` and `difficult`, as for `ap_nc`.

    Returns:
        ``matched`` (pairs of found and true row), ``false`` (found rows), ``missed`` (true rows that count), ``ignored``
        (found rows on a true box that does not count).

    Raises:
        ValueError: As `ap_nc`.

    Example:
        >>> item = {"boxes": [[0, 0, 9, 0, 9, 9, 0, 9]], "labels": ["ship"]}
        >>> match_boxes(item, item)
        {'matched': [(0, 0)], 'false': [], 'missed': [], 'ignored': []}
    """
    rules = settle(protocol, **overrides)
    board = Board.of([prediction], [reference], rules, None, [iou])
    scores = board.found.scores
    order = np.arange(len(board.found)) if scores is None else np.argsort(-scores, kind="stable")
    reached = board.given.iou > iou if rules.strict else board.given.iou >= iou
    result: dict[str, list[Any]] = {"matched": [], "false": [], "missed": [], "ignored": []}
    taken: set[int] = set()
    for row in order.tolist():
        true = int(board.given.truth[row])
        if not reached[row] or true in taken:
            result["false"].append(row)
        elif board.void_truths[true]:
            result["ignored"].append(row)
        else:
            taken.add(true)
            result["matched"].append((row, true))
    result["missed"] = [k for k in range(len(board.true)) if k not in taken and not board.void_truths[k]]
    return result


def matches_svg(prediction: Mapping[str, Any], reference: Mapping[str, Any], **options: Any) -> str:
    """Draw matched (green), missed (blue, dashed) and false (orange, dotted) boxes of one image as SVG text.

    Args:
        prediction: An item of `ap_nc`.
        reference: Its truth.
        options: As for `match_boxes`.

    Returns:
        A drawing that needs no image: boxes at their places, each with its class as a tooltip.

    Raises:
        ValueError: As `ap_nc`.
    """
    rows = match_boxes(prediction, reference, **options)
    found, true = quads(prediction["boxes"], "prediction"), quads(reference["boxes"], "reference")
    shapes = [(true[k], "missed", reference["labels"][k]) for k in rows["missed"]]
    shapes += [(found[k], "ignored", prediction["labels"][k]) for k in rows["ignored"]]
    shapes += [(found[k], "false", prediction["labels"][k]) for k in rows["false"]]
    shapes += [(found[k], "matched", prediction["labels"][k]) for k, _ in rows["matched"]]
    corners = np.concatenate([found, true]).reshape(-1, 2)
    low, high = (corners.min(axis=0), corners.max(axis=0)) if len(corners) else (np.zeros(2), np.ones(2))
    size = np.maximum(high - low, 1e-9)
    scale = (_SIDE - 20) / size.max()
    width, height = np.ceil(size * scale).astype(int) + 20
    lines = [_outline((box.reshape(4, 2) - low) * scale + 10, name, label) for box, name, label in shapes[-_MOST:]]
    legend = ", ".join(f"{len(rows[name])} {name}" for name in ("matched", "missed", "false"))
    if len(shapes) > _MOST:
        legend += f" ({_MOST} boxes drawn)"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height + 24}" width="{width}" style="max-width: 100%; '
        'height: auto" '
        f'role="img" aria-label="{legend}"><text x="10" y="{height + 16}" font-size="14" fill="currentColor">{legend}</text>'
        f"{''.join(lines)}</svg>"
    )


def _outline(corners: Floats, name: str, label: str) -> str:
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
    dashes = f' stroke-dasharray="{DASHES[name]}"' if name in DASHES else ""
    return (
        f'<polygon class="{name}" points="{points}" fill="none" stroke="{COLOURS[name]}" stroke-width="2"{dashes}>'
        f"<title>{escape(label)}: {name}</title></polygon>"
    )
