"""Policies of the chain with a model trained on what they ask: ``python -m rscovlm.experiments.policies``."""
