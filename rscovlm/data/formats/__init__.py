"""Formats that other tools read and write: OpenAI messages, COCO detection, refGeo grounding."""

from rscovlm.data.formats.coco import read_coco, write_coco
from rscovlm.data.formats.messages import read_messages, write_messages
from rscovlm.data.formats.refgeo import read_refgeo, write_refgeo

__all__ = ["read_coco", "read_messages", "read_refgeo", "write_coco", "write_messages", "write_refgeo"]
