"""python -m glowlite.sample [RUN]: samples at a temperature, or at several (figure 8), as a grid or
one PNG each.
"""

from glowlite.commands.program import run
from glowlite.commands.sample import main

if __name__ == "__main__":
    run(main, "sample")
