"""Pairs and a budget in; the best of several trained models out."""
