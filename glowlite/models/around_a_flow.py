"""AroundAFlow: a bijector that contains a flow and shares its memory budget, and whether it gives a
list of latents.
"""

from __future__ import annotations

from typing import Any

from glowlite.arrays.parameters import Parameterized
from glowlite.bijectors.memory import Memory


class AroundAFlow(Parameterized):
    """`flow`: any bijector with a memory budget, `flow.memory`."""

    flow: Any

    @property
    def gives_list(self) -> bool:
        return bool(getattr(self.flow, "gives_list", False))

    @property
    def memory(self) -> Memory:
        memory: Memory = self.flow.memory
        return memory

    @memory.setter
    def memory(self, memory: Memory) -> None:
        self.flow.memory = memory
