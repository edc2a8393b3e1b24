"""Chain: layers one after the other. Its backward is that of RevNets: each layer rebuilds its own input.

y = f_n(... f_1(x))        x = f_1^-1(... f_n^-1(y))        log|det| = the sum of the layers'
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Self

from glowlite.arrays.backend import Array
from glowlite.arrays.parameters import Parameter, Parameterized
from glowlite.arrays.statistics import Total, of_one
from glowlite.bijectors.base import Bijector, Kept, zero_logdet
from glowlite.bijectors.memory import Memory

END = "end"


@dataclass
class Trail:
    """What a chain keeps, one entry a layer, and how far the rebuilt inputs were off at the anchors.

    From layer `whole_from` on, an entry is all that the layer's backward needs; before it, an anchor or None.
    `output` is kept where the last layer does not rebuild its input, so that what comes from above is measured there.
    `drift[name]`: largest |rebuilt - kept| at the input of that layer (END: at the chain's output), a 0-d array, known
    after `backward`.
    """

    whole_from: int
    kept: list[Kept] = field(default_factory=list)
    drift: dict[str, Array] = field(default_factory=dict)
    output: Array | None = None


class Chain(Bijector):
    """The composition of `layers`, named, in order. `memory` says what `forward_keeping` keeps."""

    def __init__(self, layers: dict[str, Bijector], memory: Memory | None = None) -> None:
        self.layers = layers
        self.memory = memory or Memory("stored")
        self.memo: Any = None  # of Fused: its layers side by side

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "memo": None}  # views of a store: a copy has another

    def children(self) -> Iterator[tuple[str, Bijector]]:
        yield from self.layers.items()

    def map_children(self, change: Callable[[Parameterized | Parameter], object]) -> Self:
        return type(self)({name: change(layer) for name, layer in self.layers.items()}, self.memory)  # type: ignore[misc]

    def forward(self, x: Array) -> tuple[Array, Array]:
        logdets = []
        for layer in self.layers.values():
            x, logdet = layer.forward(x)
            logdets.append(logdet)
        return x, _total(logdets, x)

    def inverse(self, y: Array) -> Array:
        for layer in reversed(self.layers.values()):
            y = layer.inverse(y)
        return y

    def forward_keeping(self, x: Array, keep_last: bool = False) -> tuple[Array, Array, Trail]:
        """With `keep_last`, the last layer, whose backward comes first, keeps everything: it need not rebuild anything."""
        count = len(self.layers)
        trail, logdets = Trail(0 if self.memory.kind == "stored" else count - keep_last), []
        for i, layer in enumerate(self.layers.values()):
            if i >= trail.whole_from:
                x, logdet, kept = layer.forward_keeping(x)
            else:
                kept = x if self.memory.anchors(i) else None
                x, logdet = layer.forward(x)
            trail.kept.append(kept)
            logdets.append(logdet)
        trail.output = x if keep_last else None
        return x, _total(logdets, x), trail

    def backward(self, y: Array, dy: Array, dlogdet: Array, kept: Trail | None = None) -> tuple[Array, Array]:
        if kept is not None and kept.output is not None:
            kept.drift[END] = abs(y - kept.output).max()
        for i, (name, layer) in reversed(list(enumerate(self.layers.items()))):
            entry = None if kept is None else kept.kept[i]
            whole = kept is not None and i >= kept.whole_from
            y, dy = self._layer_backward(name, layer, y, dy, dlogdet, entry if whole else None)  # its input: y of the next
            if kept is not None and entry is not None and not whole:
                kept.drift[name] = abs(y - entry).max()
                y = entry
        return y, dy

    def _layer_backward(self, _: str, layer: Bijector, *arguments: Array) -> tuple[Array, Array]:
        """What runs a layer's backward. Tiles need more than this."""
        return layer.backward(*arguments)

    def initialize(self, x: Array, total: Total = of_one) -> Array:
        for layer in self.layers.values():
            x = layer.initialize(x, total)
        return x


def _total(logdets: list[Array], y: Array) -> Array:
    """Their sum, (N,)."""
    if not logdets:
        return zero_logdet(y)
    total = logdets[0]
    for logdet in logdets[1:]:
        total = total + logdet
    return total
