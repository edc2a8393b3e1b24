"""python -m glowlite.export RUN FILE: write only the trained model, in half the bytes, and measure
its bits/dim from that file.
"""

from glowlite.commands.export import main
from glowlite.commands.program import run

if __name__ == "__main__":
    run(main, "export")
