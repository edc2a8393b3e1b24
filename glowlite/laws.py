"""python -m glowlite.laws MODULE:NAME: hold any flow, in any framework, to the laws of one."""

from glowlite.commands.laws import main
from glowlite.commands.program import run

if __name__ == "__main__":
    run(main, "laws")
