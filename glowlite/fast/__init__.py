"""Faster forms of the layers: they change results only by rounding."""
