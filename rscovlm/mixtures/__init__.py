"""Weighted mixtures of records: recipes, weights, schedules, and how a record becomes a conversation."""

from rscovlm.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(__name__, __file__)
