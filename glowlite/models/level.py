"""A level of a multiscale flow, such as a Glow (figure 2b): squeeze, K steps of flow and, except on
the last level, a split.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from glowlite.arrays.backend import Array, namespace
from glowlite.arrays.parameters import Parameterized
from glowlite.bijectors.base import zero_logdet
from glowlite.bijectors.chain import Chain, ChainCache
from glowlite.bijectors.split import Split
from glowlite.bijectors.squeeze import Squeeze


@dataclass
class GlowCache:
    """What `Glow.forward_with_cache` keeps: per level a ChainCache, or a list of them if the batch
    was split.
    """

    levels: list[ChainCache | list[ChainCache]] = field(default_factory=list)

    def chains(self) -> Iterator[tuple[int, ChainCache]]:
        """Yield the level's number and the cache, for every level and every part of the batch."""
        for i, caches in enumerate(self.levels):
            for cache in caches if isinstance(caches, list) else [caches]:
                yield i, cache

    def worst_drift(self, rebuilt: Array) -> Array:
        """Return the largest of all drifts and of `rebuilt`, a 0-d array. It is NaN if any of them
        is.

        It does not wait for the device.
        """
        drifts = [d for _, cache in self.chains() for d in cache.drift.values()]
        return namespace(rebuilt).stack([*drifts, rebuilt]).max()

    @property
    def drift(self) -> dict[str, float]:
        """Return the worst drift over all parts of the batch, by the path of the layer."""
        worst: dict[str, float] = {}
        for i, cache in self.chains():
            for name, d in cache.drift.items():
                path = f"level{i}/{name}"
                worst[path] = float(
                    np.fmax(worst.get(path, 0.0), float(d)) if float(d) == float(d) else d
                )
        return worst


class Level(Parameterized):
    """Squeeze, the steps (a Chain or its fast form) and, on all levels except the last, a split.

    `squeeze`: False if the steps themselves contain a squeeze, if there is one.
    """

    def __init__(self, steps: Any, split: Split | None, squeeze: bool = True) -> None:
        self.squeeze = Squeeze() if squeeze else Chain({})
        self.steps = steps
        self.split = split

    def children(self) -> Iterator[tuple[str, Any]]:
        yield from self.steps.children()
        if self.split is not None:
            yield "split", self.split

    def split_off(self, x: Array) -> tuple[Array, Array, Array]:
        """Return h, which goes on to the next level, eps, which leaves, and logdet. On the last
        level, which has no split, h and eps are both x.
        """
        return self.split.forward(x) if self.split is not None else (x, x, zero_logdet(x))
