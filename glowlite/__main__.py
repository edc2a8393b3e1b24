"""python -m glowlite: list the commands.

`python -m glowlite train ...` is the same as `python -m glowlite.train ...`.
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
    "evaluate": "report bits/dim and nats of a held-out set, and of other data to compare",
    "reconstruct": "encode images and decode them again",
    "interpolate": "walk from image to image through latent space",
    "edit": "add or remove an attribute of an image",
    "inpaint": "fill in hidden pixels of an image, or remove noise",
    "reproduce": "repeat the paper's experiments, from training to figure",
    "figures": "make the paper's qualitative figures with your own model",
    "report": "write a report of a run as one HTML page",
    "demo": "write an interactive HTML page that runs a trained model",
    "export": "write a trained model to one small file",
    "data": "show what a data set contains, before training on it",
    "laws": "test any flow, in any framework, against the laws of a flow",
    "interop": "compare models imported from other codes with what those codes computed",
    "bench": "measure time, limits and memory of a training step on this machine",
    "bench.plan": "predict what each preset costs on a GPU",
    "bench.allreduce": "measure what an allreduce of gradients costs under mpirun",
}


def main() -> None:
    """List the commands, or run the command that is named."""
    words = sys.argv[1:]
    if not words or words[0] in ("-h", "--help"):
        say(
            "usage: python -m glowlite.COMMAND [options]; python -m glowlite.COMMAND --help"
            " shows the options of a command"
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
