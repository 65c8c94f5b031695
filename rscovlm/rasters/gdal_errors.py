"""The one place where errors of GDAL, PROJ and rasterio become ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rscovlm.rasters.errors import RasterError
from rscovlm.rasters.quiet import hushed

LOGGERS = ("rasterio", "rasterio._base", "rasterio._env", "rasterio._err", "rasterio._io")


@contextmanager
def translated(
    what: str, *, kind: type[ValueError] = ValueError, named: Mapping[str, str] | None = None
) -> Iterator[None]:
    """Turn whatever rasterio raises inside into one error of ours.

    GDAL's own errors (``CPLE_...``) are neither `ValueError` nor of rasterio's documented classes, and reach the caller
    from functions whose documentation names others.

    Args:
        what: What could not be done; the message begins with it.
        kind: Class of the error.
        named: Names that GDAL gives things, and those that the caller knows.

    Raises:
        ValueError: Of that class, with GDAL's words.
    """
    from rasterio._err import CPLE_BaseError
    from rasterio.errors import RasterioError

    try:
        with hushed(*LOGGERS):
            yield
    except RasterError:  # ours already, as it was raised inside
        raise
    except (RasterioError, CPLE_BaseError, ValueError) as error:  # of the last kind are CRSError and failed int("x")
        words = str(error.__cause__ or error)
        for theirs, ours in (named or {}).items():
            words = words.replace(theirs, ours)
        raise kind(f"{what} ({' '.join(words.split())[:300]})") from error
