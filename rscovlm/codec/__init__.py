"""The text interface: objects to the answer a model is trained to write, and any answer back to objects."""

from rscovlm.codec.codec import Codec
from rscovlm.codec.decoded import Decoded

__all__ = ["Codec", "Decoded"]
