"""Scoring grounding: the one box of an answer beside the true one, under each convention."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rscovlm.benchmarks.columns import CreditTable
from rscovlm.benchmarks.scores import BenchmarkFigure, count_answer
from rscovlm.codec.dialect import Dialect
from rscovlm.geometry import Boxes, Frame
from rscovlm.metrics import grounding_accuracy, rescaled, rscovlm_answer

_CHUNK = 4096

Box = list[float]


class BoxScorer:
    """Reads rows of a run and keeps credits; boxes are compared some thousands at a time.

    Args:
        rules: The conventions.
        columns: Columns in the order of the suite.
        average: Name of the mean of the columns.
        dialect: How the model wrote its boxes.
        keep_items: Also keep the names of items, for paired tests.
    """

    def __init__(
        self, rules: Sequence[str], columns: Sequence[str], average: str, dialect: Dialect, *, keep_items: bool = False
    ) -> None:
        self.table = CreditTable(rules, columns, average, keep_items=keep_items)
        self.counts: Counter[str] = Counter()
        self.overlaps: dict[str, float] = {}
        self._rules, self._dialect = tuple(rules), dialect
        self._style = "json" if dialect.form("ground")[1] == "json" else "plain"
        self._waiting: list[tuple[Mapping[str, Any], Box | None, Box | None, Box]] = []
        self._relative: list[Box] = []
        self._true: list[tuple[Box, tuple[int, int]]] = []

    def add(self, row: Mapping[str, Any]) -> None:
        """Read the box of a row."""
        answered = count_answer(self.counts, row)
        if "truth" not in row:  # the image could not be read, so that nothing is known of it
            self.table.add(row["item"], row.get("image", ""), row.get("column", "all"), "", {})
            return
        truth = _upright(row["truth"]["box"], row["truth"]["kind"])
        size = (int(row["size"][0]), int(row["size"][1]))
        mine = self._read(row, size) if answered else None
        theirs = self._as_reference(row, size) if answered and "rscovlm" in self._rules else None
        self.counts["unparsed"] += answered and mine is None
        self._true.append((truth, size))
        self._waiting.append(
            ({key: row.get(key, "") for key in ("item", "image", "column", "within")}, mine, theirs, truth)
        )
        if len(self._waiting) >= _CHUNK:
            self._settle()

    def figures(self, *, repeats: int) -> tuple[BenchmarkFigure, ...]:
        """Return the figures of all conventions."""
        self._settle()
        return self.table.figures(repeats=repeats)

    def constant(self) -> dict[str, float]:
        """Return what the one box at the median place scores: sides as shares of the image."""
        if not self._true:
            return {}
        shares = np.array([[box[0] / w, box[1] / h, box[2] / w, box[3] / h] for box, (w, h) in self._true])
        middle = np.median(shares, axis=0)
        boxes = [list(middle * [w, h, w, h]) for _, (w, h) in self._true]
        return {"all": float(grounding_accuracy(boxes, [box for box, _ in self._true])["acc50"])}

    def settle(self) -> None:
        """Compare what was read and not yet compared."""
        self._settle()

    def _read(self, row: Mapping[str, Any], size: tuple[int, int]) -> Box | None:
        seen = row.get("seen") or list(size)
        frame = Frame(*size)
        decoded = self._dialect.codec.decode(str(row["answer"]), frame.resized(int(seen[0]), int(seen[1])))
        boxes = decoded.objects.boxes
        if not len(boxes):
            return None
        found = boxes[:1].to(frame).as_kind("hbb").coords[0]
        return [float(value) for value in found]

    def _as_reference(self, row: Mapping[str, Any], size: tuple[int, int]) -> Box | None:
        seen = row.get("seen") or list(size)
        box = rscovlm_answer(str(row["answer"]), "json" if self._style == "json" else "plain")
        return rescaled(box, (int(seen[0]), int(seen[1])), size)

    def _settle(self) -> None:
        if not self._waiting:
            return
        truths = [entry[3] for entry in self._waiting]
        plain = np.array(grounding_accuracy([entry[1] for entry in self._waiting], truths)["iou"])
        theirs = plain
        if "rscovlm" in self._rules:
            read = grounding_accuracy([entry[2] for entry in self._waiting], truths, protocol="rscovlm")
            theirs = np.array(read["iou"])
        for (row, mine, _, true), overlap, other in zip(self._waiting, plain, theirs, strict=True):
            credits = {
                "iou>0.5": float(overlap > 0.5),
                "iou>=0.5": float(overlap >= 0.5),
                "iou>0.75": float(overlap > 0.75),
                "pointing": float(mine is not None and _inside(mine, true)),
                "rscovlm": float(other > 0.5),
            }
            self.table.add(row["item"], row["image"], row["column"] or "all", row["within"], credits)
            if self.table.keep_items:
                self.overlaps[row["item"]] = float(overlap)
        self._waiting.clear()


def _upright(box: Sequence[float], kind: Any) -> Box:
    return [float(value) for value in Boxes([list(box)], kind, None).as_kind("hbb").coords[0]]


def _inside(box: Box, true: Box) -> bool:
    """Tell whether the centre of a box lies in the true one."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return true[0] <= x <= true[2] and true[1] <= y <= true[3]
