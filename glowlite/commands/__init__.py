"""What the commands do that are typed as `python -m glowlite.train` and the like."""
