"""python -m glowlite.train: train a flow, by default a small Glow on the embedded pixel faces."""

from glowlite.commands.program import run
from glowlite.commands.train import main

if __name__ == "__main__":
    run(main, "train")
