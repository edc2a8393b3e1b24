"""Tiled: a layer run on tiles of the batch side by side. The layer knows nothing of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np

from glowlite.backend import Array
from glowlite.bijectors.base import Bijector, Kept
from glowlite.parameters import Constant, Parameter, Parameterized
from glowlite.workers import Workers, lanes


@dataclass
class _Replica:
    """A layer, its parameters in order, and the memory that holds their gradients."""

    layer: Bijector
    parameters: list[Parameter]
    scratch: np.ndarray | None = None


class Tiled(Bijector):
    """`layer`, which keeps the shape (N, H, W, C), on tiles of whole images. Parameters and their names are its own.

    `width`: the channels of its widest array, from which follows the size of a tile. Each lane adds its weight gradients
    into memory of its own; the lanes' sums are then added in order.
    """

    def __init__(self, layer: Bijector, workers: Workers, width: int) -> None:
        self.layer = layer
        self.workers = workers
        self.width = width
        self._replicas: dict[int, _Replica] = {}

    def children(self) -> Iterator[tuple[str, Parameter | Constant | Parameterized]]:
        yield from self.layer.children()

    def map_children(self, change: Callable[[Parameterized | Parameter], object]) -> Self:
        return type(self)(self.layer.map_children(change), self.workers, self.width)

    def forward(self, x: Array) -> tuple[Array, Array]:
        y, logdet = np.empty_like(x), np.empty(len(x))

        def run(lane: list[slice]) -> None:
            for tile in lane:
                y[tile], logdet[tile] = self.layer.forward(x[tile])

        self.workers.map(run, self._lanes(x))
        return y, logdet

    def forward_keeping(self, x: Array) -> tuple[Array, Array, Kept]:
        y, logdet = np.empty_like(x), np.empty(len(x))

        def run(lane: list[slice]) -> list[Kept]:
            kept = []
            for tile in lane:
                y[tile], logdet[tile], entry = self.layer.forward_keeping(x[tile])
                kept.append(entry)
            return kept

        return y, logdet, self.workers.map(run, self._lanes(x))

    def inverse(self, y: Array) -> Array:
        x = np.empty_like(y)

        def run(lane: list[slice]) -> None:
            for tile in lane:
                x[tile] = self.layer.inverse(y[tile])

        self.workers.map(run, self._lanes(y))
        return x

    def backward(self, y: Array, dy: Array, dlogdet: Array, kept: Kept = None) -> tuple[Array, Array]:
        x, dx = np.empty_like(y), np.empty_like(y)
        cut = self._lanes(y)
        own = _Replica(self.layer, list(self.layer.parameters().values()))
        replicas = [own] + [self._replica(lane, own.parameters) for lane in range(1, len(cut))]

        def run(lane: int) -> None:
            if lane > 0:
                for p in replicas[lane].parameters:
                    p.grad.fill(0)
            for i, tile in enumerate(cut[lane]):
                entry = None if kept is None else kept[lane][i]
                x[tile], dx[tile] = replicas[lane].layer.backward(y[tile], dy[tile], dlogdet[tile], entry)

        def add_up(parts: tuple[Parameter, ...]) -> None:
            for lane in parts[1:]:
                parts[0].grad[...] += lane.grad  # in the order of the lanes

        self.workers.map(run, range(len(cut)))
        if len(cut) > 1:
            self.workers.map(add_up, list(zip(*(replica.parameters for replica in replicas), strict=True)))
        return x, dx

    def initialize(self, x: Array) -> Array:
        return self.layer.initialize(x)

    def _lanes(self, x: Array) -> list[list[slice]]:
        return lanes(len(x), x.shape[1] * x.shape[2], self.width)

    def _replica(self, lane: int, parameters: list[Parameter]) -> _Replica:
        """The layer with its gradients in the scratch memory of `lane`, made anew only when memory has moved."""
        values = [p.value for p in parameters]
        scratch = self.workers.scratch(lane, sum(v.size for v in values), values[0].dtype)
        known = self._replicas.get(lane)
        if known is None or known.scratch is not scratch or known.parameters[0].value is not values[0]:
            twin = self.layer.replica(scratch)
            known = self._replicas[lane] = _Replica(twin, list(twin.parameters().values()), scratch)
        return known
