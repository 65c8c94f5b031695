"""One home for every task: what a record needs, what is asked and answered, how a reply is read, scored and written."""

from rscovlm.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(__name__, __file__)
