"""python -m glowlite.data SPEC: show what a data set contains before you train on it.

Every image is read, so every image is checked.
"""

from glowlite.commands.data import main
from glowlite.commands.program import run

if __name__ == "__main__":
    run(main, "data")
