"""What the header of a model file may say: the form of every field, checked as a whole before a model is made from it.

A model's file has `config`, `seed`, `initialized` and `n_bits`; a checkpoint has, beside them, all that a run goes on from.
Other fields may hold any JSON. Arrays: those of the model by their paths, and those of STATE, see models/weights.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from glowlite.arrays.arguments import MAX_SEED
from glowlite.errors import GlowliteError
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
from glowlite.models.config import GlowConfig

COUNT = whole(0, STEPS)
OPTIONS = record(optional={"data": text(), "n_bits": whole(1, 8)}, others=scalar)  # of training, by name
SOURCE = record(optional={"options": OPTIONS, "data": text()}, others=plain)  # what a run was begun with
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
MODEL = {"config": plain, "seed": whole(0, MAX_SEED), "initialized": flag}
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
}
OF_A_CHECKPOINT = ("n_bits", "state", "optimizer", "average", "parameters")
HEADER = record(MODEL, KNOWN, others=plain)
CHECKPOINT = record({**MODEL, **{name: KNOWN[name] for name in OF_A_CHECKPOINT}}, KNOWN, others=plain)


def config_in(header: Any, path: Path, checkpoint: bool = False) -> GlowConfig:
    """The configuration in a header, all of which is checked. Raises GlowliteError that names the file and the field."""
    checked(CHECKPOINT if checkpoint else HEADER, header, f"{path}: header")
    try:
        return GlowConfig.from_dict(header["config"])
    except GlowliteError as error:
        raise GlowliteError(f"{path}: header: {error}") from None


def check_size(config: GlowConfig, arrays: Mapping[str, np.ndarray], path: Path) -> None:
    """Raise GlowliteError if a file with these arrays is too small for a Glow of `config`: nobody need make one then."""
    steps, numbers = config.K * config.L, sum(array.size for array in arrays.values())
    least = config.least_parameters()
    if len(arrays) < steps or numbers < least:
        raise GlowliteError(
            f"{path}: {len(arrays)} arrays of {numbers} numbers in all, and a Glow of K={config.K}, L={config.L},"
            f" width={config.width}, images {config.image_shape} has at least {steps} of {least}; arrays are missing"
        )
