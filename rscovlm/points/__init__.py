"""Masks as points and back by any promptable segmenter, and instructions with conditions solved step by step."""
