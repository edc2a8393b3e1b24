r"""Pixels that are hidden, or noisy, filled in by climbing log p(x | what is known), as in NICE
(section 5.2): the model gives d log p(x) / dx, and nothing else is needed of it.

    v <- beta v + eta (d log p(x) / dx + d log p(known | x) / dx) + sqrt(2 (1 - beta) eta T) n
    x <- project(x + v)                                                       n ~ N(0, I)

`project` puts the known pixels back and clips images to their range. With T = 0 this is gradient
ascent with momentum, towards the most likely x; with T = 1 and small steps it is Langevin dynamics,
whose x come to be samples of p(x | known). T falls from `noise` to 0, so that the end is clean.

Step i is eta = step 100 / (100 + i) / I, NICE's rule but for the unit: I is the mean of (d log p /
dx)^2 over pixels of samples of the model, plus 1 / sigma^2 where there is a noise. By Fisher's
identity I is the mean curvature of -log p, so a step of 1 is a step of Newton's method on average.
Far from all data scores are longer than that, in a trained Glow about ten times: one longer than
1.5 sqrt(I), root mean square over a sample, is shortened to it.
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
HALVING = 100  # steps after which a step is half as long
SAMPLES = 16  # of the model, by which the length of a step is found
LONGEST = 1.5  # root mean square of a score that is not shortened, in units of sqrt(I)
CANDIDATES = 512  # samples of which the nearest to what is known is a start
CANDIDATE_TEMPERATURE = 0.7


@dataclass(frozen=True)
class Known:
    """Numbers that are known: `values` (N, ...) where `mask`, bool, of a shape that is broadcast
    against theirs.

    width: of the levels that the values stand in the middle of, 2^-n_bits for images; in every step
    they are somewhere else in their level, as in training. 0 for data that are continuous.
    """

    values: Array
    mask: Array
    width: float = 0.0

    curvature = 0.0

    def gradient(self, x: Array) -> float:
        return 0.0

    def project(self, x: Array, seed: int, step: int) -> Array:
        """x with the known pixels put back."""
        values = self.values
        if self.width:
            noise = uniform(seed, "inpaint-known", step, 0, tuple(x.shape), x.dtype.name)
            values = values + self.width * (to_device(noise, namespace(x)) - 0.5)
        return namespace(x).where(self.mask, values, x)


@dataclass(frozen=True)
class Noisy:
    """Every pixel is known but for a Gaussian noise: values = x + sigma n, (N, ...)."""

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
    """The mean of what is known of a sample, or of each of its channels, everywhere: (N, ...)."""
    values, xp = known.values, namespace(known.values)
    axes = tuple(range(1, max(2, values.ndim - 1)))
    mask = xp.broadcast_to(known.mask, values.shape)
    count = xp.maximum(mask.sum(axis=axes, keepdims=True), 1).astype(values.dtype)
    mean = (values * mask).sum(axis=axes, keepdims=True) / count
    return xp.broadcast_to(mean, values.shape).copy()


def nearest_samples(flow: Flow, known: Known | Noisy, seed: int = 0) -> Array:
    """For each of `known.values` the one of CANDIDATES samples that is nearest in what is known.

    Cost: CANDIDATES samples, which are at hand at once.
    """
    xp = namespace(known.values)
    samples = flow.sample(CANDIDATES, CANDIDATE_TEMPERATURE, seed)
    masks = xp.broadcast_to(known.mask, known.values.shape)
    found = []
    for values, mask in zip(known.values, masks, strict=True):
        squares = (xp.square(samples - values) * mask).reshape(CANDIDATES, -1).sum(axis=1)
        # one that is not finite is far
        found.append(samples[xp.where(xp.isfinite(squares), squares, xp.inf).argmin()])
    return xp.stack(found)


def score(flow: Flow, x: Array) -> tuple[Array, Array]:
    """log p(x), (N,), nats, and d log p / dx, (N, ...). Leaves `flow.store.grad` as it was.

    Cost: a forward and a backward pass.
    """
    kept = flow.store.grad.copy()
    latents, logdet, cache = flow.forward_with_cache(x)
    # log p = log p_base(latents) + log|det|: its derivative by log|det| is 1
    ones = namespace(x).ones_like(logdet)
    _, dx = flow.backward(latents, flow.base.gradient(latents), ones, cache)
    flow.store.grad[...] = kept
    return logdet + flow.base.log_prob(latents), dx


def information(flow: Flow, seed: int = 0) -> float:
    """I: the mean of (d log p / dx)^2 over the numbers of a sample; the median of SAMPLES samples,
    as one sample from far out can have any.
    """
    _, dx = score(flow, flow.sample(SAMPLES, 1.0, seed))
    xp = namespace(dx)
    squares = xp.square(dx.astype(xp.float64)).reshape(len(dx), -1).mean(axis=1)
    # one that is not finite is far out
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

    start: in the dtype of the flow. step, noise: see above, noise being T at the first step.
    bounds: the range of x, ends included, if it has one. Raises GlowliteError where samples of the
    model have no score, or none that is finite. Cost: a forward and a backward pass a step, and
    SAMPLES samples.
    """
    where = "ascend"
    steps, seed = whole_number(where, "steps", steps, 1), check_seed(where, seed)
    step, noise = real_number(where, "step", step), real_number(where, "noise", noise)
    if known.values.shape != start.shape:
        raise ShapeError(
            f"{where}: expected known values {tuple(start.shape)}, as the start, got"
            f" {tuple(known.values.shape)}"
        )
    xp = namespace(start)
    curvature = information(flow, seed)
    if not 0 < curvature < math.inf:
        raise GlowliteError(
            f"{where}: the scores of the model's own samples are {curvature:g} in the mean square;"
            " its weights are damaged"
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
        v = moved - x  # what the bounds hold back has no momentum
        x = _within(known.project(moved, seed, i + 1), bounds)
        yield x


def _shortened(dx: Array, longest: float) -> Array:
    """dx (N, ...), of each sample no longer than `longest`, root mean square."""
    length = (sum_per_sample(namespace(dx).square(dx)) / dx[0].size) ** 0.5
    return dx * per_sample(longest / namespace(dx).maximum(length, longest), dx)


def _within(x: Array, bounds: tuple[float, float] | None) -> Array:
    return x if bounds is None else namespace(x).clip(x, *bounds)
