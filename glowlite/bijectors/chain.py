"""Chain: layers one after the other. As in RevNets, each rebuilds its own input in `backward`.

y = f_n(... f_1(x))      x = f_1^-1(... f_n^-1(y))      log|det| = the sum of the layers'
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from glowlite.arrays.backend import Array
from glowlite.arrays.statistics import SumOverProcesses, this_process
from glowlite.bijectors.base import (
    Bijector,
    Cache,
    backward,
    check_part,
    forward_with_cache,
    initialize,
    total_logdet,
)
from glowlite.bijectors.memory import Memory

END = "end"


@dataclass
class ChainCache:
    """What a chain keeps, one entry per layer, and how far the rebuilt inputs were off.

    From layer `keep_from` on, an entry is all that the layer's backward needs; before it, an anchor
    or None. `output` is kept where the last layer does not rebuild its input, so that what comes
    from above is measured there. `drift[name]`: largest |rebuilt - kept| at the input of that layer
    (END: at the chain's output), a 0-d array, known after `backward`.
    """

    keep_from: int
    entries: list[Cache] = field(default_factory=list)
    drift: dict[str, Array] = field(default_factory=dict)
    output: Array | None = None


class Chain(Bijector):
    """The composition of `layers`, in order: a dict by name, or a list, named "0", "1", ...

    `memory` says what `forward_with_cache` keeps. Raises GlowliteError for what is not a layer.
    """

    def __init__(
        self, layers: Mapping[str, Any] | Sequence[Any], memory: Memory | None = None
    ) -> None:
        named = layers if isinstance(layers, Mapping) else {str(i): f for i, f in enumerate(layers)}
        for name, layer in named.items():
            check_part(f"Chain: layer {name!r}", layer, "forward", "inverse", "backward")
        self.layers = dict(named)
        self.memory = memory or Memory()

    def children(self) -> Iterator[tuple[str, Any]]:
        yield from self.layers.items()

    def map_children(self, change: Callable[[Any], Any]) -> Self:
        twin = self.shallow_copy()
        twin.layers = {name: change(layer) for name, layer in self.layers.items()}
        return twin

    def forward(self, x: Array) -> tuple[Array, Array]:
        logdets = []
        for layer in self.layers.values():
            x, logdet = layer.forward(x)
            logdets.append(logdet)
        return x, total_logdet(logdets, x)

    def inverse(self, y: Array) -> Array:
        for layer in reversed(self.layers.values()):
            y = layer.inverse(y)
        return y

    def forward_with_cache(
        self, x: Array, keep_from: int | None = None
    ) -> tuple[Array, Array, ChainCache]:
        """`keep_from`: from this layer on everything is kept, whatever the policy of memory."""
        everything = 0 if self.memory.kind == "stored" else len(self.layers)
        cache = ChainCache(everything if keep_from is None else min(keep_from, everything))
        logdets = []
        for i, layer in enumerate(self.layers.values()):
            if i >= cache.keep_from:
                x, logdet, entry = forward_with_cache(layer, x)
            else:
                entry = x if self.memory.anchors(i) else None
                x, logdet = layer.forward(x)
            cache.entries.append(entry)
            logdets.append(logdet)
        cache.output = x if cache.keep_from < everything else None
        return x, total_logdet(logdets, x), cache

    def backward(
        self, y: Array, dy: Array, dlogdet: Array, cache: ChainCache | None = None
    ) -> tuple[Array, Array]:
        count = len(self.layers)
        cache = cache or ChainCache(count, [None] * count)
        if cache.output is not None:
            cache.drift[END] = abs(y - cache.output).max()
        for i, (name, layer) in reversed(list(enumerate(self.layers.items()))):
            entry = cache.entries[i]
            if i >= cache.keep_from:
                y, dy = backward(layer, y, dy, dlogdet, entry)
                continue
            y, dy = backward(layer, y, dy, dlogdet)  # its input: the output of the layer before it
            if entry is not None:
                cache.drift[name] = abs(y - entry).max()
                y = entry
        return y, dy

    def initialize(self, x: Array, total: SumOverProcesses = this_process) -> Array:
        for layer in self.layers.values():
            x = initialize(layer, x, total)
        return x


class UniformChain(Chain):
    """A chain whose layers keep the shape of x and treat every sample on its own: the steps of a
    level.

    Such a chain may run on tiles of a batch side by side: see `glowlite.fast.tiles`.
    """
