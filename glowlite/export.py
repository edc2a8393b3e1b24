"""python -m glowlite.export RUN FILE: a trained model alone, in half the bytes, and its bits/dim as
it is there.
"""

from glowlite.commands.export import main
from glowlite.commands.program import run

if __name__ == "__main__":
    run(main, "export")
