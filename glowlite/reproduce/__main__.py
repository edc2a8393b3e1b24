"""python -m glowlite.reproduce EXPERIMENT: an experiment of the paper, from its runs to its figure.

`python -m glowlite.reproduce all` lists them, with the time that each takes.
"""

from glowlite.commands.program import run
from glowlite.reproduce.command import main

if __name__ == "__main__":
    run(main, "reproduce")
