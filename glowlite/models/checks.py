"""What users give to a Glow, looked at before any layer sees it; on the host alone, so that no GPU
is waited for.
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

FEW = 16  # values a channel from which ActNorm starts well


def warn_of_range(where: str, x: Array) -> None:
    """`check_range` for models that may have been trained on another range, such as imported ones:
    a warning, no error.
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
    """Raise GlowliteError if the parameters of such a model alone are more than this machine's
    memory.
    """
    wanted, there = np.dtype(dtype).itemsize * config.least_parameters(), available_bytes()
    if wanted > there:
        raise GlowliteError(
            f"{where}: parameters of {wanted / 2**30:.1f} GiB at least, and this machine has"
            f" {there / 2**30:.1f} GiB; lower {' or '.join(config.shrink)}"
        )


def check_size(
    where: str, config: ImageConfig, arrays: Mapping[str, np.ndarray], path: Path
) -> None:
    """Raise GlowliteError if a file with these arrays is too small for a model of `config`: nobody
    need make one then.
    """
    numbers = sum(array.size for array in arrays.values())
    least, fewest = config.least_parameters(), config.least_arrays()
    if len(arrays) < fewest or numbers < least:
        raise GlowliteError(
            f"{path}: {len(arrays)} arrays of {numbers} numbers in all, and a {where} of"
            f" {config.sizes()} has at least {fewest} of {least}; arrays are missing"
        )


def check_start(config: GlowConfig, batch: int) -> str | None:
    """What to say before ActNorm starts from a batch that has few values a channel at the top
    level; None if it has enough.

    Raises GlowliteError where they are too few: see `channel_statistics`, whose factor of (n + 1) /
    (n - 3) comes from every ActNorm on the way.
    """
    height, width, _ = (side >> config.L for side in config.image_shape)
    values = batch * height * width
    said = (
        f"ActNorm starts from the first batch, {values} values a channel at the top level"
        f" ({height}x{width} pixels)"
    )
    if values < FEWEST:
        raise GlowliteError(
            f"{said}, and needs at least {FEWEST}, better {FEW}; raise --batch, or lower --L"
        )
    return (
        f"{said}: with fewer than {FEW}, bits/dim can begin far too high; raise --batch, or lower"
        " --L"
        if values < FEW
        else None
    )
