"""python -m glowlite.laws MODULE:NAME: test any flow, in any framework, against the laws of
a flow.
"""

from glowlite.commands.laws import main
from glowlite.commands.program import run

if __name__ == "__main__":
    run(main, "laws")
