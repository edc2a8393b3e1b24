r"""The multiscale architecture (figure 2b): at the end of every level except the last, half of the
channels leave.

x -> squeeze -> K steps -> split -> squeeze -> K steps -> split ... -> K steps -> top prior
                             \-> eps_0                      \-> eps_1                 \-> eps_{L-1}
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self, cast

from glowlite.arrays.backend import Array, namespace
from glowlite.arrays.parameters import Parameterized
from glowlite.arrays.statistics import SumOverProcesses, this_process
from glowlite.bijectors.base import zero_logdet
from glowlite.bijectors.class_prior import ClassPrior
from glowlite.bijectors.memory import Cost, Memory, Plan, Planner
from glowlite.bijectors.top_prior import TopPrior
from glowlite.bijectors.trace import Visit, trace
from glowlite.models.level import GlowCache, Level


class Multiscale(Parameterized):
    """Images x (N, H, W, C) <-> latents, a list of arrays (N, h, w, c), one per level.

    `levels` in the order of the forward pass; `top`: the learned prior of the last latents, or
    None. `memory`: one memory budget for all levels.
    """

    gives_list = True

    def __init__(
        self, levels: list[Level], top: TopPrior | None = None, memory: Memory | None = None
    ) -> None:
        self.levels, self.top, self.memory = levels, top, memory or Memory()
        self._planner = Planner()

    def children(self) -> Iterator[tuple[str, Any]]:
        for i, level in enumerate(self.levels):
            yield f"level{i}", level
        if self.top is not None:
            yield "top", self.top

    def with_memory(self, memory: Memory) -> Self:
        """Return a shallow copy with its own budget and plans."""
        twin = self.shallow_copy()
        twin.memory, twin._planner = memory, Planner()
        return twin

    def given(self, labels: Array, label_weight: float = 0.0) -> Self:
        """Return a shallow copy whose top prior, a ClassPrior, is that of the class of each
        image.
        """
        twin = self.shallow_copy()
        twin.top = cast(ClassPrior, self.top).given(labels, label_weight)
        return twin

    def before_top(self) -> Self:
        """Return a shallow copy without a top prior: its last latents are the prior's input."""
        twin = self.shallow_copy()
        twin.top = None
        return twin

    def forward(self, x: Array) -> tuple[list[Array], Array]:
        return self._forward(x, None)

    def forward_with_cache(self, x: Array) -> tuple[list[Array], Array, GlowCache]:
        """Like `forward`; also keep as much of what `backward` needs as the budget allows."""
        cache = GlowCache()
        return *self._forward(x, cache), cache

    def _forward(self, x: Array, cache: GlowCache | None) -> tuple[list[Array], Array]:
        latents, logdet = [], zero_logdet(x)
        plans = [] if cache is None else self.plans(x[:2], len(x))
        for i, level in enumerate(self.levels):
            x, _ = level.squeeze.forward(x)
            if cache is None:
                x, steps_logdet = level.steps.forward(x)
            else:
                x, steps_logdet, level_cache = level.steps.forward_with_cache(x, plans[i])
                cache.levels.append(level_cache)
            x, eps, split_logdet = level.split_off(x)
            latents.append(eps)
            logdet = logdet + steps_logdet + split_logdet
        if self.top is not None:
            latents[-1], top_logdet = self.top.forward(x)
            logdet = logdet + top_logdet
        return latents, logdet

    def plans(self, few: Array, images: int) -> list[Plan]:
        """Return what is kept of a batch of `images`, per level; `few`: one or two of them."""
        chains = [level.steps for level in self.levels]
        return self._planner.plans(self.memory, few, images, chains, self.cost_table)

    def cost_table(self, few: Array, images: int) -> list[list[Cost]]:
        """Return the costs of keeping each step of each level."""
        table = []
        for level in self.levels:
            costs, few = level.steps.costs(level.squeeze.forward(few)[0], images)
            table.append(costs)
            few = level.split_off(few)[0]
        return table

    def inverse(self, latents: list[Array]) -> Array:
        h = latents[-1] if self.top is None else self.top.inverse(latents[-1])
        for level, eps in zip(reversed(self.levels), reversed(latents), strict=True):
            if level.split is not None:
                h = level.split.inverse(h, eps)
            h = level.squeeze.inverse(level.steps.inverse(h))
        return h

    def backward(
        self,
        latents: list[Array],
        dlatents: list[Array],
        dlogdet: Array,
        cache: GlowCache | None = None,
    ) -> tuple[Array, Array]:
        h, dh = latents[-1], dlatents[-1]
        if self.top is not None:
            h, dh = self.top.backward(h, dh, dlogdet)
        for i, level in reversed(list(enumerate(self.levels))):
            if level.split is not None:
                h, dh = level.split.backward(h, latents[i], dh, dlatents[i], dlogdet)
            h, dh = level.steps.backward(h, dh, dlogdet, None if cache is None else cache.levels[i])
            h, dh = level.squeeze.backward(h, dh, dlogdet)
        return h, dh

    def initialize(self, x: Array, total: SumOverProcesses = this_process) -> list[Array]:
        latents = []
        for level in self.levels:
            x = level.steps.initialize(level.squeeze.forward(x)[0], total)
            x, eps, _ = level.split_off(x)
            latents.append(eps)
        if self.top is not None:
            latents[-1] = self.top.initialize(x, total)
        return latents

    def trace(self, x: Array) -> Iterator[Visit]:
        """Visit every layer that x (N, H, W, C) passes through, in order; see `bijectors.trace`."""
        for i, level in enumerate(self.levels):
            x, _ = level.squeeze.forward(x)
            for visit in trace(level.steps, x, f"level{i}"):
                yield visit
                x = visit.outputs[0]
            if level.split is not None:
                visit = _split_visit(f"level{i}/split", level, x)
                yield visit
                x = visit.outputs[0]
        if self.top is not None:
            yield from trace(self.top, x, "top")


def _split_visit(name: str, level: Level, x: Array) -> Visit:
    h, eps, logdet = level.split_off(x)
    split, zero = level.split, namespace(x).zeros_like
    assert split is not None

    def rebuild() -> Array:
        return split.backward(h, eps, zero(h), zero(eps), zero(logdet))[0]

    return Visit(name, x, [h, eps], logdet, rebuild)
