"""Masks as points and back: keypoints and polygons of masks, masks of boxes with points, by any promptable segmenter."""
