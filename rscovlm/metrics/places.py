"""Places: how far coordinates are from the true ones, and whether the city is right."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rscovlm.metrics.texts import check_columns

RADIUS = 6371.0088
"""Mean radius of the Earth in kilometres (IUGG)."""

DISTANCES = (1.0, 25.0, 200.0, 750.0, 2500.0)
"""Kilometres within which a place counts: street, city, region, country and continent (Hays and Efros, IM2GPS, 2008)."""


def great_circle(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """Return the distances in kilometres between places on a sphere, row by row.

    Args:
        a: (..., 2) latitudes and longitudes in degrees.
        b: (..., 2) places to compare with.

    Raises:
        ValueError: A latitude is not within -90 and 90, or a number is not finite.

    Source:
        The haversine formula; it differs from the ellipsoid's geodesic by at most 0.6 %.

    >>> great_circle([[48.8566, 2.3522]], [[51.5074, -0.1278]]).round(1).tolist()
    [343.6]
    """
    one, two = (np.asarray(values, dtype=np.float64) for values in (a, b))
    for name, values in (("a", one), ("b", two)):
        if values.shape[-1:] != (2,) or not np.isfinite(values).all() or (np.abs(values[..., 0]) > 90).any():
            raise ValueError(
                f"{name} is {values.tolist()!r:.200}; give latitudes from -90 to 90 and longitudes, (..., 2)"
            )
    (lat1, lon1), (lat2, lon2) = (np.moveaxis(np.radians(values), -1, 0) for values in (one, two))
    half = np.sin((lat2 - lat1) / 2) ** 2 + np.cos(lat1) * np.cos(lat2) * np.sin((lon2 - lon1) / 2) ** 2
    return np.asarray(2 * RADIUS * np.arcsin(np.sqrt(np.clip(half, 0, 1))))


def place_accuracy(
    predictions: Sequence[tuple[float, float] | None],
    references: Sequence[tuple[float, float]],
    *,
    cities: Sequence[str] | None = None,
    true_cities: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Measure places by their great-circle distance to the true ones.

    Args:
        predictions: Latitude and longitude of each item; None where the answer could not be read.
        references: The true ones.
        cities: Names of cities as answered; compared by `same_city`.
        true_cities: The true names; items without one are left out of ``city``.

    Returns:
        ``within_1km``, ``within_25km``, ``within_200km``, ``within_750km``, ``within_2500km`` (shares of all items, an
        unread one is not within), ``median_km`` and ``mean_km`` over the items read (0 without any), ``items``,
        ``unread``, ``error_km`` (per item, None where unread); with cities ``city`` (share of items whose city is right)
        and ``cities`` (items that have one).

    Raises:
        ValueError: Lengths differ, nothing is given, or numbers are no latitude and longitude.

    Source:
        No protocol is published for overhead images; the distances are those of photo geolocation (IM2GPS).

    >>> result = place_accuracy([(48.9, 2.4), None], [(48.8566, 2.3522), (0.0, 0.0)])
    >>> result["within_25km"], result["unread"], round(result["median_km"], 2)
    (0.5, 1, 5.96)
    """
    columns: dict[str, Sequence[object]] = {"predictions": predictions, "references": references}
    if (cities is None) != (true_cities is None):
        raise ValueError("cities and true_cities go together; give both or none")
    if cities is not None and true_cities is not None:
        columns |= {"cities": cities, "true_cities": true_cities}
    check_columns(columns)
    read = {k: found for k, found in enumerate(predictions) if found is not None}
    true = [references[k] for k in read]
    distances = great_circle(list(read.values()), true) if read else np.empty(0)
    errors: list[float | None] = [None] * len(references)
    for k, distance in zip(read, distances.tolist(), strict=True):
        errors[k] = distance
    ordered = np.sort(distances)  # sums do not depend on the order of rows
    result: dict[str, Any] = {
        f"within_{limit:g}km": int((ordered <= limit).sum()) / len(references) for limit in DISTANCES
    }
    result |= {
        "median_km": float(np.median(ordered)) if read else 0.0,
        "mean_km": float(ordered.mean()) if read else 0.0,
        "items": len(references),
        "unread": len(references) - len(read),
        "error_km": errors,
    }
    if cities is not None and true_cities is not None:
        named = [(mine, true) for mine, true in zip(cities, true_cities, strict=True) if true.strip()]
        right = sum(same_city(mine, true) for mine, true in named)
        result |= {"city": right / len(named) if named else 0.0, "cities": len(named)}
    return result


def same_city(found: str, true: str) -> bool:
    """Tell whether two names mean the same city: case, accents and punctuation aside, and what follows a comma aside.

    >>> same_city("Sao Paulo, Brazil", "São Paulo"), same_city("York", "New York")
    (True, False)
    """
    one, two = _plain(found), _plain(true)
    return bool(one[0]) and (one[0] == two[0] or one[1] == two[1])


def _plain(name: str) -> tuple[str, str]:
    """Return the part before the first comma and the whole, as compared."""
    letters = unicodedata.normalize("NFKD", name).casefold()
    letters = "".join(letter for letter in letters if not unicodedata.combining(letter))
    first, whole = (re.sub(r"[\W_]+", " ", part).strip() for part in (letters.partition(",")[0], letters))
    return first, whole
