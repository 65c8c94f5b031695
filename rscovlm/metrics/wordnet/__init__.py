"""Which words mean the same: sets of synonyms of Princeton's WordNet 3.0, read from a table shipped with the package."""

from rscovlm.metrics.wordnet.lookup import share_meaning, synsets

__all__ = ["share_meaning", "synsets"]
