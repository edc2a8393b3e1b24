"""Tiled: the steps of a level on tiles of the batch side by side. The steps know nothing of it.

Every tile goes through all the steps on its own, and tiles meet only where gradients are added: tile i adds those of a
step after tile i - 1 has. So sums are taken in one order whatever the threads do, and nobody waits for the slowest.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Self, TypeVar

from glowlite.arrays.backend import Array, namespace
from glowlite.arrays.parameters import Constant, Parameter, Parameterized
from glowlite.arrays.statistics import Total, of_one
from glowlite.bijectors.base import Bijector
from glowlite.bijectors.chain import Chain, Trail
from glowlite.fast.fused_steps import Fused
from glowlite.fast.threads import Workers

LAST_STEP_MB = 32  # of hidden maps that the last step of a level may keep under every policy: as much at any depth

T = TypeVar("T")
R = TypeVar("R")


class Tiled(Bijector):
    """`chain`, whose layers keep the shape (N, H, W, C), on tiles of whole images. Parameters and names are the chain's.

    `width`: the channels of its widest array, from which follows the size of a tile. `workers`: None for a single tile.
    """

    def __init__(self, chain: Chain, workers: Workers | None, width: int) -> None:
        self.chain = chain
        self.workers = workers
        self.width = width

    def children(self) -> Iterator[tuple[str, Parameter | Constant | Parameterized]]:
        yield from self.chain.children()

    def map_children(self, change: Callable[[Parameterized | Parameter], object]) -> Self:
        return type(self)(self.chain.map_children(change), self.workers, self.width)

    def forward(self, x: Array) -> tuple[Array, Array]:
        chain = Fused(self.chain, x[0, ..., 0].size, self.workers, forward=True).chain
        y, logdet = _results(x)

        def run(tile: slice) -> None:
            y[tile], logdet[tile] = chain.forward(x[tile])

        self._map(run, self._tiles(x))
        return y, logdet

    def forward_keeping(self, x: Array) -> tuple[Array, Array, list[Trail]]:
        chain = Fused(self.chain, x[0, ..., 0].size, self.workers, forward=True).chain
        y, logdet = _results(x)
        hidden_maps = 2 * x[..., 0].size * self.width * x.itemsize
        keep_last = self.chain.memory.kind != "stored" and hidden_maps <= LAST_STEP_MB * 2**20

        def run(tile: slice) -> Trail:
            y[tile], logdet[tile], trail = chain.forward_keeping(x[tile], keep_last)
            return trail

        return y, logdet, self._map(run, self._tiles(x))

    def inverse(self, y: Array) -> Array:
        chain = Fused(self.chain, y[0, ..., 0].size, self.workers, inverse=True).chain
        x, _ = _results(y)

        def run(tile: slice) -> None:
            x[tile] = chain.inverse(y[tile])

        self._map(run, self._tiles(y))
        return x

    def backward(self, y: Array, dy: Array, dlogdet: Array, kept: list[Trail] | None = None) -> tuple[Array, Array]:
        fused = Fused(self.chain, y[0, ..., 0].size, self.workers, inverse=True)
        x, _ = _results(y)
        dx, _ = _results(y)
        tiles = self._tiles(y)
        turns = _Turns(fused.chain.layers)
        most = max(layer.parameter_count() for layer in fused.chain.layers.values())

        def run(i: int) -> None:
            tile, chain = tiles[i], fused.chain
            if self.workers is not None and len(tiles) > 1:
                chain = _ChainOfATile(chain, self.workers, turns, i, most)
            try:
                x[tile], dx[tile] = chain.backward(y[tile], dy[tile], dlogdet[tile], None if kept is None else kept[i])
            except BaseException:
                turns.fail()
                raise

        self._map(run, range(len(tiles)))
        fused.add_gradients(dlogdet)
        return x, dx

    def initialize(self, x: Array, total: Total = of_one) -> Array:
        return self.chain.initialize(x, total)

    def _tiles(self, x: Array) -> list[slice]:
        images, height, width, _ = x.shape
        return [slice(0, images)] if self.workers is None else self.workers.tiles(images, height * width, self.width)

    def _map(self, task: Callable[[T], R], items: Sequence[T]) -> list[R]:
        return [task(item) for item in items] if self.workers is None else self.workers.map(task, items)


class _Turns:
    """Whose turn it is to add gradients: for each layer, tile after tile. Tiles must be begun in order."""

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
        """A tile has ended early: nobody shall wait for it. Its exception is on its way to the caller."""
        with self._changed:
            self._failed = True
            self._changed.notify_all()


class _ChainOfATile(Chain):
    """The chain as tile `tile` runs it: gradients of a layer go to memory of this thread, and in turn to the layer."""

    def __init__(self, chain: Chain, workers: Workers, turns: _Turns, tile: int, most_parameters: int) -> None:
        super().__init__(chain.layers, chain.memory)
        self.workers, self.turns, self.tile, self.most_parameters = workers, turns, tile, most_parameters

    def _layer_backward(self, name: str, layer: Bijector, *arguments: Array) -> tuple[Array, Array]:
        if self.tile == 0:  # always the first to add: no other memory is needed
            x, dx = layer.backward(*arguments)
            self.turns.end(name)
            return x, dx
        grad = self.workers.scratch(self.most_parameters, arguments[0].dtype)
        grad.fill(0)
        replica, pairs = layer.replica(grad)
        x, dx = replica.backward(*arguments)
        self.turns.wait(name, self.tile)
        for original, own in pairs:
            original.grad[...] += own.grad
        self.turns.end(name)
        return x, dx


def _results(x: Array) -> tuple[Array, Array]:
    """Arrays for tiles to write into: images like x, and (N,) numbers in float64."""
    xp = namespace(x)
    return xp.empty_like(x), xp.empty(len(x), xp.float64)
