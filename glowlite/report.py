"""python -m glowlite.report RUN: write one HTML page about a run, with its pictures inside, that
works offline.
"""

from glowlite.commands.program import run
from glowlite.commands.report import main

if __name__ == "__main__":
    run(main, "report")
