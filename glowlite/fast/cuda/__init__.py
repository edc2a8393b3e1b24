"""Forms of layers for a GPU, one kernel a pass."""
