"""python -m glowlite.reproduce EXPERIMENT: repeat an experiment of the paper, from training runs to
figure.

`python -m glowlite.reproduce all` lists the experiments, with the time that each takes.
"""

from glowlite.commands.program import run
from glowlite.reproduce.command import main

if __name__ == "__main__":
    run(main, "reproduce")
