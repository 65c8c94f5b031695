"""Training through TRL: samples to packed rows, what tells them apart, recipes, and the trainer.

Names are loaded when first used, since they want torch and TRL (``rscovlm[train]``).
"""

from rscovlm.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(__name__, __file__, extra="train")
