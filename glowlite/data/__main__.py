"""python -m glowlite.data SPEC: what a data set holds, before one trains on it.

Every image is read, and so checked.
"""

from glowlite.commands.data import main
from glowlite.commands.program import run

if __name__ == "__main__":
    run(main, "data")
