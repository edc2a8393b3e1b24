"""The base of the fast forms of a chain, which have the chain's parameters, names and layers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from glowlite.arrays.backend import Array
from glowlite.arrays.parameters import Parameter, children
from glowlite.arrays.statistics import SumOverProcesses, this_process
from glowlite.bijectors.base import Bijector
from glowlite.bijectors.memory import Cost, Memory, Plan

if TYPE_CHECKING:
    from glowlite.bijectors.chain import Chain


class ChainForm(Bijector):
    """Another way to run `chain`; `width`: number of channels of its widest array."""

    def __init__(self, chain: Chain, width: int) -> None:
        self.chain, self.width = chain, width

    @property
    def memory(self) -> Memory:
        return self.chain.memory

    @memory.setter
    def memory(self, memory: Memory) -> None:
        self.chain.memory = memory

    @property
    def layers(self) -> dict[str, Any]:
        return self.chain.layers

    def children(self) -> Iterator[tuple[str, Any]]:
        yield from self.chain.children()

    def plans(self, few: Array, images: int) -> list[Plan]:
        """Return what is kept of a batch of `images` if this chain has the whole budget."""
        return self.chain.planner.plans(self.memory, few, images, [self], self.cost_table)

    def cost_table(self, few: Array, images: int) -> list[list[Cost]]:
        """Return the costs per chain (only this one) and per layer."""
        return [self.costs(few, images)[0]]

    def costs(self, few: Array, images: int) -> tuple[list[Cost], Array]:
        """Return the cost of keeping each layer, and y of `few`."""
        return self.chain.costs(few, images)

    def initialize(self, x: Array, total: SumOverProcesses = this_process) -> Array:
        return self.chain.initialize(x, total)


def widest(part: Any) -> int:
    """Return the largest `width` of the networks in a part, in channels; 1 if none has a width."""
    own = getattr(part, "width", 1)
    named = part.children() if hasattr(part, "children") else children(part)
    inner = [widest(child) for _, child in named if not isinstance(child, Parameter)]
    return max([own if isinstance(own, int) else 1, *inner])
