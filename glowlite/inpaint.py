"""python -m glowlite.inpaint [RUN] IMAGE ... --mask NAME: fill in hidden pixels, or remove noise,
by gradient ascent on log p(x).
"""

from glowlite.commands.inpaint import main
from glowlite.commands.program import run

if __name__ == "__main__":
    run(main, "inpaint")
