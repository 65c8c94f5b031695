"""Change between two images, object by object: AP_nc of instances that carry no confidence."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rscovlm.geometry.affine import Floats
from rscovlm.geometry.parts import number_parts
from rscovlm.metrics import content
from rscovlm.metrics.masks import mask_pairs
from rscovlm.metrics.matched_detections import DEFAULT_THRESHOLDS
from rscovlm.metrics.precision import GRIDS, Interpolation, Outcomes, average_precisions


def change_ap_nc(
    predictions: Iterable[ArrayLike],
    references: Iterable[ArrayLike],
    *,
    instances: Literal["parts", "labels"] = "parts",
    iou_thresholds: Sequence[float] = DEFAULT_THRESHOLDS,
    strict: bool = True,
    interpolation: Interpolation = "11point",
    repeats: int = 10,
    seed: int = 0,
) -> dict[str, Any]:
    """Compute the average precision of changed objects without confidence, AP_nc, over a data set of pairs.

    As in `ap_nc`, found objects of all pairs are shuffled `repeats` times, by draws that depend on their pixels alone, so that no
    order of pairs or objects changes a result. Each points at the true object of its pair that it overlaps most (IoU of pixels); it
    is right if that overlap passes the threshold and no earlier one took the same true object.

    Args:
        predictions: (h, w) masks of what changed; any iterable, read one at a time.
        references: The true masks, likewise.
        instances: ``"parts"``: an object is a connected part of what is not 0, diagonals included. ``"labels"``: an object is all
            pixels of one number, so that objects may touch or have several parts.
        iou_thresholds: Increasing overlaps in (0, 1].
        strict: Whether the overlap must exceed the threshold.
        interpolation: ``"11point"``, ``"area"`` or ``"101point"``.
        repeats: Number of shuffles.
        seed: Another seed, other shuffles.

    Returns:
        ``ap_nc50``, ``ap_nc75`` (where among the thresholds) and ``ap_nc`` (mean over thresholds), each with ``mean``, ``std``,
        ``min`` and ``max`` over the shuffles; ``f1``, ``precision``, ``recall`` one to one at the first threshold; ``found``, ``true``
        (objects), ``items``, ``false_alarm_items`` (pairs without a change in which an object was found). Without any true
        object the precisions are 0.

    Raises:
        ValueError: Numbers or sizes of masks differ, there are none, labels are no whole numbers from 0, or a setting has no meaning.

    Source:
        AP_nc of RSCoVLM, section III-D, on instances of change masks as LEVIR-CD counts its buildings.

    Example:
        >>> found, true = [[1, 1, 0, 0, 1]], [[1, 1, 1, 0, 0]]
        >>> result = change_ap_nc([found], [true])
        >>> result["ap_nc50"]["min"], result["ap_nc50"]["max"], result["precision"], result["recall"]
        (0.5, 1.0, 0.5, 1.0)
    """
    thresholds = _checked(instances, iou_thresholds, interpolation, repeats)
    pairs = _MatchedObjects()
    for found, true in mask_pairs(predictions, references):
        pairs.add(_numbered(found, instances), _numbered(true, instances))
    outcomes, keys = pairs.outcomes(thresholds, strict=strict)
    order = np.argsort(keys)
    outcomes = Outcomes(outcomes.truth[order], outcomes.level[order], outcomes.void[order], outcomes.positives)
    orders = content.random_orders(keys[order], content.streams(repeats, seed))
    values = average_precisions(outcomes, orders, len(thresholds), interpolation) if len(keys) else None
    table = np.zeros((len(thresholds), repeats)) if values is None else values
    right = int(outcomes.right(len(thresholds))[0])
    named = {f"ap_nc{round(100 * t)}": table[thresholds.index(t)] for t in (0.5, 0.75) if t in thresholds}
    return {
        **{name: _spread(row) for name, row in named.items()},
        "ap_nc": _spread(table.mean(axis=0)),
        "f1": 2 * right / max(1, len(keys) + outcomes.positives),
        "precision": right / max(1, len(keys)),
        "recall": right / max(1, outcomes.positives),
        "found": len(keys),
        "true": outcomes.positives,
        "items": pairs.items,
        "false_alarm_items": pairs.alarmed,
    }


@dataclass
class _MatchedObjects:
    """What the pairs read so far hold: for each found object its best true one, and a key of its content."""

    items: int = 0
    alarmed: int = 0
    true: int = 0
    truth: list[NDArray[np.int64]] = field(default_factory=list)
    overlap: list[Floats] = field(default_factory=list)
    keys: list[int] = field(default_factory=list)

    def add(self, found: NDArray[np.int64], true: NDArray[np.int64]) -> None:
        """Match the objects of a pair, numbered from 1 each."""
        mine, theirs = int(found.max(initial=0)), int(true.max(initial=0))
        table = np.bincount((found * (theirs + 1) + true).ravel(), minlength=(mine + 1) * (theirs + 1))
        shared = table.reshape(mine + 1, theirs + 1)
        whole = shared.sum(axis=1)[1:, None] + shared.sum(axis=0)[None, 1:] - shared[1:, 1:]
        overlap = shared[1:, 1:] / np.maximum(whole, 1)
        self.items += 1
        self.alarmed += bool(mine and not theirs)
        if mine:
            best = overlap.argmax(axis=1) if theirs else np.zeros(mine, np.int64)
            self.truth.append(best + self.true)
            self.overlap.append(overlap.max(axis=1, initial=0.0))
            # Objects are told apart by their pixels and by all that their pair holds.
            pair = _digest((found > 0).tobytes(), (true > 0).tobytes(), str(found.shape).encode())
            self.keys += [_digest(pair.to_bytes(8, "little"), place) for place in _places(found, mine)]
        self.true += theirs

    def outcomes(self, thresholds: Sequence[float], *, strict: bool) -> tuple[Outcomes, content.Keys]:
        """Return what the found objects are worth, and keys of them that all differ."""
        truth = np.concatenate([np.empty(0, np.int64), *self.truth]).astype(np.intp)
        overlap = np.concatenate([np.empty(0), *self.overlap]).round(10)
        level = np.searchsorted(np.asarray(thresholds), overlap, side="left" if strict else "right").astype(np.int16)
        keys = content.numbered(np.array(self.keys, np.uint64))
        return Outcomes(truth, level, np.zeros(len(level), np.int16), self.true), keys


def _numbered(mask: NDArray[Any], instances: str) -> NDArray[np.int64]:
    """Return the objects of a mask numbered from 1."""
    if instances == "parts":
        return number_parts(mask).astype(np.int64)
    if mask.dtype.kind not in "bui" or (mask.dtype.kind == "i" and (mask < 0).any()):
        raise ValueError(f"labels have type {mask.dtype} or lie below 0; give whole numbers from 0")
    names, numbers = np.unique(mask, return_inverse=True)
    numbers = numbers.reshape(mask.shape).astype(np.int64)
    return numbers if len(names) and names[0] == 0 else numbers + 1


def _places(numbers: NDArray[np.int64], count: int) -> list[bytes]:
    """Return the pixels of each object, as bytes."""
    flat = numbers.ravel()
    order = np.argsort(flat, kind="stable")
    ends = np.searchsorted(flat[order], np.arange(1, count + 2))
    return [order[low:high].tobytes() for low, high in pairwise(ends)]


def _digest(*parts: bytes) -> int:
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        digest.update(part)
    return int.from_bytes(digest.digest(), "little")


def _spread(values: Floats) -> dict[str, float]:
    return {name: float(getattr(values, name)()) for name in ("mean", "std", "min", "max")}


def _checked(instances: str, thresholds: Sequence[float], interpolation: str, repeats: int) -> tuple[float, ...]:
    """Return the thresholds as numbers.

    Raises:
        ValueError: A setting has no meaning.
    """
    if instances not in ("parts", "labels"):
        raise ValueError(f"instances is {instances!r}; use 'parts' or 'labels'")
    if interpolation not in (*GRIDS, "area"):
        raise ValueError(f"interpolation is {interpolation!r}; use one of {', '.join((*GRIDS, 'area'))}")
    if repeats < 1:
        raise ValueError(f"repeats is {repeats}; give at least 1")
    found = tuple(float(one) for one in thresholds)
    if not found or any(not 0 < one <= 1 for one in found) or list(found) != sorted(set(found)):
        raise ValueError(f"iou_thresholds is {found}; give increasing numbers in (0, 1]")
    return found
