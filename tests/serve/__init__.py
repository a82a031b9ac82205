"""A package, so that its conftest.py does not stand for the one above it in `from conftest import`."""
