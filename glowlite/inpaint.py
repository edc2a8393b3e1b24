"""python -m glowlite.inpaint [RUN] IMAGE ... --mask NAME: fill in hidden pixels, or take noise
away, by climbing log p(x).
"""

from glowlite.commands.inpaint import main
from glowlite.commands.program import run

if __name__ == "__main__":
    run(main, "inpaint")
