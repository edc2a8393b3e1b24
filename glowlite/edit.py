"""python -m glowlite.edit [RUN] IMAGE ... --attribute NAME: add or remove an attribute of a face
(figure 6).
"""

from glowlite.commands.edit import main
from glowlite.commands.program import run

if __name__ == "__main__":
    run(main, "edit")
