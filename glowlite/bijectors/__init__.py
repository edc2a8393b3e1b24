"""Invertible layers, one per file, and Chain."""
