"""python -m glowlite.train: train a Glow, by default a small one on the embedded pixel faces."""

from glowlite.commands.program import run
from glowlite.commands.train import main

if __name__ == "__main__":
    run(main, "train")
