"""python -m glowlite.demo [RUN]: a trained model in one HTML page, which runs in any browser,
without a server and without a network.
"""

from glowlite.commands.demo import main
from glowlite.commands.program import run

if __name__ == "__main__":
    run(main, "demo")
