"""What all processes must have in common: at the start the command, the data and the versions;
later, everything that they train.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import zlib
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from glowlite.arrays.backend import Array, to_host
from glowlite.data.dataset import Dataset
from glowlite.data.fingerprint import fingerprint
from glowlite.distributed.communicator import Communicator
from glowlite.errors import GlowliteError

if TYPE_CHECKING:
    from glowlite.training.run import Training

# options that may differ between machines
MAY_DIFFER = (
    "data",
    "out",
    "threads",
    "mpi_timeout",
    "gpu_memory",
    "config",
    "run",
    "csv",
    "histogram",
)
LONGEST = 60  # longest value in a message, in characters


def check_same(ranks: Communicator, facts: dict[str, Any]) -> None:
    """Raise GlowliteError, on every rank, unless all ranks give the same `facts`, JSON values by
    name. The message says which ranks differ, and in what.
    """
    everyone = ranks.allgather(
        {name: json.dumps(value, default=str) for name, value in facts.items()}
    )
    names = list(dict.fromkeys(name for theirs in everyone for name in theirs))
    for name in names:
        values = [theirs.get(name, "null") for theirs in everyone]
        if others := unlike_most(values):
            first, most = values[others[0]], Counter(values).most_common(1)[0][0]
            raise GlowliteError(
                f"{_ranks(others)} and the others differ: {name} is {_short(first)} there, but"
                f" {_short(most)} here; start all processes with the same command, the same data"
                " and the same versions"
            )


def unlike_most(values: list[Any]) -> list[int]:
    """Return the ranks whose value is not the most common one. In a tie, the value of rank 0 counts
    as the most common.
    """
    # among equally common values, the first that occurs
    most = Counter(values).most_common(1)[0][0]
    return [rank for rank, value in enumerate(values) if value != most]


def _ranks(numbers: list[int]) -> str:
    return f"rank {numbers[0]}" if len(numbers) == 1 else f"ranks {', '.join(map(str, numbers))}"


def _short(text: str) -> str:
    text = "none" if text == "null" else text
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def facts_of_options(options: argparse.Namespace) -> dict[str, Any]:
    """Return the options that must agree, by their names on the command line."""
    return {
        "--" + name.replace("_", "-"): value
        for name, value in vars(options).items()
        if name not in MAY_DIFFER
    }


def facts_of_data(data: Dataset) -> dict[str, Any]:
    """Return the numbers of images, their shape, and the fingerprint. Cost: that of the
    fingerprint.
    """
    return {
        "the number of training images": len(data.train),
        "the number of held-out images": len(data.held_out),
        "the shape of images": list(data.image_shape),
        "the fingerprint of the images": fingerprint(data),
    }


def check_together(training: Training, when: str) -> None:
    """Raise GlowliteError, on every rank, unless everything trained is bitwise equal on all ranks.
    Cost: a checksum.

    `when`: the place, for messages about a rank that does not respond.
    """
    mine = {name: checksum(array) for name, array in _trained(training).items()}
    table = training.ranks.allgather_numbers(np.array(list(mine.values()), float), when)
    for name, column in zip(mine, table.T, strict=True):
        if others := unlike_most(column.tolist()):
            raise GlowliteError(
                f"{_ranks(others)} and the others differ in {name}: do all processes run the same"
                " NumPy, on the same kind of processor?"
            )


def _trained(training: Training) -> dict[str, Array]:
    """Return everything that must be the same on every rank, by name."""
    optimizer, average, constants = (
        training.optimizer,
        training.average,
        training.model.store.constants,
    )
    state = dataclasses.asdict(training.state)
    del state["seconds"]  # each rank has its own clock
    numbers = [
        state,
        optimizer.steps,
        average.updates if average else 0,
        training.model.initialized,
    ]
    return {
        "the weights": training.model.store.theta,
        "the first moments of the optimizer": optimizer.m,
        "the second moments of the optimizer": optimizer.v,
        **({"the averaged weights": average.sum} if average else {}),
        **{name: constant.value for name, constant in constants.items()},
        "where the training is": np.frombuffer(json.dumps(numbers).encode(), np.uint8),
    }


def checksum(array: Array) -> int:
    """Return a checksum of the bytes of an array, on the host or a device."""
    return zlib.crc32(np.ascontiguousarray(to_host(array)).reshape(-1).view(np.uint8).data)
