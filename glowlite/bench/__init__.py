"""python -m glowlite.bench: how fast a step is, how fast it could be, and how much memory
it takes.
"""
