"""Forms of layers for a GPU, one kernel per pass."""
