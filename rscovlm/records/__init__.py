"""What is known about images, before any prompt is chosen: records, where their pixels are, what was dropped and why."""

from rscovlm.records.columns import features
from rscovlm.records.record import Annotation, ImageRef, Record, Role, Turn
from rscovlm.records.tally import Rejected, Tally

__all__ = ["Annotation", "ImageRef", "Record", "Rejected", "Role", "Tally", "Turn", "features"]
