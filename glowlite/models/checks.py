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
from glowlite.arrays.statistics import FEWEST
from glowlite.bijectors.memory import Memory
from glowlite.errors import GlowliteError
from glowlite.models.config import GlowConfig

FEW = 16  # values a channel from which ActNorm starts well


def warn_of_range(where: str, x: Array) -> None:
    """`check_range` for models that may have been trained on another range, such as imported ones:
    a warning, no error.
    """
    line = what_is_wrong(x)
    if line is not None:
        warnings.warn(f"{where}: {line}", stacklevel=3)


def check_budget(memory: Any) -> None:
    """Raise GlowliteError unless this is a Memory, or None."""
    if memory is not None and not isinstance(memory, Memory):
        raise GlowliteError(
            f"Glow: memory must be a Memory, such as Memory('256MB'), got {shown(memory)}"
        )


def check_size(config: GlowConfig, arrays: Mapping[str, np.ndarray], path: Path) -> None:
    """Raise GlowliteError if a file with these arrays is too small for a Glow of `config`: nobody
    need make one then.
    """
    steps, numbers = config.K * config.L, sum(array.size for array in arrays.values())
    least = config.least_parameters()
    if len(arrays) < steps or numbers < least:
        raise GlowliteError(
            f"{path}: {len(arrays)} arrays of {numbers} numbers in all, and a Glow of K={config.K},"
            f" L={config.L}, width={config.width}, images {config.image_shape} has at least {steps}"
            f" of {least}; arrays are missing"
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
