"""Preprocessing layers and the model behind them: a change of range, a logit or a whitening, then
the flow that is trained.

The inputs of the preprocessing layers are rebuilt from their outputs. The memory budget is that of
the flow.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from glowlite.arrays.backend import Array
from glowlite.arrays.statistics import SumOverProcesses, this_process
from glowlite.bijectors.base import backward, forward_with_cache, initialize
from glowlite.bijectors.chain import Chain
from glowlite.bijectors.memory import Cost, Memory, Plan
from glowlite.bijectors.trace import Visit, trace
from glowlite.models.around_a_flow import AroundAFlow


class Preprocessed(AroundAFlow):
    """x (N, H, W, C) <-> latents: the layers `before`, then `flow`, which has a memory budget.

    The parameters of the layers before are called input/NAME; those of the flow keep their names.
    """

    def __init__(self, before: dict[str, Any], flow: Any) -> None:
        self.before, self.flow = Chain(before, Memory(0)), flow

    def children(self) -> Iterator[tuple[str, Any]]:
        yield "input", self.before
        yield from self.flow.children()

    def forward(self, x: Array) -> tuple[Any, Array]:
        h, logdet = self.before.forward(x)
        y, flow_logdet = self.flow.forward(h)
        return y, logdet + flow_logdet

    def forward_with_cache(self, x: Array) -> tuple[Any, Array, Any]:
        """Like `forward`; also return what the flow keeps."""
        h, logdet = self.before.forward(x)
        y, flow_logdet, cache = forward_with_cache(self.flow, h)
        return y, logdet + flow_logdet, cache

    def inverse(self, y: Any) -> Array:
        return self.before.inverse(self.flow.inverse(y))

    def backward(self, y: Any, dy: Any, dlogdet: Array, cache: Any = None) -> tuple[Array, Array]:
        return self.before.backward(*backward(self.flow, y, dy, dlogdet, cache), dlogdet)

    def initialize(self, x: Array, total: SumOverProcesses = this_process) -> Any:
        return initialize(self.flow, self.before.initialize(x, total), total)

    def plans(self, few: Array, images: int) -> list[Plan]:
        """Return what the flow keeps of a batch of `images`, given `few` of them."""
        plans: list[Plan] = self.flow.plans(self.before.forward(few)[0], images)
        return plans

    def cost_table(self, few: Array, images: int) -> list[list[Cost]]:
        """Return the costs of keeping each step of the flow."""
        table: list[list[Cost]] = self.flow.cost_table(self.before.forward(few)[0], images)
        return table

    def trace(self, x: Array) -> Iterator[Visit]:
        """Visit every layer that x passes through; see `bijectors.trace`."""
        for part, name in ((self.before, "input"), (self.flow, "")):
            for visit in trace(part, x, name):
                yield visit
                x = visit.outputs[0]
