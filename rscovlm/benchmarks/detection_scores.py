"""Scoring detection: AP without confidence under both protocols, false alarms on empty images, duplicates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rscovlm.benchmarks.scores import BenchmarkFigure, count_answer
from rscovlm.geometry import Boxes
from rscovlm.metrics import ap_nc, bootstrap_ap_nc
from rscovlm.metrics.matched_detections import detection_protocol
from rscovlm.tasks.served import truncated_answers

NAMES = {"ap_nc50": "AP_nc50", "ap_nc75": "AP_nc75", "ap_nc50_95": "AP_nc50:95"}
"""What the paper calls what `ap_nc` computes."""

Side = dict[str, Any]


class DetectionScorer:
    """Reads rows of a run, an image each.

    Args:
        protocols: The conventions, protocols of `ap_nc`.
    """

    def __init__(self, protocols: Sequence[str]) -> None:
        self.counts: Counter[str] = Counter()
        self.items: list[str] = []
        self.found: list[Side] = []
        self.true: list[Side] = []
        self.details: dict[str, Any] = {}
        self._protocols = tuple(map(detection_protocol, protocols))

    def add(self, row: Mapping[str, Any]) -> None:
        """Take what was found and what is true on an image."""
        answered = count_answer(self.counts, row)
        truth = row.get("truth") or {"boxes": [], "labels": [], "difficult": []}
        objects = row.get("objects", ()) if answered else ()
        self.counts["objects"] += len(objects)
        problems = row.get("problems") or {}
        self.counts["duplicates"] += problems.get("duplicate", 0)
        self.counts["unparsed"] += sum(
            number for reason, number in problems.items() if reason not in ("duplicate", "skipped", "cut_off", "repeat")
        )
        self.counts["truncated"] += truncated_answers(row) - (row.get("finish") == "length")
        self.counts["repeated"] += problems.get("repeat", 0)
        self.items.append(row["item"])
        self.found.append(side_of(objects))
        self.true.append({key: truth[key] for key in ("boxes", "labels", "difficult")})

    def figures(self, *, repeats: int) -> tuple[BenchmarkFigure, ...]:
        """Return AP_nc at 0.50, 0.75 and over ten thresholds, by protocol; nothing where no true box is known."""
        self._look()
        if not any(side["labels"] for side in self.true):
            self.details["reason"] = "no true box is known, so there is no figure; send the Task1 archive to the server"
            return ()
        figures: list[BenchmarkFigure] = []
        for protocol in self._protocols:
            result = ap_nc(self.found, self.true, protocol=protocol)
            intervals: dict[str, Any] = {}
            if repeats and len(self.found) > 1:
                bare = [{key: side[key] for key in ("boxes", "labels")} for side in self.found]
                intervals = bootstrap_ap_nc(bare, self.true, protocol=protocol, repeats=repeats)
            for key, name in NAMES.items():
                about = intervals.get(key, {})
                figures.append(
                    BenchmarkFigure(
                        name, protocol, result[key]["mean"], len(self.found), about.get("low"), about.get("high")
                    )
                )
            self.details[protocol] = {
                "constant_score": result["constant_score"]["ap_nc50"],
                "std_over_orders": {NAMES[key]: result[key]["std"] for key in NAMES},
                **{key: result[key] for key in ("mf1", "precision", "recall")},
                "per_class": {
                    name: {"AP_nc50": row["ap_nc50"]["mean"], "true": row["true"], "found": row["found"]}
                    for name, row in result["per_class"].items()
                },
            }
        return tuple(figures)

    def constant(self) -> dict[str, float]:
        """Return what "there are none" scores: nothing, where anything is there."""
        return dict.fromkeys(NAMES.values(), 0.0) if any(side["labels"] for side in self.true) else {}

    def _look(self) -> None:
        empty = [place for place, side in enumerate(self.true) if not side["labels"]]
        alarms = sum(bool(self.found[place]["labels"]) for place in empty)
        objects = self.counts["objects"]
        self.details["empty_images"] = len(empty)
        self.details["false_alarms"] = alarms
        self.details["false_alarm_rate"] = alarms / len(empty) if empty else None
        self.details["duplicate_rate"] = self.counts["duplicates"] / max(1, objects + self.counts["duplicates"])


def side_of(objects: Sequence[Mapping[str, Any]]) -> Side:
    """Return the objects of a row as `ap_nc` takes them: corners, labels and, where all have one, scores."""
    boxes: list[list[float]] = []
    for one in objects:
        if one["kind"] == "quad":
            boxes.append(list(one["box"]))
        else:
            boxes.append([float(value) for value in Boxes([one["box"]], one["kind"], None).as_kind("quad").coords[0]])
    side: Side = {"boxes": boxes, "labels": [one["label"] for one in objects]}
    if objects and all("score" in one for one in objects):
        side["scores"] = [one["score"] for one in objects]
    return side
