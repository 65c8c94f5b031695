"""Images larger than memory: opening, overviews, windows, map coordinates. This package reads and writes nothing."""

from rscovlm.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(__name__, __file__)
