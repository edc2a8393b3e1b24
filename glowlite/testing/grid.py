r"""A density of one or two dimensions on a grid that covers all of the space.

    x(u) = m + s tan(pi (u - 1/2)),  u in (0, 1):      int p(x) dx = int p(x(u)) x'(u) du

by the midpoint rule in u, which has second-order accuracy, and far better accuracy for smooth
densities. m and s are the median and the width of the distribution of samples. For an interval,
x(u) = low + (high - low) u.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from glowlite.testing.comparison import Undecided

POINTS = {1: (2048, 8192, 32768), 2: (128, 256, 512)}  # points per side, from coarse to fine
SETTLED = 5e-4  # largest change of the integral from one grid to the next
BLOCK = 1 << 15  # points that are passed to the model at a time


@dataclass(frozen=True)
class Axis:
    """One dimension: from u in (0, 1) to x and back."""

    middle: float
    spread: float
    low: float
    high: float

    @property
    def is_interval(self) -> bool:
        return bool(np.isfinite(self.low) and np.isfinite(self.high))

    def x(self, u: np.ndarray) -> np.ndarray:
        if self.is_interval:
            return self.low + (self.high - self.low) * u
        return self.middle + self.spread * np.tan(np.pi * (u - 0.5))

    def slope(self, u: np.ndarray) -> np.ndarray:
        """dx/du."""
        if self.is_interval:
            return np.full_like(u, self.high - self.low)
        return self.spread * np.pi / np.cos(np.pi * (u - 0.5)) ** 2

    def u(self, x: np.ndarray) -> np.ndarray:
        if self.is_interval:
            return np.clip((x - self.low) / (self.high - self.low), 0, 1)
        return 0.5 + np.arctan((x - self.middle) / self.spread) / np.pi


@dataclass(frozen=True)
class Grid:
    """A grid with as many axes as dimensions, and the probability of every cell."""

    axes: tuple[Axis, ...]
    probability: np.ndarray

    def cells(self, side: int) -> np.ndarray:
        """Return the probability of each of `side` cells, or of `side` by `side` cells, as a flat
        array.
        """
        fine = self.probability.shape[0] // side
        shape = tuple(n for _ in self.axes for n in (side, fine))
        inner = tuple(2 * i + 1 for i in range(len(self.axes)))
        return self.probability.reshape(shape).sum(axis=inner).ravel()

    def histogram(self, x: np.ndarray, side: int) -> np.ndarray:
        """Return the number of samples x (N, ...) in each of those cells."""
        flat = x.reshape(len(x), -1)
        found = [
            np.minimum((axis.u(flat[:, i]) * side).astype(int), side - 1)
            for i, axis in enumerate(self.axes)
        ]
        shape = (side,) * len(self.axes)
        return np.bincount(np.ravel_multi_index(found, shape), minlength=side ** len(self.axes))


def density_grid(
    log_prob: Callable[[np.ndarray], np.ndarray], samples: np.ndarray, domain: tuple[float, float]
) -> Grid:
    """Refine the grid until the integral no longer changes.

    Raises Undecided if it still changes at the finest grid.
    """
    flat = samples.reshape(len(samples), -1)
    low, middle, high = np.quantile(flat, (0.25, 0.5, 0.75), axis=0)
    axes = tuple(
        Axis(float(middle[i]), max(float(high[i] - low[i]), 1e-6), *domain)
        for i in range(flat.shape[1])
    )
    before = np.inf
    for side in POINTS[len(axes)]:
        grid = Grid(axes, _probability(log_prob, axes, side, samples.shape[1:]))
        total = float(grid.probability.sum())
        if abs(total - before) <= SETTLED:
            return grid
        before = total
    raise Undecided(
        f"the integral of the density, {total:.6g}, still changes on a grid of {side} points per"
        " side"
    )


def _probability(
    log_prob: Callable[[np.ndarray], np.ndarray],
    axes: tuple[Axis, ...],
    side: int,
    shape: tuple[int, ...],
) -> np.ndarray:
    u = (np.arange(side) + 0.5) / side
    points = np.stack(np.meshgrid(*(axis.x(u) for axis in axes), indexing="ij"), axis=-1)
    flat = points.reshape(-1, *shape)
    p = np.concatenate(
        [np.exp(log_prob(flat[i : i + BLOCK])) for i in range(0, len(flat), BLOCK)]
    ).reshape((side,) * len(axes))
    for i, axis in enumerate(axes):
        p = p * np.expand_dims(axis.slope(u) / side, tuple(j for j in range(len(axes)) if j != i))
    return p
