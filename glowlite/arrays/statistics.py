"""Mean and standard deviation of every channel of a batch, which may be split over several
processes.
"""

from __future__ import annotations

from collections.abc import Callable

from glowlite.arrays.backend import Array, namespace
from glowlite.errors import GlowliteError

LOGS_FACTOR = (
    3.0  # the original code multiplies every stored log-scale by this, so that it learns faster
)
STD_FLOOR = 1e-6
FEWEST = 4  # least number of values for a channel's mean and standard deviation

# returns the sum of a small float64 vector over all processes
SumOverProcesses = Callable[[Array], Array]


def this_process(vector: Array) -> Array:
    """The SumOverProcesses of a single process."""
    return vector


def channel_statistics(
    where: str, x: Array, total: SumOverProcesses = this_process
) -> tuple[Array, Array]:
    """Return mean and standard deviation, (C,), float64, over all axes except the last.

    Raises GlowliteError for a constant channel, with its index, and for fewer than FEWEST values
    per channel: if a Gaussian is normalised with the statistics of n values, a new value has the
    variance (n + 1) / (n - 3) instead of 1, which is finite from n = 4 on.
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
            f"{where}: {int(count[0])} values per channel in the first batch, but a standard"
            f" deviation needs at least {FEWEST}; use a larger batch, or fewer levels"
        )
    return mean, std
