"""One step of flow (figure 2a): ActNorm, a permutation of the channels, a coupling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

from glowlite.arrays.parameters import Parameter, Parameterized
from glowlite.bijectors.actnorm import ActNorm
from glowlite.bijectors.base import Bijector
from glowlite.bijectors.chain import Chain


class FlowStep(Chain):
    """The chain of `actnorm`, `permutation` and `coupling`. x, y: (N, H, W, C)."""

    def __init__(self, actnorm: ActNorm, permutation: Bijector, coupling: Bijector) -> None:
        super().__init__({"actnorm": actnorm, "permutation": permutation, "coupling": coupling})

    def map_children(self, change: Callable[[Parameterized | Parameter], object]) -> Self:
        return type(self)(**{name: change(layer) for name, layer in self.layers.items()})  # type: ignore[arg-type]
