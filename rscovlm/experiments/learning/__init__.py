"""The four claims of the method in miniature: what the embedded model learns from generated scenes with one thing changed.

``python -m rscovlm.experiments.learning CLAIM --seeds 3 --out FOLDER`` runs one; the docs' page on learning holds the figures.
"""
