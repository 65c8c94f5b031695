"""Frames, boxes, points and how much they overlap: everything that has coordinates."""

from rscovlm.geometry.boxes import Boxes
from rscovlm.geometry.frame import Frame
from rscovlm.geometry.objects import Objects
from rscovlm.geometry.points import PointSets
from rscovlm.geometry.similarity import iou
from rscovlm.geometry.window import Window

__all__ = ["Boxes", "Frame", "Objects", "PointSets", "Window", "iou"]
