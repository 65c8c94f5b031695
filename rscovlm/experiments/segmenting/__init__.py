"""The embedded segmenter: windows of generated scenes with their masks, the recipe of its training, and what it is worth."""
