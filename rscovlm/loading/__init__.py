"""Opening checkpoints: one way for every command, example and page."""

from rscovlm.loading.checkpoint import Checkpoint, load, load_model, load_processor

__all__ = ["Checkpoint", "load", "load_model", "load_processor"]
