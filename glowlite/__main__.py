"""python -m glowlite: what commands there are.

`python -m glowlite train ...` is `python -m glowlite.train ...`.
"""

from __future__ import annotations

import difflib
import runpy
import sys

from glowlite.commands.program import run
from glowlite.errors import GlowliteError
from glowlite.terminal import say, shortened

COMMANDS = {
    "train": "train a flow of images, by default a small Glow on the embedded pixel faces",
    "sample": "draw samples, at one temperature or at several",
    "evaluate": "bits/dim and nats of a held-out set, and of other data beside it",
    "reconstruct": "encode images and decode them again",
    "interpolate": "walk from image to image through latent space",
    "edit": "add or remove an attribute of an image",
    "inpaint": "fill in hidden pixels of an image, or take noise away",
    "reproduce": "the paper's experiments, each from its runs to its figure",
    "figures": "the paper's qualitative figures with a model of one's own",
    "report": "a run as one HTML page",
    "demo": "a trained model in one HTML page that runs it, to play with",
    "export": "a trained model alone in one small file",
    "data": "what a data set holds, before one trains on it",
    "laws": "hold any flow, in any framework, to the laws of one",
    "interop": "hold models imported from other codes against what those codes computed",
    "bench": "times, limits and memory of a training step on this machine",
    "bench.plan": "what each preset should take on a GPU",
    "bench.allreduce": "what it costs several ranks to add up gradients, under mpirun",
}


def main() -> None:
    """List the commands, or become the one that is named first."""
    words = sys.argv[1:]
    if not words or words[0] in ("-h", "--help"):
        say(
            "usage: python -m glowlite.COMMAND [options]; python -m glowlite.COMMAND --help shows"
            " the options of one"
        )
        for name, what in COMMANDS.items():
            say(f"  {name:16}{what}")
        return
    name = words[0].removeprefix("glowlite.")
    if name not in COMMANDS:
        close = difflib.get_close_matches(name, COMMANDS, 1)
        raise GlowliteError(
            f"{shortened(name)!r}: no such command; "
            + (f"{close[0]}?" if close else "--help lists them")
        )
    del sys.argv[1]
    runpy.run_module(f"glowlite.{name}", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    run(main)
