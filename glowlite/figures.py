"""python -m glowlite.figures [RUN]: make the paper's qualitative figures with your own model."""

from glowlite.commands.figures import main
from glowlite.commands.program import run

if __name__ == "__main__":
    run(main, "figures")
