"""Universal Transverse Mercator on WGS 84: degrees to metres of a zone and back, without PROJ."""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass

_A, _F = 6378137.0, 1 / 298.257223563
_N = _F / (2 - _F)
_ECCENTRICITY = math.sqrt(_F * (2 - _F))
_RADIUS = _A / (1 + _N) * (1 + _N**2 / 4 + _N**4 / 64 + _N**6 / 256)
_SCALE, _FALSE_EASTING, _FALSE_NORTHING = 0.9996, 500_000.0, 10_000_000.0

# Krüger's series to the sixth order in the third flattening: Karney, "Transverse Mercator with an accuracy of a few
# nanometers", J. Geodesy 85 (2011), equations 35 and 36.
_ALPHA = (
    _N / 2 - 2 * _N**2 / 3 + 5 * _N**3 / 16 + 41 * _N**4 / 180 - 127 * _N**5 / 288 + 7891 * _N**6 / 37800,
    13 * _N**2 / 48 - 3 * _N**3 / 5 + 557 * _N**4 / 1440 + 281 * _N**5 / 630 - 1983433 * _N**6 / 1935360,
    61 * _N**3 / 240 - 103 * _N**4 / 140 + 15061 * _N**5 / 26880 + 167603 * _N**6 / 181440,
    49561 * _N**4 / 161280 - 179 * _N**5 / 168 + 6601661 * _N**6 / 7257600,
    34729 * _N**5 / 80640 - 3418889 * _N**6 / 1995840,
    212378941 * _N**6 / 319334400,
)
_BETA = (
    _N / 2 - 2 * _N**2 / 3 + 37 * _N**3 / 96 - _N**4 / 360 - 81 * _N**5 / 512 + 96199 * _N**6 / 604800,
    _N**2 / 48 + _N**3 / 15 - 437 * _N**4 / 1440 + 46 * _N**5 / 105 - 1118711 * _N**6 / 3870720,
    17 * _N**3 / 480 - 37 * _N**4 / 840 - 209 * _N**5 / 4480 + 5569 * _N**6 / 90720,
    4397 * _N**4 / 161280 - 11 * _N**5 / 504 - 830251 * _N**6 / 7257600,
    4583 * _N**5 / 161280 - 108847 * _N**6 / 3991680,
    20648693 * _N**6 / 638668800,
)


@dataclass(frozen=True)
class UtmPlace:
    """A place in metres of a zone.

    Attributes:
        zone: 1 to 60; zone 1 begins at longitude -180.
        north: Whether northings count from the equator; those of the south count from 10,000 km below it.
        easting: Metres; 500,000 on the zone's central meridian.
        northing: Metres.

    Raises:
        ValueError: The zone is not 1 to 60, or the place lies beyond what the grid covers.
    """

    zone: int
    north: bool
    easting: float
    northing: float

    def __post_init__(self) -> None:
        if not 1 <= self.zone <= 60:
            raise ValueError(f"UTM zone is {self.zone}; give a number from 1 to 60")
        if not 0 < self.easting < 1_000_000:
            raise ValueError(f"UTM easting is {self.easting:g} m; give metres between 0 and 1,000,000")
        lowest, highest = (0.0, 9_400_000.0) if self.north else (600_000.0, _FALSE_NORTHING)
        if not lowest <= self.northing <= highest:
            raise ValueError(f"UTM northing is {self.northing:g} m; give metres from {lowest:,.0f} to {highest:,.0f}")

    def degrees(self) -> tuple[float, float]:
        """Return latitude and longitude in degrees.

        >>> [round(value, 5) for value in UtmPlace(31, True, 448251.8, 5411932.7).degrees()]
        [48.8582, 2.2945]
        """
        down = 0.0 if self.north else _FALSE_NORTHING
        scale = _SCALE * _RADIUS
        mapped = complex((self.northing - down) / scale, (self.easting - _FALSE_EASTING) / scale)
        sphere = mapped - sum(beta * cmath.sin(2 * (j + 1) * mapped) for j, beta in enumerate(_BETA))
        away = math.sinh(sphere.imag)
        conformal = math.sin(sphere.real) / math.hypot(away, math.cos(sphere.real))
        longitude = math.degrees(math.atan2(away, math.cos(sphere.real))) + 6 * self.zone - 183
        return math.degrees(math.atan(_geographic(conformal))), (longitude + 180) % 360 - 180


def utm_of(latitude: float, longitude: float, *, zone: int | None = None) -> UtmPlace:
    """Return a place in UTM.

    Args:
        latitude: Degrees, -80 to 84.
        longitude: Degrees.
        zone: The zone to use; by default the one that the grid uses there, with its exceptions in Norway.

    Raises:
        ValueError: The grid does not cover the latitude, or the place is too far from the given zone.

    >>> place = utm_of(48.8582, 2.2945)
    >>> place.zone, place.north, round(place.easting), round(place.northing)
    (31, True, 448252, 5411933)
    """
    if not -80 <= latitude <= 84:
        raise ValueError(f"latitude is {latitude:g}; UTM covers -80 to 84 degrees")
    zone = zone_of(latitude, longitude) if zone is None else zone
    across = math.radians((longitude - (6 * zone - 183) + 180) % 360 - 180)
    tangent = math.tan(math.radians(latitude))
    sigma = math.sinh(_ECCENTRICITY * math.atanh(_ECCENTRICITY * tangent / math.hypot(1, tangent)))
    conformal = tangent * math.hypot(1, sigma) - sigma * math.hypot(1, tangent)
    real = math.atan2(conformal, math.cos(across))
    sphere = complex(real, math.asinh(math.sin(across) / math.hypot(conformal, math.cos(across))))
    mapped = sphere + sum(alpha * cmath.sin(2 * (j + 1) * sphere) for j, alpha in enumerate(_ALPHA))
    down = 0.0 if latitude >= 0 else _FALSE_NORTHING
    scale = _SCALE * _RADIUS
    return UtmPlace(zone, latitude >= 0, _FALSE_EASTING + scale * mapped.imag, down + scale * mapped.real)


def zone_of(latitude: float, longitude: float) -> int:
    """Return the zone that the grid uses at a place: zones 31 and 32 are unequal off Norway, 31 to 37 at Svalbard.

    >>> zone_of(60, 5), zone_of(50, 5), zone_of(78, 10)
    (32, 31, 33)
    """
    longitude = (longitude + 180) % 360 - 180
    if 56 <= latitude < 64 and 3 <= longitude < 12:
        return 32
    if 72 <= latitude <= 84 and 0 <= longitude < 42:
        return 31 if longitude < 9 else 33 if longitude < 21 else 35 if longitude < 33 else 37
    return min(60, int((longitude + 180) // 6) + 1)


def _geographic(conformal: float) -> float:
    """Return the tangent of the latitude with a conformal one, by Newton's method (Karney, equations 19 to 21)."""
    tangent = conformal
    for _ in range(5):
        root = math.hypot(1, tangent)
        sigma = math.sinh(_ECCENTRICITY * math.atanh(_ECCENTRICITY * tangent / root))
        found = tangent * math.hypot(1, sigma) - sigma * root
        step = (1 + (1 - _ECCENTRICITY**2) * tangent**2) / ((1 - _ECCENTRICITY**2) * root)
        tangent += (conformal - found) / math.hypot(1, found) * step
    return tangent
