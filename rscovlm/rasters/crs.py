"""Coordinate reference systems from text that somebody else wrote, read without opening what the text names.

GDAL and PROJ take more than a definition for a system: a path or an address whose content they read, ``+init=file:key``,
grids (``+nadgrids=``, ``PARAMETERFILE``), pipelines. A text passes here when every part of it is known to be data.
"""

from __future__ import annotations

import re
from typing import Any

from rscovlm.rasters.gdal_errors import translated

LONGEST = 2**16
"""Characters of a definition; a compound system with all its remarks has some ten thousand."""

_CODE = re.compile(r"(EPSG|ESRI|OGC|IGNF|IAU_2015|NKG|NRCAN):([A-Za-z0-9_.]+)", re.IGNORECASE | re.ASCII)
_URN = re.compile(r"urn:(?:x-)?ogc:def:crs:(EPSG|ESRI|OGC|IGNF):[\d.]*:([A-Za-z0-9_.]+)", re.IGNORECASE | re.ASCII)
_URL = re.compile(
    r"https?://www\.opengis\.net/(?:def/crs/(EPSG|OGC)/[\d.]+/|gml/srs/(epsg)\.xml#)([A-Za-z0-9_]+)", re.IGNORECASE
)
_TOKEN = re.compile(r'"(?:[^"]|"")*"|[\[\](),]|[^\s\[\](),"]+')
# What may stand before a bracket. PARAMETERFILE, GEOIDMODEL, VELOCITYGRID and COORDINATEOPERATION are left out: their
# values are names of files. EXTENSION and names of methods are looked into.
_WORDS = """
PROJCS GEOGCS GEOCCS VERT_CS VERTCS COMPD_CS LOCAL_CS DATUM VDATUM VERT_DATUM LOCAL_DATUM SPHEROID PRIMEM UNIT
LINUNIT AUTHORITY AXIS PROJECTION PARAMETER TOWGS84 EXTENSION METADATA
PROJCRS PROJECTEDCRS GEOGCRS GEOGRAPHICCRS GEODCRS GEODETICCRS BASEGEOGCRS BASEGEODCRS BASEPROJCRS BASEENGCRS
COMPOUNDCRS VERTCRS VERTICALCRS ENGCRS ENGINEERINGCRS BOUNDCRS SOURCECRS TARGETCRS ABRIDGEDTRANSFORMATION
ELLIPSOID GEODETICDATUM TRF VRF VERTICALDATUM EDATUM ENGINEERINGDATUM DYNAMIC FRAMEEPOCH ENSEMBLE MEMBER
ENSEMBLEACCURACY ANCHOR ANCHOREPOCH PRIMEMERIDIAN CS ORDER MERIDIAN BEARING ANGLEUNIT LENGTHUNIT SCALEUNIT TIMEUNIT
CONVERSION DERIVINGCONVERSION METHOD ID CITATION URI SCOPE USAGE AREA BBOX VERTICALEXTENT TIMEEXTENT REMARK
COORDINATEMETADATA EPOCH COORDEPOCH OPERATIONACCURACY VERSION AXISMINVALUE AXISMAXVALUE RANGEMEANING
"""
_KEYWORDS = frozenset(_WORDS.split())
# What a definition begins with: anything else GDAL would try as the name of a file.
_ROOT = re.compile(
    r"(PROJCS|GEOGCS|GEOCCS|VERT_CS|VERTCS|COMPD_CS|LOCAL_CS|PROJCRS|PROJECTEDCRS|GEOGCRS|GEOGRAPHICCRS|GEODCRS"
    r"|GEODETICCRS|COMPOUNDCRS|VERTCRS|VERTICALCRS|ENGCRS|ENGINEERINGCRS|BOUNDCRS)\s*[\[(]",
    re.IGNORECASE,
)
_METHODS = ("PROJECTION", "METHOD")
_FILES = ("init", "nadgrids", "geoidgrids", "grids", "file", "catalog", "model", "xy_grids", "z_grids", "step", "inv")


def check_crs(text: str) -> None:
    """Refuse a coordinate reference system that would make PROJ or GDAL open a file or an address.

    Args:
        text: A code (``EPSG:4326``), a URN or URL of OGC, WKT, or a PROJ string.

    Raises:
        ValueError: It is none of these, or names a file, a grid or a pipeline.

    Example:
        >>> check_crs("EPSG:32633")
        >>> check_crs("+proj=longlat +nadgrids=/etc/hosts")
        Traceback (most recent call last):
        ValueError: the coordinate system '+proj=longlat +nadgrids=/etc/hosts' ... +nadgrids ...
    """
    why = _reason(text)
    if why:
        raise ValueError(
            f"the coordinate system {text[:60]!r} is not used: {why}; give a code (EPSG:32633), or WKT or a PROJ "
            "string that names no file"
        )


