"""python -m glowlite.demo [RUN]: write a trained model as one HTML page that runs in any browser,
offline and without a server.
"""

from glowlite.commands.demo import main
from glowlite.commands.program import run

if __name__ == "__main__":
    run(main, "demo")
