"""Tiled: a layer run on tiles of the batch side by side. The layer knows nothing of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Self

import numpy as np

from glowlite.backend import Array
from glowlite.bijectors.base import Bijector, Kept
from glowlite.parameters import Constant, Parameter, Parameterized
from glowlite.workers import Workers, lanes

CHUNK = 1 << 15  # gradients added up at a time


class Tiled(Bijector):
    """`layer`, which keeps the shape (N, H, W, C), on tiles of whole images. Parameters and their names are its own.

    `width`: the channels of its widest array, from which follows the size of a tile. Each lane adds its weight gradients
    into memory of its own; the lanes' sums are then added in order.
    """

    def __init__(self, layer: Bijector, workers: Workers, width: int) -> None:
        self.layer = layer
        self.workers = workers
        self.width = width

    def children(self) -> Iterator[tuple[str, Parameter | Constant | Parameterized]]:
        yield from self.layer.children()

    def map_children(self, change: Callable[[Parameterized | Parameter], object]) -> Self:
        return type(self)(self.layer.map_children(change), self.workers, self.width)

    def forward(self, x: Array) -> tuple[Array, Array]:
        layer = self.layer.prepared()
        y, logdet = np.empty_like(x), np.empty(len(x))

        def run(lane: list[slice]) -> None:
            for tile in lane:
                y[tile], logdet[tile] = layer.forward(x[tile])

        self.workers.map(run, self._lanes(x))
        return y, logdet

    def forward_keeping(self, x: Array) -> tuple[Array, Array, Kept]:
        layer = self.layer.prepared()
        y, logdet = np.empty_like(x), np.empty(len(x))

        def run(lane: list[slice]) -> list[Kept]:
            kept = []
            for tile in lane:
                y[tile], logdet[tile], entry = layer.forward_keeping(x[tile])
                kept.append(entry)
            return kept

        return y, logdet, self.workers.map(run, self._lanes(x))

    def inverse(self, y: Array) -> Array:
        layer = self.layer.prepared()
        x = np.empty_like(y)

        def run(lane: list[slice]) -> None:
            for tile in lane:
                x[tile] = layer.inverse(y[tile])

        self.workers.map(run, self._lanes(y))
        return x

    def backward(self, y: Array, dy: Array, dlogdet: Array, kept: Kept = None) -> tuple[Array, Array]:
        layer = self.layer.prepared()
        x, dx = np.empty_like(y), np.empty_like(y)
        cut = self._lanes(y)
        size = layer.parameter_count()
        grads = [self.workers.scratch(lane, size, y.dtype) for lane in range(len(cut))]
        replicas = [layer.replica(grad) for grad in grads]

        def run(lane: int) -> None:
            grads[lane].fill(0)
            for i, tile in enumerate(cut[lane]):
                entry = None if kept is None else kept[lane][i]
                x[tile], dx[tile] = replicas[lane].backward(y[tile], dy[tile], dlogdet[tile], entry)

        def add_up(part: slice) -> None:
            for grad in grads[1:]:
                grads[0][part] += grad[part]  # in the order of the lanes

        self.workers.map(run, range(len(cut)))
        if len(cut) > 1:
            self.workers.map(add_up, [slice(start, start + CHUNK) for start in range(0, size, CHUNK)])
        replicas[0].collect_into(self.layer)
        return x, dx

    def initialize(self, x: Array) -> Array:
        return self.layer.initialize(x)

    def _lanes(self, x: Array) -> list[list[slice]]:
        return lanes(len(x), x.shape[1] * x.shape[2], self.width)
