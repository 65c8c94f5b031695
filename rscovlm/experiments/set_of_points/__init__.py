"""One recipe over all tasks that are answered with sets of points, on generated scenes, and what each task reaches."""
