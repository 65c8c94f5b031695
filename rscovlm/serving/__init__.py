"""Running a model for others: files in and rows out, and an OpenAI-compatible endpoint that zooms by itself."""
