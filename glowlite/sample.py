"""python -m glowlite.sample [RUN]: draw samples at one temperature or several (figure 8), as a grid
or as one PNG per sample.
"""

from glowlite.commands.program import run
from glowlite.commands.sample import main

if __name__ == "__main__":
    run(main, "sample")
