"""Metrics of the field as plain functions of arrays and strings; numpy and shapely only."""

from rscovlm.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(__name__, __file__)
