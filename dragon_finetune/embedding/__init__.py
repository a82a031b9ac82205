"""Vectors from a model folder: loading, fingerprints, and the embedder that a host calls."""
