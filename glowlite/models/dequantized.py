r"""A flow of images together with a flow of the noise that fills the gaps between their levels.

    v: levels 0 .. n - 1           m = (v + 1/2) / n - 1/2, their middles
    a = g(a0; m)                   the noise, u - 1/2: see `bijectors.dequantizer`
    x = m + a / n                  z = f(x)

Given v, a0 -> z is a bijection, with log|det dz/da0| = log|det f'| + log|det g'| - D ln n. By
Jensen's inequality

    log P(v) = log E_q[p(x) n^-D / q(u | v)] >= E[log p(x) + log|det g'|] - D ln n

which is the expectation of the log-density of a flow of a0: log p_z(z) + log|det dz/da0|. So for
each v there is a flow of noise, `Dequantized.at`. Its log-density, bits/dim and gradients are the
ones that we want: da = dx / n is passed to g, and the derivative with respect to log|det g'| equals
the one with respect to log|det f'|.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from glowlite.arrays.backend import Array, namespace
from glowlite.arrays.statistics import SumOverProcesses, this_process
from glowlite.bijectors.base import backward, forward_with_cache, initialize
from glowlite.bijectors.chain import worst_drift
from glowlite.bijectors.dequantizer import Dequantizer
from glowlite.bijectors.trace import Visit, trace
from glowlite.models.around_a_flow import AroundAFlow

COPIES = ("with_memory", "given", "before_top")  # methods that return a flow


class Dequantized(AroundAFlow):
    """x (N, H, W, C) <-> latents, through `flow`, with a `dequantizer` beside it.

    The flow's parameters keep their names; the others are called dequantizer/NAME.
    """

    def __init__(self, flow: Any, dequantizer: Dequantizer) -> None:
        # in the order of `children`, which determines the order of a replica's gradients
        self.dequantizer, self.flow = dequantizer, flow

    def children(self) -> Iterator[tuple[str, Any]]:
        yield "dequantizer", self.dequantizer
        yield from self.flow.children()

    def __getattr__(self, name: str) -> Any:
        """Any other attribute of the flow: plans of what is kept, levels, classes."""
        if name == "flow" or name.startswith("__"):  # in a copy that is not complete yet
            raise AttributeError(name)
        found = getattr(self.flow, name)
        return found if name not in COPIES else lambda *options: self._of(found(*options))

    def _of(self, flow: Any) -> Self:
        twin = self.shallow_copy()
        twin.flow = flow
        return twin

    def forward(self, x: Array) -> tuple[Any, Array]:
        y, logdet = self.flow.forward(x)
        return y, logdet

    def forward_with_cache(self, x: Array) -> tuple[Any, Array, Any]:
        return forward_with_cache(self.flow, x)

    def inverse(self, y: Any) -> Array:
        return self.flow.inverse(y)

    def backward(self, y: Any, dy: Any, dlogdet: Array, cache: Any = None) -> tuple[Array, Array]:
        return backward(self.flow, y, dy, dlogdet, cache)

    def initialize(self, x: Array, total: SumOverProcesses = this_process) -> Any:
        return initialize(self.flow, x, total)

    def at(self, middles: Array, n_bins: int) -> FlowOfNoise:
        """Return the bijector a0 -> latents for images whose levels have these middles, (N, H, W,
        C).
        """
        return FlowOfNoise(self.flow, self.dequantizer.given(middles), middles, n_bins)


@dataclass
class NoiseCache:
    """What a FlowOfNoise keeps: a0, a and x, (N, H, W, C), and the caches of its two parts.

    `off`: the largest error of the rebuilt x, known after `backward`.
    """

    start: Array
    noise: Array
    x: Array
    of_noise: Any
    of_flow: Any
    off: Array | None = None

    def worst_drift(self, rebuilt: Array) -> Array:
        """Return the flow's worst drift. The noise itself is kept, so `rebuilt` does not count."""
        return worst_drift(self.of_flow, rebuilt if self.off is None else self.off)


class FlowOfNoise(Dequantized):
    """a0 (N, H, W, C) in (-1/2, 1/2) <-> latents, for images of these `middles`.

    `dequantizer` was given these images. log|det| is without -D ln n, which `bits_per_dim` adds.
    """

    def __init__(self, flow: Any, dequantizer: Dequantizer, middles: Array, n_bins: int) -> None:
        super().__init__(flow, dequantizer)
        self.middles, self.n_bins = middles, n_bins

    def image(self, noise: Array) -> Array:
        """Return x in [-1/2, 1/2). Noise that is rounded to 1/2 would fall outside."""
        below = np.nextafter(noise.dtype.type(0.5), noise.dtype.type(0))
        return namespace(noise).minimum(self.middles + noise / self.n_bins, below)

    def forward(self, x: Array) -> tuple[Any, Array]:
        noise, noise_logdet = self.dequantizer.forward(x)
        y, logdet = self.flow.forward(self.image(noise))
        return y, noise_logdet + logdet

    def forward_with_cache(self, x: Array) -> tuple[Any, Array, NoiseCache]:
        noise, noise_logdet, of_noise = self.dequantizer.forward_with_cache(x)
        image = self.image(noise)
        y, logdet, of_flow = forward_with_cache(self.flow, image)
        return y, noise_logdet + logdet, NoiseCache(x, noise, image, of_noise, of_flow)

    def inverse(self, y: Any) -> Array:
        return self.dequantizer.inverse((self.flow.inverse(y) - self.middles) * self.n_bins)

    def backward(
        self, y: Any, dy: Any, dlogdet: Array, cache: NoiseCache | None = None
    ) -> tuple[Array, Array]:
        # x = m + a / n:  da = dx / n.  An error of a rebuilt x would be n times as large in a, and
        # near an end of the level even larger in logit(u). So kept values are used, if there are
        # any.
        x, dx = backward(self.flow, y, dy, dlogdet, None if cache is None else cache.of_flow)
        if cache is None:
            noise = (x - self.middles) * self.n_bins
            return self.dequantizer.backward(noise, dx / self.n_bins, dlogdet)
        cache.off = abs(x - cache.x).max()
        of_noise = cache.noise, dx / self.n_bins, dlogdet, cache.of_noise
        return cache.start, self.dequantizer.backward(*of_noise)[1]

    def initialize(self, x: Array, total: SumOverProcesses = this_process) -> Any:
        return initialize(self.flow, self.image(self.dequantizer.initialize(x, total)), total)

    def trace(self, x: Array) -> Iterator[Visit]:
        """Visit every layer that a0 passes through, the dequantizer's first; see
        `bijectors.trace`.
        """
        for visit in trace(self.dequantizer, x, "dequantizer"):
            yield visit
            x = visit.outputs[0]
        yield from trace(self.flow, self.image(x))
