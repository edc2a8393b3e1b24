"""python -m glowlite.report RUN: one HTML page of a run, with its pictures inside, that needs no
network.
"""

from glowlite.commands.program import run
from glowlite.commands.report import main

if __name__ == "__main__":
    run(main, "report")
