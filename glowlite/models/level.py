"""A level of a Glow (figure 2b): squeeze, K steps of flow, and, but on the last one, a split."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from glowlite.arrays.backend import Array, namespace
from glowlite.arrays.parameters import Constant, Parameter, Parameterized
from glowlite.bijectors.base import zero_logdet
from glowlite.bijectors.chain import Trail
from glowlite.bijectors.split import Split
from glowlite.bijectors.squeeze import Squeeze
from glowlite.fast.tiles import Tiled


@dataclass
class GlowTrail:
    """What `Glow.forward_keeping` keeps: for every level, a Trail for every tile. `drift`: the worst of all tiles."""

    levels: list[list[Trail]] = field(default_factory=list)

    def worst_drift(self, rebuilt: Array) -> Array:
        """The largest of all drifts and of `rebuilt`, a 0-d array: NaN, if one is. Nothing waits for the device."""
        drifts = [d for level in self.levels for trail in level for d in trail.drift.values()]
        return namespace(rebuilt).stack([*drifts, rebuilt]).max()

    @property
    def drift(self) -> dict[str, float]:
        worst: dict[str, float] = {}
        for i, level in enumerate(self.levels):
            for trail in level:  # one a tile
                for name, d in trail.drift.items():
                    path = f"level{i}/{name}"
                    worst[path] = float(np.fmax(worst.get(path, 0.0), float(d)) if float(d) == float(d) else d)
        return worst


class Level(Parameterized):
    """Squeeze, K steps, and a split on all levels but the last."""

    def __init__(self, steps: Tiled, split: Split | None) -> None:
        self.squeeze = Squeeze()
        self.steps = steps
        self.split = split

    def children(self) -> Iterator[tuple[str, Parameter | Constant | Parameterized]]:
        yield from self.steps.children()
        if self.split is not None:
            yield "split", self.split

    def leave(self, x: Array) -> tuple[Array, Array, Array]:
        """h, which goes on, eps, which leaves, and logdet; on the last level, which has no split, x itself is both."""
        return self.split.forward(x) if self.split is not None else (x, x, zero_logdet(x))
