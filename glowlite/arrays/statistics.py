"""Mean and standard deviation of every channel of a batch, which may be cut over
several processes.
"""

from __future__ import annotations

from collections.abc import Callable

from glowlite.arrays.backend import Array, namespace
from glowlite.errors import GlowliteError

LOGS_FACTOR = (
    3.0  # the original code multiplies every stored log-scale by this, so that it learns faster
)
STD_FLOOR = 1e-6
FEWEST = 4  # values of which a channel's mean and standard deviation are taken

SumOverProcesses = Callable[[Array], Array]  # the sum of a small float64 vector over all processes


def this_process(vector: Array) -> Array:
    """The SumOverProcesses of a single process."""
    return vector


def channel_statistics(
    where: str, x: Array, total: SumOverProcesses = this_process
) -> tuple[Array, Array]:
    """Mean and standard deviation, (C,), float64, over all but the last axis.

    Raises GlowliteError for a constant channel, by number, and for fewer than FEWEST values a
    channel: by statistics of n values of a Gaussian, another value comes to a variance of (n + 1) /
    (n - 3) in place of 1, which is finite from 4 on.
    """
    xp = namespace(x)
    axes = tuple(range(x.ndim - 1))
    count = total(xp.full(1, float(x.size // x.shape[-1])))
    mean = total(x.sum(axis=axes, dtype=xp.float64)) / count
    std = xp.sqrt(total(xp.square(x - mean).sum(axis=axes)) / count)
    dead = [c for c, value in enumerate(std.tolist()) if not value > 0.0]
    if dead:
        raise GlowliteError(
            f"{where}: channel {dead[0]} has zero variance (or NaN) over the first batch of"
            f" {x.shape[0]}; use a larger batch, or data that vary"
        )
    if count < FEWEST:
        raise GlowliteError(
            f"{where}: {int(count[0])} values a channel in the first batch, and fewer than {FEWEST}"
            " give no deviation; use a larger batch, or fewer levels"
        )
    return mean, std
