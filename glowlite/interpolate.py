"""python -m glowlite.interpolate [RUN] A B [C D]: from image to image through latent space (figure
5).
"""

from glowlite.commands.interpolate import main
from glowlite.commands.program import run

if __name__ == "__main__":
    run(main, "interpolate")
