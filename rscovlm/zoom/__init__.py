"""Zoom-in Chain: a conversation that may ask for pixels of the original image."""
