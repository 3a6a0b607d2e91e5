"""Whole evenings, in a browser."""
