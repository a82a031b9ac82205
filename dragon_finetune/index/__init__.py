"""Vectors and their texts in; shards and Chroma collections out, and whether they are still the encoder's."""
