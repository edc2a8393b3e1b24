"""Tiled: a layer run on tiles of the batch side by side. The layer knows nothing of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Self

import numpy as np

from glowlite.backend import Array
from glowlite.bijectors.base import Bijector, Kept
from glowlite.parameters import Constant, Parameter, Parameterized
from glowlite.workers import Workers, lanes


class Tiled(Bijector):
    """`layer`, which keeps the shape (N, H, W, C), on tiles of whole images. Parameters and their names are its own.

    Each lane adds its weight gradients into memory of its own; the lanes' sums are then added in order.
    """

    def __init__(self, layer: Bijector, workers: Workers) -> None:
        self.layer = layer
        self.workers = workers
        self._replicas: dict[int, tuple[np.ndarray, Array, Bijector]] = {}

    def children(self) -> Iterator[tuple[str, Parameter | Constant | Parameterized]]:
        yield from self.layer.children()

    def map_children(self, change: Callable[[Parameterized | Parameter], object]) -> Self:
        return type(self)(self.layer.map_children(change), self.workers)

    def forward(self, x: Array) -> tuple[Array, Array]:
        y, logdet = np.empty_like(x), np.empty(len(x))

        def run(lane: list[slice]) -> None:
            for tile in lane:
                y[tile], logdet[tile] = self.layer.forward(x[tile])

        self.workers.map(run, lanes(len(x), x.shape[1] * x.shape[2]))
        return y, logdet

    def forward_keeping(self, x: Array) -> tuple[Array, Array, Kept]:
        y, logdet = np.empty_like(x), np.empty(len(x))

        def run(lane: list[slice]) -> list[Kept]:
            kept = []
            for tile in lane:
                y[tile], logdet[tile], entry = self.layer.forward_keeping(x[tile])
                kept.append(entry)
            return kept

        return y, logdet, self.workers.map(run, lanes(len(x), x.shape[1] * x.shape[2]))

    def inverse(self, y: Array) -> Array:
        x = np.empty_like(y)

        def run(lane: list[slice]) -> None:
            for tile in lane:
                x[tile] = self.layer.inverse(y[tile])

        self.workers.map(run, lanes(len(y), y.shape[1] * y.shape[2]))
        return x

    def backward(self, y: Array, dy: Array, dlogdet: Array, kept: Kept = None) -> tuple[Array, Array]:
        x, dx = np.empty_like(y), np.empty_like(y)
        cut = lanes(len(y), y.shape[1] * y.shape[2])
        layers = [self.layer] + [self._replica(lane) for lane in range(1, len(cut))]

        def run(lane: int) -> None:
            if lane > 0:
                for p in layers[lane].parameters().values():
                    p.grad.fill(0)
            for i, tile in enumerate(cut[lane]):
                entry = None if kept is None else kept[lane][i]
                x[tile], dx[tile] = layers[lane].backward(y[tile], dy[tile], dlogdet[tile], entry)

        self.workers.map(run, range(len(cut)))
        self._add_up(layers)
        return x, dx

    def _replica(self, lane: int) -> Bijector:
        """The layer with its gradients in the scratch memory of `lane`, made anew only when memory has moved."""
        value = next(iter(self.layer.parameters().values())).value
        scratch = self.workers.scratch(lane, self.layer.parameter_count(), value.dtype)
        known = self._replicas.get(lane)
        if known is None or known[0] is not scratch or known[1] is not value:
            known = self._replicas[lane] = (scratch, value, self.layer.replica(scratch))
        return known[2]

    def _add_up(self, layers: list[Bijector]) -> None:
        """Add the lanes' gradients into the layer's own, parameter by parameter, in the order of the lanes."""
        parts = list(zip(*(layer.parameters().values() for layer in layers), strict=True))

        def add(part: tuple[Parameter, ...]) -> None:
            for lane in part[1:]:
                part[0].grad[...] += lane.grad

        if len(layers) > 1:
            self.workers.map(add, parts)

    def initialize(self, x: Array) -> Array:
        return self.layer.initialize(x)
