"""References of the Military Grid Reference System: a square of the UTM grid, named by letters and digits."""

from __future__ import annotations

import re

from rscovlm.geometry.utm import UtmPlace

BANDS = "CDEFGHJKLMNPQRSTUVWX"
"""Letters of the bands of 8 degrees from 80 degrees south on; the last one, X, has 12."""

_COLUMNS = ("ABCDEFGH", "JKLMNPQR", "STUVWXYZ")
_ROWS = "ABCDEFGHJKLMNPQRSTUV"
_SQUARE, _ROUND = 100_000, 2_000_000
"""Side of a lettered square, and how far apart squares of one name lie, in metres."""

_REFERENCE = re.compile(r"(\d{1,2})([C-HJ-NP-X])([A-HJ-NP-Z])([A-HJ-NP-V])(\d{0,10})")


def mgrs_place(reference: str) -> tuple[UtmPlace, float]:
    """Return the centre of the square that a reference names, and the square's side in metres.

    Args:
        reference: Such as ``"4QFJ 123 678"``; blanks do not matter. Its digits are one to five pairs, or none.

    Raises:
        ValueError: It is no reference, has an odd number of digits, or names a square that is not in its band; those of
            the poles (bands A, B, Y, Z) are not read.

    Source:
        NGA.STND.0037, Universal Grids and Grid Reference Systems, section 3.

    >>> mgrs_place("4QFJ12345678")
    (UtmPlace(zone=4, north=True, easting=612345.0, northing=2356785.0), 10.0)
    """
    found = _REFERENCE.fullmatch(re.sub(r"\s", "", reference).upper())
    if found is None:
        raise ValueError(f"{reference!r} is no MGRS reference; give one such as '4QFJ 1234 5678'")
    zone, band, column, row, digits = int(found[1]), found[2], found[3], found[4], found[5]
    if len(digits) % 2:
        raise ValueError(f"MGRS reference {reference!r} has {len(digits)} digits; give as many for east as for north")
    if not 1 <= zone <= 60:
        raise ValueError(f"MGRS reference {reference!r} has the zone {zone}; zones are 1 to 60")
    columns = _COLUMNS[(zone - 1) % 3]
    if column not in columns:
        raise ValueError(f"MGRS reference {reference!r} has the column {column}; zone {zone} has {columns}")
    side = float(10 ** (5 - len(digits) // 2))
    half = len(digits) // 2
    east = (columns.index(column) + 1) * _SQUARE + (int(digits[:half]) if half else 0) * side + side / 2
    # Rows of even zones begin five letters on, so that neighbours differ.
    first = (_ROWS.index(row) - (0 if zone % 2 else 5)) % len(_ROWS) * _SQUARE
    north = first + (int(digits[half:]) if half else 0) * side + side / 2
    return _in_band(reference, zone, band, east, north), side


def _in_band(reference: str, zone: int, band: str, easting: float, northing: float) -> UtmPlace:
    """Return which of the squares of one name, 2,000 km apart, lies in a band, which is some 890 km high."""
    lowest = -80 + 8 * BANDS.index(band)
    highest = 84 if band == "X" else lowest + 8
    northern = band >= "N"
    for turn in range(5):
        metres = northing + turn * _ROUND
        if not (metres <= 9_400_000 if northern else 600_000 <= metres <= 10_000_000):
            continue
        place = UtmPlace(zone, northern, easting, metres)
        # A square of 100 km that the band's edge cuts is named in both bands: a degree is allowed.
        if lowest - 1 <= place.degrees()[0] <= highest + 1:
            return place
    raise ValueError(f"MGRS reference {reference!r} names a square that does not lie in band {band}")
