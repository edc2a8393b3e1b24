"""Latent space: walks, and directions that mean something."""
