"""Training pairs in; a complete model folder out."""
