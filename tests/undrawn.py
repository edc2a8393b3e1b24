"""python undrawn.py ...: python -m glowlite.train ..., which draws nothing, as with `undrawn`."""

from small_runs import nothing_drawn

from glowlite.commands.program import run
from glowlite.train import main

with nothing_drawn():
    run(main, "train")
