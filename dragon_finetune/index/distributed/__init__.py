"""Embedding by many workers: what any engine can run, and Ray."""
