"""The allowed header of a model file: the form of every field, checked completely before a model is
made from it.

A file of a Glow, a NICE or a RealNVP has `config` (and, except for a Glow, `model`); a file of a
user-defined flow has `flow`. Each has `seed`, `initialized` and `n_bits`. A checkpoint also has
everything that a run needs to continue. Other fields may contain any JSON. The arrays are those of
the model by their paths, and those of STATE, see files/saved_weights.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from glowlite.arrays.arguments import MAX_SEED
from glowlite.files.schema import (  # fmt: skip
    STEPS,
    checked,
    flag,
    list_of,
    maybe,
    names_to,
    number,
    one_of,
    plain,
    record,
    scalar,
    text,
    whole,
)

MAX_AXES = 32  # most axes of an array
COUNT = whole(0, STEPS)
# of training, by name
OPTIONS = record(optional={"data": text(), "n_bits": whole(1, 8)}, others=scalar)
# the configuration that a run was begun with
SOURCE = record(optional={"options": OPTIONS, "data": text()}, others=plain)
TRAINING_STATE = record(
    {
        "step": COUNT,
        "losses": list_of(number()),
        "held_out": maybe(number()),
        "best": maybe(number()),
        "best_step": COUNT,
        "skipped": COUNT,
        "skipped_in_a_row": COUNT,
        "seconds": number(0),
    }
)
SHAPE = list_of(whole(1, STEPS), most=MAX_AXES)
FLOW = record(
    {"base": text(), "event_shape": maybe(SHAPE), "latent_shapes": maybe(list_of(SHAPE))},
    others=plain,
)
MODEL = {"seed": whole(0, MAX_SEED), "initialized": flag}
# the state of the model itself
OWN = ("model", "config", "flow", "flow_step", "seed", "initialized", "n_bits", "class_names")
KNOWN = {
    "n_bits": maybe(whole(1, 8)),
    "step": COUNT,
    "epoch": COUNT,
    "position": COUNT,
    "state": TRAINING_STATE,
    "settings": names_to(plain),
    "optimizer": record({"name": text(), "steps": COUNT}),
    "average": maybe(record({"decay": number(0, float(np.nextafter(1, 0))), "updates": COUNT})),
    "parameters": list_of(text()),
    "versions": names_to(text()),
    "run": SOURCE,
    "weights": one_of("averaged", "raw"),
    "command": text(),
    "class_names": list_of(text()),
}
OF_A_CHECKPOINT = ("n_bits", "state", "optimizer", "average", "parameters")


def check_header(header: Any, path: Path, kind: str, checkpoint: bool = False) -> None:
    """Raise GlowliteError, naming the file and the field, unless a header has the right form.

    kind: the field that says what model it is: `config` for a Glow, `flow` for a user-defined flow.
    """
    own = {kind: {"config": plain, "flow": FLOW}[kind], **MODEL}
    needed = {name: KNOWN[name] for name in OF_A_CHECKPOINT} if checkpoint else {}
    checked(record({**own, **needed}, KNOWN, others=plain), header, f"{path}: header")
