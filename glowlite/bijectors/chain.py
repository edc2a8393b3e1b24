"""Chain: layers one after the other. As in RevNets, `backward` rebuilds a layer's input from its
output, unless the input was kept.

y = f_n(... f_1(x))      x = f_1^-1(... f_n^-1(y))      log|det| = the sum of the layers'
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from glowlite.arrays.backend import Array, namespace
from glowlite.arrays.statistics import SumOverProcesses, this_process
from glowlite.bijectors.base import (
    Bijector,
    Cache,
    backward,
    check_part,
    forward_with_cache,
    initialize,
    needs_cache,
    total_logdet,
)
from glowlite.bijectors.memory import Cost, Memory, Plan, Planner, cost_of

END = "end"


@dataclass
class ChainCache:
    """What a chain keeps, one entry per layer, and the errors of the rebuilt inputs.

    For a layer that the `plan` keeps, or that needs a cache, the entry is all that its backward
    needs; for another layer it is an anchor or None. `output`: the chain's output, if the plan
    checks it. `drift[name]`: the largest |rebuilt - kept| at the input of that layer (END: at the
    chain's output), a 0-d array, known after `backward`.
    """

    plan: Plan
    entries: list[Cache]
    drift: dict[str, Array] = field(default_factory=dict)
    output: Array | None = None


class Chain(Bijector):
    """The composition of `layers`, in order: a dict by name, or a list, named "0", "1", ...

    `memory`: how much `forward_with_cache` keeps. Raises GlowliteError for an object that is not a
    layer.
    """

    def __init__(
        self, layers: Mapping[str, Any] | Sequence[Any], memory: Memory | None = None
    ) -> None:
        named = layers if isinstance(layers, Mapping) else {str(i): f for i, f in enumerate(layers)}
        for name, layer in named.items():
            check_part(f"Chain: layer {name!r}", layer, "forward", "inverse", "backward")
        self.layers = dict(named)
        self.memory = memory or Memory()
        self.planner = Planner()

    def children(self) -> Iterator[tuple[str, Any]]:
        yield from self.layers.items()

    def map_children(self, change: Callable[[Any], Any]) -> Self:
        twin = self.shallow_copy()
        twin.layers = {name: change(layer) for name, layer in self.layers.items()}
        return twin

    @property
    def needs_cache(self) -> bool:
        return any(needs_cache(layer) for layer in self.layers.values())

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
        self, x: Array, plan: Plan | None = None
    ) -> tuple[Array, Array, ChainCache]:
        """Run `forward` over layers that store in a cache what the plan keeps of them.

        `plan`: what to keep; by default, as much as the budget of `memory` allows.
        """
        plan, count = plan or self.plans(x[:2], len(x))[0], len(self.layers)
        cache, twin = ChainCache(plan, [None] * count), self.shallow_copy()
        twin.layers = {
            name: _Keeping(layer, i, cache) for i, (name, layer) in enumerate(self.layers.items())
        }
        y, logdet = twin.forward(x)
        cache.output = y if plan.checks_end and count - 1 in plan.kept else None
        return y, logdet, cache

    def backward(
        self, y: Array, dy: Array, dlogdet: Array, cache: ChainCache | None = None
    ) -> tuple[Array, Array]:
        cache = cache or ChainCache(Plan(), [None] * len(self.layers))
        if cache.output is not None:
            cache.drift[END] = abs(y - cache.output).max()
        for i, (name, layer) in reversed(list(enumerate(self.layers.items()))):
            entry = cache.entries[i]
            if i in cache.plan.kept or needs_cache(layer):
                y, dy = backward(layer, y, dy, dlogdet, entry)
                continue
            # its input, which is the output of the layer before it
            y, dy = backward(layer, y, dy, dlogdet)
            if entry is not None:
                cache.drift[name] = abs(y - entry).max()
                y = entry
        return y, dy

    def plans(self, few: Array, images: int) -> list[Plan]:
        """Return what is kept of a batch of `images` if this chain has the whole budget: one plan.

        `few`: one or two of the images.
        """
        return self.planner.plans(self.memory, few, images, [self], self.cost_table)

    def cost_table(self, few: Array, images: int) -> list[list[Cost]]:
        """Return the costs per chain (only this one) and per layer."""
        return [self.costs(few, images)[0]]

    def costs(self, few: Array, images: int, pieces: int = 1) -> tuple[list[Cost], Array]:
        """Return the cost of keeping each layer, see `cost_of`, and y of `few`.

        Cost: passes of one and two images.
        """
        costs = []
        for layer in self.layers.values():
            _, _, first = forward_with_cache(layer, few[:1].copy(order="K"))
            y, _, cache = forward_with_cache(layer, few.copy(order="K"))
            costs.append(cost_of(layer, few, (first, cache), images, pieces))
            few = y
        return costs, few

    def initialize(self, x: Array, total: SumOverProcesses = this_process) -> Array:
        for layer in self.layers.values():
            x = initialize(layer, x, total)
        return x


class _Keeping:
    """Layer `index` of a chain; its forward stores in `cache` what the plan keeps of it."""

    def __init__(self, layer: Any, index: int, cache: ChainCache) -> None:
        self._layer, self._index, self._cache = layer, index, cache

    def __getattr__(self, name: str) -> Any:
        return getattr(self._layer, name)

    def forward(self, x: Array) -> tuple[Array, Array]:
        plan, entry = self._cache.plan, None
        if self._index in plan.kept or needs_cache(self._layer):
            y, logdet, entry = forward_with_cache(self._layer, x)
        else:
            entry = x if plan.anchors(self._index) else None
            y, logdet = self._layer.forward(x)
        self._cache.entries[self._index] = entry
        return y, logdet


class UniformChain(Chain):
    """A chain whose layers preserve the shape of x and treat every sample separately: the steps of
    a level.

    Such a chain can run on tiles of a batch in parallel: see `glowlite.fast.tiles`.
    """


def worst_drift(cache: Any, rebuilt: Array) -> Array:
    """Return the largest of `rebuilt` and of the drifts at anchors, 0-d. It is NaN if any of them
    is.
    """
    if hasattr(cache, "worst_drift"):
        worst: Array = cache.worst_drift(rebuilt)
        return worst
    parts = cache if isinstance(cache, list) else [cache]  # one per part of a batch that was split
    drifts = [d for part in parts for d in getattr(part, "drift", {}).values()]
    return namespace(rebuilt).stack([*drifts, rebuilt]).max()
