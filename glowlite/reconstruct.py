"""python -m glowlite.reconstruct [RUN] IMAGE...: encode, decode, and how far the result is off.

A flow loses nothing.
"""

from glowlite.commands.program import run
from glowlite.commands.reconstruct import main

if __name__ == "__main__":
    run(main, "reconstruct")
