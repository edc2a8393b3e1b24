"""python -m glowlite.evaluate RUN: report mean bits/dim over a whole held-out set, with its
standard error.
"""

from glowlite.commands.evaluate import main
from glowlite.commands.program import run

if __name__ == "__main__":
    run(main, "evaluate")
