"""The main job in one run: make scenes, fine-tune, measure, zoom, detect, and report it."""
