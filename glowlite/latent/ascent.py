r"""Fill in hidden pixels, or remove noise, by gradient ascent on log p(x | known), as in NICE
(section 5.2). All that is needed from the model is d log p(x) / dx.

    v <- beta v + eta (d log p(x) / dx + d log p(known | x) / dx) + sqrt(2 (1 - beta) eta T) n
    x <- project(x + v)                                                       n ~ N(0, I)

`project` restores the known pixels and clips images to their range. With T = 0 this is gradient
ascent with momentum, towards the most likely x. With T = 1 and small steps it is Langevin dynamics,
whose x converge to samples of p(x | known). T falls from `noise` to 0, so that the result has no
noise.

Step i is eta = step 100 / (100 + i) / I. This is NICE's rule except for the unit: I is the mean of
(d log p / dx)^2 over pixels of samples of the model, plus 1 / sigma^2 if there is noise. By
Fisher's identity, I is the mean curvature of -log p, so a step of 1 is on average a step of
Newton's method. Far from all data, scores are larger, about ten times in a trained Glow. A score
whose root mean square over a sample exceeds 1.5 sqrt(I) is scaled down to that.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from glowlite.arrays.arguments import check_seed, real_number, whole_number
from glowlite.arrays.backend import Array, namespace, to_device
from glowlite.arrays.layout import per_sample, sum_per_sample
from glowlite.arrays.randomness import normal, uniform
from glowlite.errors import GlowliteError, ShapeError

if TYPE_CHECKING:
    from glowlite.flow import Flow

MOMENTUM = 0.9
HALVING = 100  # number of steps after which the step length is halved
SAMPLES = 16  # number of model samples that determine the step length
LONGEST = 1.5  # largest root mean square of a score, in units of sqrt(I)
CANDIDATES = 512  # number of samples among which the nearest to the known pixels is the start
CANDIDATE_TEMPERATURE = 0.7


@dataclass(frozen=True)
class Known:
    """Known components: `values` (N, ...) where `mask`, bool, is true; its shape broadcasts against
    theirs.

    width: the width of the levels whose middles the values are, 2^-n_bits for images. In every
    step, the values are placed at random within their levels, as in training. 0 for continuous
    data.
    """

    values: Array
    mask: Array
    width: float = 0.0

    curvature = 0.0

    def gradient(self, x: Array) -> float:
        return 0.0

    def project(self, x: Array, seed: int, step: int) -> Array:
        """Return x with the known pixels restored."""
        values = self.values
        if self.width:
            noise = uniform(seed, "inpaint-known", step, 0, tuple(x.shape), x.dtype.name)
            values = values + self.width * (to_device(noise, namespace(x)) - 0.5)
        return namespace(x).where(self.mask, values, x)


@dataclass(frozen=True)
class Noisy:
    """Every pixel is known up to Gaussian noise: values = x + sigma n, (N, ...)."""

    values: Array
    sigma: float

    @property
    def curvature(self) -> float:
        return 1 / self.sigma**2

    def gradient(self, x: Array) -> Array:
        return (self.values - x) / self.sigma**2  # of -|values - x|^2 / 2 sigma^2

    @property
    def mask(self) -> Array:
        return namespace(self.values).ones(1, bool)

    def project(self, x: Array, seed: int, step: int) -> Array:
        return x


def mean_start(known: Known | Noisy) -> Array:
    """Return a constant start, (N, ...): the mean of a sample's known components, or of those of
    each of its channels.
    """
    values, xp = known.values, namespace(known.values)
    axes = tuple(range(1, max(2, values.ndim - 1)))
    mask = xp.broadcast_to(known.mask, values.shape)
    count = xp.maximum(mask.sum(axis=axes, keepdims=True), 1).astype(values.dtype)
    mean = (values * mask).sum(axis=axes, keepdims=True) / count
    return xp.broadcast_to(mean, values.shape).copy()


def nearest_samples(flow: Flow, known: Known | Noisy, seed: int = 0) -> Array:
    """Return, for each of `known.values`, the nearest of CANDIDATES samples, compared at the known
    components.

    Cost: CANDIDATES samples, all in memory at the same time.
    """
    xp = namespace(known.values)
    samples = flow.sample(CANDIDATES, CANDIDATE_TEMPERATURE, seed)
    masks = xp.broadcast_to(known.mask, known.values.shape)
    found = []
    for values, mask in zip(known.values, masks, strict=True):
        squares = (xp.square(samples - values) * mask).reshape(CANDIDATES, -1).sum(axis=1)
        # a non-finite sample counts as far
        found.append(samples[xp.where(xp.isfinite(squares), squares, xp.inf).argmin()])
    return xp.stack(found)


def score(flow: Flow, x: Array) -> tuple[Array, Array]:
    """Return log p(x), (N,), nats, and d log p / dx, (N, ...). `flow.store.grad` is not changed.

    Cost: a forward and a backward pass.
    """
    kept = flow.store.grad.copy()
    latents, logdet, cache = flow.forward_with_cache(x)
    # log p = log p_base(latents) + log|det|: its derivative with respect to log|det| is 1
    ones = namespace(x).ones_like(logdet)
    _, dx = flow.backward(latents, flow.base.gradient(latents), ones, cache)
    flow.store.grad[...] = kept
    return logdet + flow.base.log_prob(latents), dx


def information(flow: Flow, seed: int = 0) -> float:
    """Return I: the mean of (d log p / dx)^2 over the components of a sample; the median over
    SAMPLES samples, since an outlier can have any value.
    """
    _, dx = score(flow, flow.sample(SAMPLES, 1.0, seed))
    xp = namespace(dx)
    squares = xp.square(dx.astype(xp.float64)).reshape(len(dx), -1).mean(axis=1)
    # a non-finite sample counts as an outlier
    return float(xp.median(xp.where(xp.isfinite(squares), squares, xp.inf)))


def ascend(
    flow: Flow,
    start: Array,
    known: Known | Noisy,
    steps: int = 200,
    step: float = 0.5,
    noise: float = 1.0,
    seed: int = 0,
    bounds: tuple[float, float] | None = None,
) -> Iterator[Array]:
    """Yield x (N, ...) at the start and after every step, `steps` + 1 in all.

    start: in the dtype of the flow. step, noise: see above; noise is T at the first step. bounds:
    the range of x, ends included, if it has one. Raises GlowliteError if the scores of the model's
    samples are zero or not finite. Cost: a forward and a backward pass per step, and SAMPLES
    samples.
    """
    where = "ascend"
    steps, seed = whole_number(where, "steps", steps, 1), check_seed(where, seed)
    step, noise = real_number(where, "step", step), real_number(where, "noise", noise)
    if known.values.shape != start.shape:
        raise ShapeError(
            f"{where}: expected known values {tuple(start.shape)}, like the start, got"
            f" {tuple(known.values.shape)}"
        )
    xp = namespace(start)
    curvature = information(flow, seed)
    if not 0 < curvature < math.inf:
        raise GlowliteError(
            f"{where}: the scores of the model's own samples have mean square {curvature:g}; its"
            " weights are damaged"
        )
    longest, unit = LONGEST * curvature**0.5, step / (curvature + known.curvature)
    x = _within(known.project(start, seed, 0), bounds)
    v = xp.zeros_like(x)
    yield x
    for i in range(steps):
        eta, temperature = unit * HALVING / (HALVING + i), noise * (1 - i / steps)
        _, dx = score(flow, x)
        v = MOMENTUM * v + eta * (_shortened(dx, longest) + known.gradient(x))
        if temperature:
            n = to_device(normal(seed, "inpaint", i, tuple(x.shape), x.dtype.name), xp)
            v = v + (2 * (1 - MOMENTUM) * eta * temperature) ** 0.5 * n
        moved = _within(x + v, bounds)
        v = moved - x  # movement cut off by the bounds gives no momentum
        x = _within(known.project(moved, seed, i + 1), bounds)
        yield x


def _shortened(dx: Array, longest: float) -> Array:
    """Return dx (N, ...), scaled so that the root mean square of each sample is at most
    `longest`.
    """
    length = (sum_per_sample(namespace(dx).square(dx)) / dx[0].size) ** 0.5
    return dx * per_sample(longest / namespace(dx).maximum(length, longest), dx)


def _within(x: Array, bounds: tuple[float, float] | None) -> Array:
    return x if bounds is None else namespace(x).clip(x, *bounds)
