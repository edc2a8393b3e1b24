"""python -m glowlite.reconstruct [RUN] IMAGE...: encode, decode, and report the reconstruction
error.

A flow loses no information.
"""

from glowlite.commands.program import run
from glowlite.commands.reconstruct import main

if __name__ == "__main__":
    run(main, "reconstruct")
