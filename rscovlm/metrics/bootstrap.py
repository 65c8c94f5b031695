"""How certain a number is: confidence intervals and paired tests, by resampling whole clusters of items."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Metric = Callable[..., float]
Rows = list[NDArray[np.intp]]


def bootstrap(
    metric: Metric,
    *columns: Sequence[Any],
    clusters: Sequence[Hashable] | None = None,
    repeats: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, float]:
    """Estimate the confidence interval of a metric by drawing clusters of items with replacement.

    Questions about one image are not independent: give its name as their cluster, and images are drawn, with all their
    questions. The interval runs between percentiles of the redrawn values. The order of items changes nothing.

    Args:
        metric: Takes the columns, redrawn, and returns a number, such as
            ``lambda p, r: ap_nc(p, r, repeats=1)["ap_nc50"]["mean"]`` or ``lambda hits: sum(hits) / len(hits)``.
        columns: Equally long: predictions and references, or per-item credits.
        clusters: One name per item; None makes every item its own cluster.
        repeats: Number of redraws.
        confidence: Share of redraws inside the interval.
        seed: Another seed, other draws.

    Returns:
        ``value`` (on all items), ``low``, ``high``, ``std`` (standard error), ``confidence``, ``repeats``, ``items``,
        ``clusters``.

    Raises:
        ValueError: If lengths differ, nothing is given, or a setting is out of range.

    Example:
        >>> hits = [1.0] * 80 + [0.0] * 20
        >>> result = bootstrap(lambda column: sum(column) / len(column), hits)
        >>> result["value"], 0.70 < result["low"] < 0.76, 0.84 < result["high"] < 0.90
        (0.8, True, True)
    """
    groups = clustered(columns, clusters)
    check_settings(repeats, confidence)
    values = np.empty(repeats)
    for k, rows in enumerate(redraws(groups, repeats, seed)):
        values[k] = metric(*(_taken(column, rows) for column in columns))
    return {
        "value": float(metric(*columns)),
        **interval(values, confidence),
        "repeats": repeats,
        "items": len(columns[0]),
        "clusters": len(groups),
    }


def paired_test(
    metric: Metric,
    first: Sequence[Any],
    second: Sequence[Any],
    *shared: Sequence[Any],
    clusters: Sequence[Hashable] | None = None,
    repeats: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, float]:
    """Test whether two models differ on the same items.

    The p-value asks how often a difference at least as large (either way) comes up when the two models' answers are
    swapped at random, cluster by cluster; the interval of the difference comes from redrawing clusters.

    Args:
        metric: Takes one model's answers and the shared columns, and returns a number.
        first: Answers of the first model.
        second: Answers of the second model, to the same items.
        shared: Other columns, such as references.
        clusters: As for `bootstrap`.
        repeats: Number of swaps, and of redraws.
        confidence: Share of redraws inside the interval.
        seed: Another seed, other draws.

    Returns:
        ``difference`` (first minus second), ``first``, ``second``, ``p_value`` (two-sided, at least
        1 / (repeats + 1)), ``low``, ``high``, ``std`` of the difference, ``confidence``, ``repeats``, ``items``,
        ``clusters``.

    Raises:
        ValueError: As `bootstrap`.

    Example:
        >>> better, worse = [1.0] * 90 + [0.0] * 10, [1.0] * 60 + [0.0] * 40
        >>> result = paired_test(lambda hits: sum(hits) / len(hits), better, worse)
        >>> round(result["difference"], 3), result["p_value"] < 0.01
        (0.3, True)
    """
    columns = (first, second, *shared)
    groups = clustered(columns, clusters)
    check_settings(repeats, confidence)
    rng = np.random.default_rng(seed)

    def difference(one: Sequence[Any], two: Sequence[Any], rest: Sequence[Sequence[Any]]) -> float:
        return float(metric(one, *rest)) - float(metric(two, *rest))

    values, swapped = np.empty(repeats), np.empty(repeats)
    for k in range(repeats):
        rows = np.concatenate([groups[group] for group in rng.integers(len(groups), size=len(groups))])
        drawn = [_taken(column, rows) for column in columns]
        values[k] = difference(drawn[0], drawn[1], drawn[2:])
        flip = np.zeros(len(first), bool)
        for group, turned in zip(groups, rng.random(len(groups)) < 0.5, strict=True):
            flip[group] = turned
        one = [b if turned else a for a, b, turned in zip(first, second, flip, strict=True)]
        two = [a if turned else b for a, b, turned in zip(first, second, flip, strict=True)]
        swapped[k] = difference(one, two, shared)
    found = difference(first, second, shared)
    # Sums in another order differ by rounding: what is equal but for that counts as equal.
    extreme = int((np.abs(swapped) >= abs(found) - 1e-12).sum())
    return {
        "difference": found,
        "first": float(metric(first, *shared)),
        "second": float(metric(second, *shared)),
        "p_value": (1 + extreme) / (1 + repeats),
        **interval(values, confidence),
        "repeats": repeats,
        "items": len(first),
        "clusters": len(groups),
    }


def check_settings(repeats: int, confidence: float) -> None:
    """Check the number of redraws and the share of them inside the interval.

    Raises:
        ValueError: If one is out of range.
    """
    if repeats < 2 or not 0 < confidence < 1:
        raise ValueError(f"repeats is {repeats} and confidence {confidence}; give at least 2, and a share below 1")


def redraws(groups: Rows, repeats: int, seed: int) -> Iterator[NDArray[np.intp]]:
    """Yield the rows of clusters drawn with replacement, `repeats` times."""
    rng = np.random.default_rng(seed)
    for _ in range(repeats):
        drawn = rng.integers(len(groups), size=len(groups))
        yield np.concatenate([groups[group] for group in drawn])


def clustered(columns: Sequence[Sequence[Any]], clusters: Sequence[Hashable] | None) -> Rows:
    """Return the rows of each cluster, clusters and rows in an order that depends on their content alone.

    Raises:
        ValueError: If lengths differ or nothing is given.
    """
    lengths = {len(column) for column in columns}
    if clusters is not None:
        lengths.add(len(clusters))
    if len(lengths) != 1:
        raise ValueError(f"columns and clusters have {sorted(lengths)} entries; give one of each per item")
    if not len(columns[0]):
        raise ValueError("there are no items: the columns are empty; give at least one entry")
    keys = [_key(tuple(column[k] for column in columns)) for k in range(len(columns[0]))]
    names = keys if clusters is None else [repr(name) for name in clusters]
    order = sorted(range(len(keys)), key=lambda k: (names[k], keys[k]))
    if clusters is None:
        return [np.asarray([k]) for k in order]
    rows: dict[str, list[int]] = {}
    for k in order:
        rows.setdefault(names[k], []).append(k)
    return [np.asarray(group) for group in rows.values()]


def _key(row: Any) -> str:
    """Return a digest of an item's content."""
    digest = hashlib.blake2b(digest_size=16)
    _feed(digest, row)
    return digest.hexdigest()


def _feed(digest: Any, value: Any) -> None:
    if isinstance(value, dict):
        for key in sorted(value, key=repr):
            _feed(digest, key)
            _feed(digest, value[key])
    elif isinstance(value, (list, tuple)):
        digest.update(f"[{len(value)}".encode())
        for entry in value:
            _feed(digest, entry)
    elif isinstance(value, np.ndarray):
        digest.update(f"{value.dtype}{value.shape}".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    else:
        digest.update(repr(value).encode())


def _taken(column: Sequence[Any], rows: NDArray[np.intp]) -> Any:
    return column[rows] if isinstance(column, np.ndarray) else [column[k] for k in rows]


def interval(values: NDArray[np.float64], confidence: float) -> dict[str, float]:
    """Return the percentiles of redrawn values around `confidence` of them, and their standard deviation."""
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return {"low": float(low), "high": float(high), "std": float(values.std(ddof=1)), "confidence": confidence}
