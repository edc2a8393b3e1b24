"""Checks of user input to a Glow, before any layer sees it. Only host arrays are checked, so that
nothing waits for a GPU.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from glowlite.arrays.arguments import shown
from glowlite.arrays.backend import Array
from glowlite.arrays.checks import what_is_wrong
from glowlite.arrays.machine import available_bytes
from glowlite.arrays.statistics import FEWEST
from glowlite.bijectors.memory import Memory
from glowlite.errors import GlowliteError
from glowlite.models.config import GlowConfig
from glowlite.models.image_config import ImageConfig

FEW = 16  # values per channel that are enough for a good initialisation of ActNorm


def warn_of_range(where: str, x: Array) -> None:
    """Like `check_range`, but with a warning instead of an error, for models that may have been
    trained on another range, such as imported ones.
    """
    line = what_is_wrong(x)
    if line is not None:
        warnings.warn(f"{where}: {line}", stacklevel=3)


def check_budget(where: str, memory: Any) -> None:
    """Raise GlowliteError unless this is a Memory, or None."""
    if memory is not None and not isinstance(memory, Memory):
        raise GlowliteError(
            f"{where}: memory must be a Memory, such as Memory('256MB'), got {shown(memory)}"
        )


def check_room(where: str, config: ImageConfig, dtype: str = "float32") -> None:
    """Raise GlowliteError if the parameters of such a model alone exceed this machine's memory."""
    wanted, there = np.dtype(dtype).itemsize * config.least_parameters(), available_bytes()
    if wanted > there:
        raise GlowliteError(
            f"{where}: the parameters take at least {wanted / 2**30:.1f} GiB, but this machine"
            f" has {there / 2**30:.1f} GiB; lower {' or '.join(config.shrink)}"
        )


def check_size(
    where: str, config: ImageConfig, arrays: Mapping[str, np.ndarray], path: Path
) -> None:
    """Raise GlowliteError if a file with these arrays is too small for a model of `config`, before
    the model is made.
    """
    numbers = sum(array.size for array in arrays.values())
    least, fewest = config.least_parameters(), config.least_arrays()
    if len(arrays) < fewest or numbers < least:
        raise GlowliteError(
            f"{path}: {len(arrays)} arrays with {numbers} numbers in all, but a {where} of"
            f" {config.sizes()} has at least {fewest} arrays with {least} numbers; arrays are"
            " missing"
        )


def check_start(config: GlowConfig, batch: int) -> str | None:
    """Return a warning if the first batch has too few values per channel at the top level to
    initialise ActNorm well; None if it has enough.

    Raises GlowliteError if they are far too few: see `channel_statistics`, whose factor of (n + 1)
    / (n - 3) comes from every ActNorm in the model.
    """
    height, width, _ = (side >> config.L for side in config.image_shape)
    values = batch * height * width
    said = (
        f"ActNorm is initialised from the first batch, with {values} values per channel at the"
        f" top level ({height}x{width} pixels)"
    )
    if values < FEWEST:
        raise GlowliteError(
            f"{said}; it needs at least {FEWEST}, better {FEW}; raise --batch, or lower --L"
        )
    return (
        f"{said}: with fewer than {FEW}, bits/dim can start far too high; raise --batch, or lower"
        " --L"
        if values < FEW
        else None
    )
