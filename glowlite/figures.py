"""python -m glowlite.figures [RUN]: the qualitative figures of the paper, made again with a model
of one's own.
"""

from glowlite.commands.figures import main
from glowlite.commands.program import run

if __name__ == "__main__":
    run(main, "figures")
