"""Files in, rows out: answers about many images that survive being killed."""
