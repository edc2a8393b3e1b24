"""Chain: layers one after the other. Its backward is that of RevNets: each layer rebuilds its own input.

y = f_n(... f_1(x))        x = f_1^-1(... f_n^-1(y))        log|det| = the sum of the layers'
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Self

from glowlite.backend import Array
from glowlite.bijectors.base import Bijector, Kept, zero_logdet
from glowlite.bijectors.memory import Memory
from glowlite.parameters import Parameter, Parameterized


@dataclass
class Trail:
    """What a chain keeps, one entry a layer, and how far the rebuilt inputs were off at the anchors.

    `drift[name]`: largest |rebuilt - kept| at the input of that layer, a 0-d array, known after `backward`.
    """

    kept: list[Kept] = field(default_factory=list)
    drift: dict[str, Array] = field(default_factory=dict)


class Chain(Bijector):
    """The composition of `layers`, named, in order. `memory` says what `forward_keeping` keeps."""

    def __init__(self, layers: dict[str, Bijector], memory: Memory | None = None) -> None:
        self.layers = layers
        self.memory = memory or Memory("stored")

    def children(self) -> Iterator[tuple[str, Bijector]]:
        yield from self.layers.items()

    def map_children(self, change: Callable[[Parameterized | Parameter], object]) -> Self:
        return type(self)({name: change(layer) for name, layer in self.layers.items()}, self.memory)  # type: ignore[misc]

    def forward(self, x: Array) -> tuple[Array, Array]:
        logdet = zero_logdet(x)
        for layer in self.layers.values():
            x, layer_logdet = layer.forward(x)
            logdet = logdet + layer_logdet
        return x, logdet

    def inverse(self, y: Array) -> Array:
        for layer in reversed(self.layers.values()):
            y = layer.inverse(y)
        return y

    def forward_keeping(self, x: Array) -> tuple[Array, Array, Trail]:
        trail, logdet = Trail(), zero_logdet(x)
        for i, layer in enumerate(self.layers.values()):
            if self.memory.kind == "stored":
                x, layer_logdet, kept = layer.forward_keeping(x)
            else:
                kept = x if self.memory.anchors(i) else None
                x, layer_logdet = layer.forward(x)
            trail.kept.append(kept)
            logdet = logdet + layer_logdet
        return x, logdet, trail

    def backward(self, y: Array, dy: Array, dlogdet: Array, kept: Trail | None = None) -> tuple[Array, Array]:
        entries = kept.kept if kept is not None else [None] * len(self.layers)
        stored = kept is not None and self.memory.kind == "stored"
        for (name, layer), entry in zip(reversed(self.layers.items()), reversed(entries), strict=True):
            y, dy = self._layer_backward(name, layer, y, dy, dlogdet, entry if stored else None)  # its input: y of the next
            if kept is not None and entry is not None and not stored:
                kept.drift[name] = abs(y - entry).max()
                y = entry
        return y, dy

    def _layer_backward(self, _: str, layer: Bijector, *arguments: Array) -> tuple[Array, Array]:
        """What runs a layer's backward. Tiles need more than this."""
        return layer.backward(*arguments)

    def initialize(self, x: Array) -> Array:
        for layer in self.layers.values():
            x = layer.initialize(x)
        return x
