"""Invertible layers, one a file, and Chain."""
