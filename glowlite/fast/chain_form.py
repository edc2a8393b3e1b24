"""What the fast forms of a chain share: parameters, names and layers are the chain's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from glowlite.arrays.backend import Array
from glowlite.arrays.statistics import SumOverProcesses, this_process
from glowlite.bijectors.base import Bijector
from glowlite.bijectors.chain import Chain
from glowlite.bijectors.memory import Memory


class ChainForm(Bijector):
    """Another way to run `chain`; `width`: the channels of its widest array."""

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

    def initialize(self, x: Array, total: SumOverProcesses = this_process) -> Array:
        return self.chain.initialize(x, total)
