"""A model folder and texts in; unit vectors out. Knows of no index."""
