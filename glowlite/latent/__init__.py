"""Latent space: walks, and directions with a meaning."""