def read_crs(text: str, *, esri: bool = False) -> Any:
    """Return rasterio's CRS of a text, which may be WKT in Esri's dialect.

    Raises:
        ValueError: `check_crs` refuses it, or PROJ does not know it.
        ImportError: rasterio is not installed.
    """
    from rasterio.crs import CRS

    text = text.strip()
    check_crs(text)
    named = authority(text)
    with translated(f"the coordinate system {text[:60]!r} is not known; give an EPSG code"):
        # A code that PROJ does not know must not be tried as the name of a file.
        return CRS.from_authority(*named) if named else CRS.from_user_input(text, morph_from_esri_dialect=esri)


def stated_crs(text: str, *, esri: bool = False) -> tuple[str | None, tuple[str, ...]]:
    """Return the system that a VRT, a .prj or an .aux.xml file states, as an EPSG code where it is one; and notes.

    Args:
        text: Its definition; may be empty.
        esri: Whether it is written in Esri's dialect of WKT.
    """
    if not text.strip():
        return None, ()
    try:
        found = read_crs(text, esri=esri)
    except ImportError:
        named = authority(text)
        return (":".join(named), ()) if named else (None, ("its coordinate system is used with rscovlm[geo] alone",))
    except ValueError as error:
        return None, (str(error),)
    return crs_name(found), ()


def crs_name(crs: Any) -> str | None:
    """Write a rasterio CRS as an EPSG code where it is one, else as WKT."""
    if not crs:
        return None
    code = crs.to_epsg()
    return f"EPSG:{code}" if code is not None else str(crs.to_wkt())


def is_geographic(crs: str | None) -> bool:
    """Tell whether coordinates of a system are longitude and latitude, as far as that is known."""
    try:
        return crs is not None and bool(read_crs(crs).is_geographic)
    except (ImportError, ValueError):
        return False


def north_first(code: int) -> bool:
    """Tell whether EPSG names the axis that runs north (latitude, northing) before the other.

    Raises:
        ValueError: PROJ does not know the code.
    """
    axes = re.findall(r'AXIS\["([^"]*)",(\w+)', str(read_crs(f"EPSG:{code}").to_wkt(version="WKT2_2019")))
    directions = [direction for _, direction in axes[:2]]
    # Near a pole both axes run south (or north), along different meridians; only the names tell them apart.
    return directions == ["north", "east"] or bool(axes and axes[0][0].lower().startswith("northing"))


def authority(text: str) -> tuple[str, str] | None:
    """Return the organisation and the code that a text states, or None where it is a definition.

    Example:
        >>> authority("urn:ogc:def:crs:EPSG::32633"), authority("EPSG:4326"), authority("LOCAL_CS[]")
        (('EPSG', '32633'), ('EPSG', '4326'), None)
    """
    for pattern in (_CODE, _URN, _URL):
        found = pattern.fullmatch(text.strip())
        if found:
            organisation, code = [group for group in found.groups() if group]
            return organisation.upper(), code
    return None


def _reason(text: str) -> str:
    """Say why a text is not used; empty where it is."""
    if len(text) > LONGEST or "\0" in text:
        return "it is too long for one or holds a null character"
    if authority(text):
        return ""
    if "[" in text or "(" in text:
        return _wkt_reason(text)
    if "=" in text:
        return _proj_reason(text)
    return "it is neither a code nor a definition"


def _proj_reason(text: str) -> str:
    if not re.search(r"(^|\s)\+?proj=", text):
        return "it is neither a code nor a definition"
    for part in text.split():
        key, _, value = part.removeprefix("+").partition("=")
        if key == "nadgrids" and value == "@null":
            continue
        if key in _FILES or not re.fullmatch(r"\w+", key, re.ASCII) or value == "pipeline":
            return f"+{key[:20]} may name a file"
        if not re.fullmatch(r"[\w.,+\-]*", value, re.ASCII):
            return f"the value of +{key[:20]} is no number or name"
    return ""


def _wkt_reason(text: str) -> str:
    if not _ROOT.match(text):
        return "it is neither a code nor a definition"
    tokens = _TOKEN.findall(text)
    if "".join(tokens) != _unspaced(text):
        return "it is not well-formed WKT"
    for k, token in enumerate(tokens[:-1]):
        if tokens[k + 1] not in "[(" or token in ("[", "]", "(", ")", ","):
            continue
        keyword, values = token.upper(), [value.strip('"').strip() for value in tokens[k + 2 : k + 5 : 2]]
        if keyword not in _KEYWORDS:
            return f"{token[:20]} may name a file"
        if keyword in _METHODS and (not values or re.match(r"PROJ\b|PROJ-|.*[+=@/]", values[0], re.IGNORECASE)):
            return f"its {keyword} is no method's name"
        if keyword == "EXTENSION" and (len(values) < 2 or values[0] != "PROJ4" or _proj_reason(values[1])):
            return "its EXTENSION may name a file"
    return ""


def _unspaced(text: str) -> str:
    """Return a text without the white space outside quotes."""
    return "".join(
        part if k % 2 else "".join(part.split()) for k, part in enumerate(re.split(r'("(?:[^"]|"")*")', text))
    )
