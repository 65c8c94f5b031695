"""Zoom-in Chain: a conversation that may ask for pixels of the original image."""

from rscovlm.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(__name__, __file__)
