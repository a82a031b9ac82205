"""Retrieval runs in; scores, what leaked, whether a difference is more than chance, and a verdict out."""
