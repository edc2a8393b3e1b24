"""Run tiles of a batch in parallel; the layers of a chain do not notice.

Every tile passes through all layers independently. Tiles synchronise only when gradients are added:
tile i adds those of a layer after tile i - 1. So sums have a fixed order whatever the threads do,
and no tile waits for the slowest.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Self

from glowlite.arrays.backend import Array, namespace
from glowlite.arrays.layout import positions
from glowlite.arrays.parameters import parameters_of, replica
from glowlite.bijectors.base import Cache, backward
from glowlite.bijectors.memory import Cost, Plan
from glowlite.fast.chain_form import ChainForm
from glowlite.fast.threads import Workers

if TYPE_CHECKING:
    from glowlite.bijectors.chain import Chain, ChainCache


class Tiles(ChainForm):
    """`chain`, whose layers preserve the shape of x, on tiles of whole samples.

    Parameters and names are the chain's. `width`: number of channels of its widest array, which
    determines the size of a tile.
    """

    def __init__(self, chain: Chain, workers: Workers, width: int) -> None:
        super().__init__(chain, width)
        self.workers = workers

    def map_children(self, change: Callable[[Any], Any]) -> Self:
        return type(self)(self.chain.map_children(change), self.workers, self.width)

    def forward(self, x: Array) -> tuple[Array, Array]:
        y, logdet = _results(x)

        def run(tile: slice) -> None:
            y[tile], logdet[tile] = self.chain.forward(x[tile])

        self.workers.map(run, self._tiles(x))
        return y, logdet

    def forward_with_cache(
        self, x: Array, plan: Plan | None = None
    ) -> tuple[Array, Array, list[ChainCache]]:
        y, logdet = _results(x)
        kept = plan or self.plans(x[:2], len(x))[0]

        def run(tile: slice) -> ChainCache:
            y[tile], logdet[tile], cache = self.chain.forward_with_cache(x[tile], kept)
            return cache

        return y, logdet, self.workers.map(run, self._tiles(x))

    def inverse(self, y: Array) -> Array:
        x, _ = _results(y)

        def run(tile: slice) -> None:
            x[tile] = self.chain.inverse(y[tile])

        self.workers.map(run, self._tiles(y))
        return x

    def backward(
        self, y: Array, dy: Array, dlogdet: Array, cache: list[ChainCache] | None = None
    ) -> tuple[Array, Array]:
        tiles = self._tiles(y)
        if len(tiles) == 1:
            return self.chain.backward(y, dy, dlogdet, None if cache is None else cache[0])
        x, _ = _results(y)
        dx, _ = _results(y)
        turns = _Turns(self.chain.layers)
        size = max((_size(layer) for layer in self.chain.layers.values()), default=0)

        def run(i: int) -> None:
            tile, chain = tiles[i], self.chain.shallow_copy()
            chain.layers = {
                name: _LayerOfTile(layer, name, i, turns, self.workers, size)
                for name, layer in self.chain.layers.items()
            }
            kept = None if cache is None else cache[i]
            try:
                x[tile], dx[tile] = chain.backward(y[tile], dy[tile], dlogdet[tile], kept)
            except BaseException:
                turns.fail()
                raise

        self.workers.map(run, range(len(tiles)))
        return x, dx

    def costs(self, few: Array, images: int) -> tuple[list[Cost], Array]:
        return self.chain.costs(few, images, len(self._tiles(few, images)))

    def _tiles(self, x: Array, images: int | None = None) -> list[slice]:
        return self.workers.tiles(images or len(x), positions(x), max(self.width, x.shape[-1]))


class _Turns:
    """Decides whose turn it is to add gradients: for each layer, tile after tile.

    Tiles must be started in order.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._next = dict.fromkeys(names, 0)
        self._changed = threading.Condition()
        self._failed = False

    def wait(self, name: str, tile: int) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._failed or self._next[name] == tile)

    def end(self, name: str) -> None:
        with self._changed:
            self._next[name] += 1
            self._changed.notify_all()

    def fail(self) -> None:
        """Record that a tile has failed, so that no other tile waits for it.

        Its exception is passed to the caller.
        """
        with self._changed:
            self._failed = True
            self._changed.notify_all()


class _LayerOfTile:
    """The backward pass of a layer on one tile: gradients go to this thread's memory, and then in
    turn to the layer.
    """

    def __init__(
        self, layer: Any, name: str, tile: int, turns: _Turns, workers: Workers, size: int
    ) -> None:
        self.layer, self.name, self.tile = layer, name, tile
        self.turns, self.workers, self.size = turns, workers, size

    def backward(
        self, y: Array, dy: Array, dlogdet: Array, cache: Cache = None
    ) -> tuple[Array, Array]:
        if self.tile == 0:  # always the first to add, so it needs no separate memory
            x, dx = backward(self.layer, y, dy, dlogdet, cache)
            self.turns.end(self.name)
            return x, dx
        grad = self.workers.scratch(self.size, y.dtype)
        grad.fill(0)
        twin, pairs = replica(self.layer, grad)
        x, dx = backward(twin, y, dy, dlogdet, cache)
        self.turns.wait(self.name, self.tile)
        for original, own in pairs:
            original.grad[...] += own.grad
        self.turns.end(self.name)
        return x, dx


def _size(layer: Any) -> int:
    return sum(p.value.size for p in parameters_of(layer).values())


def _results(x: Array) -> tuple[Array, Array]:
    """Return arrays for tiles to write into: one like x, and (N,) numbers in float64."""
    xp = namespace(x)
    return xp.empty_like(x), xp.empty(len(x), xp.float64)
