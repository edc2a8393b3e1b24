"""Laws of a model: conditions, and bits per dimension."""

from __future__ import annotations

from typing import Any

import numpy as np

from glowlite.testing.case import SAME, Case, forward
from glowlite.testing.comparison import Broken, DoesNotApply
from glowlite.testing.laws.law import law

ACTS = 1e-9  # relative to the size of y: smallest effect of a condition
IMAGES = 256
DEVIATIONS = 6.0  # allowed deviation of a mean in standard errors
CONSTANT = 1e-9


@law(
    "model",
    "The condition has an effect, and each sample uses its own: other conditions give other"
    " results, and in a batch of samples and conditions each result equals that of the sample"
    " and its condition alone.",
    often="a condition that no network receives, or that is broadcast from the first sample",
)
def condition_acts(case: Case) -> None:
    if case.condition is None or not callable(getattr(case.unconditioned, "given", None)):
        raise DoesNotApply("it takes no condition, or none was given")
    layer, x, condition = case.unconditioned, case.x, case.condition
    given = layer.given(condition)
    y, logdet = forward(given, x)
    for i in range(len(x)):
        one = slice(i, i + 1)
        alone, alone_logdet = forward(layer.given(condition[one]), x[one].copy())
        case.close(
            f"y of sample {i} in the batch against that of it alone, under its own condition",
            y[one],
            alone,
            SAME,
        )
        size = 1 + float(np.abs(logdet).max())
        what = f"logdet of sample {i} in the batch against that of it alone, under its condition"
        case.close(what, logdet[one], alone_logdet, SAME, size)
    others = np.roll(condition, 1, axis=0)
    if np.array_equal(others, condition):
        raise DoesNotApply("all conditions that were given are equal")
    change = max(
        float(np.abs(now - before).max())
        for before, now in zip(_results(given, x), _results(layer.given(others), x), strict=True)
    )
    if change <= ACTS * float(np.abs(y).max()):
        raise Broken(
            f"other conditions change results by at most {change:.1e}: the condition is ignored"
        )


def _results(layer: Any, x: np.ndarray) -> list[np.ndarray]:
    """Return y, logdet and, for a model, log_prob, since the base may be what depends on the
    condition.
    """
    results = list(forward(layer, x))
    if callable(getattr(layer, "log_prob", None)):
        results.append(np.asarray(layer.log_prob(x.copy())))
    return results


@law(
    "model",
    "The mean bits/dim of images of uniform noise is at least 8: no model can do better, and a"
    " model with constant density has exactly 8. (Six standard errors are allowed.)",
    error_probability=1e-8,
    often="255 in place of 256, a missing log-determinant of the preprocessing, nats in place of"
    " bits, or a wrong D",
)
def bits_per_dim_of_uniform_data(case: Case) -> None:
    # Gibbs: E_q[-log2 p] >= H(q), equal only for p = q; for uniform bytes, H is 8 bits/dim.
    case.needs("bits_per_dim")
    shape = (IMAGES, *case.x.shape[1:])
    images = np.random.default_rng(18).integers(256, size=shape, dtype=np.uint8)
    bits = np.asarray(case.layer.bits_per_dim(images), np.float64)
    if bits.shape != (IMAGES,):
        raise Broken(f"bits_per_dim gave shape {bits.shape}, expected ({IMAGES},)")
    mean = np.array(bits.mean())
    if np.ptp(bits) <= CONSTANT:  # a constant density
        case.close(
            "bits/dim of uniform bytes, of a constant density, against 8",
            mean,
            np.array(8.0),
            CONSTANT,
        )
        return
    below = np.array(min(float(mean), 8.0))
    slack = DEVIATIONS * float(bits.std(ddof=1)) / np.sqrt(IMAGES)
    what = "mean bits/dim of uniform bytes against their entropy, which is the least"
    case.close(what, below, np.array(8.0), 1.0, slack)
