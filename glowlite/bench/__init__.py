"""python -m glowlite.bench: how fast a step is, what it could be at most, and how much memory it
takes.
"""
