"""From images and conversations to what a Qwen-VL model takes, and from its answers back to boxes.

Planning sizes needs neither torch nor transformers; the two processors load transformers when first used.
"""

from rscovlm.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(__name__, __file__)
