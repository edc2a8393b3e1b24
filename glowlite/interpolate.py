"""python -m glowlite.interpolate [RUN] A B [C D]: walk from one image to another through latent
space (figure 5).
"""

from glowlite.commands.interpolate import main
from glowlite.commands.program import run

if __name__ == "__main__":
    run(main, "interpolate")
