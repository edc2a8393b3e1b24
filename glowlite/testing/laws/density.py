"""Laws of the density: the log-determinant, and the probabilities of a model."""

from __future__ import annotations

import numpy as np

from glowlite.testing.case import Case, forward
from glowlite.testing.comparison import Broken, DoesNotApply
from glowlite.testing.grid import Grid, density_grid
from glowlite.testing.jacobians import numerical_jacobian, numerical_logdet
from glowlite.testing.laws.law import law
from glowlite.testing.parameters import parameters_of

LOGDET = 1e-6  # relative to max(1, |logdet|), since a logdet of zero has no relative error
TURNED = 4  # number of parameters whose sign is reversed
INTEGRAL = 2e-3
SAMPLES = 4000
CELLS = 8  # cells per side of the histogram
# A chi-square of counts exceeds a quantile of its limiting distribution more often than the nominal
# rate. With at least LEAST samples per cell, it exceeds that of QUANTILE with probability at most
# FALSE_ALARM, for any number of cells.
LEAST = 10
QUANTILE = 1e-8
FALSE_ALARM = 1e-6


@law(
    "density",
    "logdet equals log|det dy/dx| of the Jacobian by finite differences, for each sample.",
    often="a missing factor H W, a wrong sign, log s in place of s, or a missing term of the chain",
)
def logdet_is_that_of_the_jacobian(case: Case) -> None:
    logdet = case.forward(case.x)[1]
    if logdet.shape != (len(case.x),) or logdet.dtype != np.float64:
        raise Broken(
            f"logdet has shape {logdet.shape} and dtype {logdet.dtype},"
            f" expected ({len(case.x)},) and float64: one number per sample"
        )
    expected = numerical_logdet(case, case.x)
    size = max(1.0, float(np.abs(expected).max(initial=0.0)))
    case.close("logdet against log|det| of the numerical Jacobian", logdet, expected, LOGDET, size)


@law(
    "density",
    "The log-determinant that the inverse returns is minus that of forward at the x that it"
    " returns.",
    often="the sign, or the log-determinant at y in place of the one at x",
)
def logdet_of_the_inverse(case: Case) -> None:
    # x = f^-1(y):  dx/dy = (dy/dx)^-1,  so  log|det dx/dy| = -log|det dy/dx|
    y = case.forward(case.x)[0]
    result = case.layer.inverse(y)
    if not isinstance(result, tuple):
        raise DoesNotApply("its inverse returns no log-determinant")
    x, found = np.asarray(result[0]), np.asarray(result[1])
    expected = -case.forward(x)[1]
    size = max(1.0, float(np.abs(expected).max(initial=0.0)))
    case.close("logdet of inverse against minus that of forward", found, expected, LOGDET, size)


@law(
    "density",
    "Where the determinant is negative, logdet is the logarithm of its absolute value.",
    often="log(det) or log(s) in place of log|det| and log|s|",
)
def logdet_of_a_negative_determinant(case: Case) -> None:
    # multiplying a row of a matrix, or one of several scales, by -1 reverses the sign of a
    # determinant
    layer, sample = case.copy(), case.x[:1]
    named = parameters_of(layer)
    by_shape = sorted(named, key=lambda name: not _is_square(named[name].value))
    for name in by_shape[:TURNED]:
        value = named[name].value
        if value.size == 0:
            continue
        first: tuple[int, ...] = (0,) if value.ndim else ()
        value[first] *= -1
        try:
            y, logdet = forward(layer, sample)
            if not np.isfinite(y).all():
                continue
            jacobian = numerical_jacobian(lambda v: forward(layer, v)[0], sample[0])
            sign, expected = np.linalg.slogdet(jacobian)
            if sign >= 0:
                continue
            what = (
                f"logdet where {name}{list(first)} times -1 makes the determinant negative, against"
                " log|det| of the numerical Jacobian"
            )
            size = max(1.0, abs(float(expected)))
            case.close(what, logdet, np.array([expected]), LOGDET, size)
            return
        finally:
            value[first] *= -1
    raise DoesNotApply("reversing the sign of a parameter never made the determinant negative")


def _is_square(a: np.ndarray) -> bool:
    return a.ndim == 2 and a.shape[0] == a.shape[1]


@law(
    "density",
    "A model's density integrates to 1 (in one and two dimensions).",
    often="a wrong constant of the base, a missing log-determinant, or a base that depends on its"
    " own latent",
)
def density_integrates_to_one(case: Case) -> None:
    grid = _grid(case)
    case.close(
        "integral of exp(log_prob) against 1",
        np.array(grid.probability.sum()),
        np.array(1.0),
        INTEGRAL,
    )


@law(
    "density",
    "Samples follow the density of log_prob up to a factor (in one and two dimensions): a"
    " chi-square test compares their histogram with the density.",
    error_probability=FALSE_ALARM,
    often="a standard deviation in place of a variance, or forward where sampling needs inverse",
)
def samples_follow_the_density(case: Case) -> None:
    grid = _grid(case)
    from scipy.stats import chi2  # imported only here, since it takes a second

    x = _samples(case, SAMPLES, seed=1)
    expected = SAMPLES * grid.cells(CELLS) / grid.probability.sum()
    statistic, cells = chi_square(grid.histogram(x, CELLS), expected)
    case.close(
        f"chi-square of {SAMPLES} samples in {cells} cells against its quantile",
        np.array(statistic),
        np.array(0.0),
        1.0,
        float(chi2.isf(QUANTILE, max(1, cells - 1))),
    )


def chi_square(found: np.ndarray, expected: np.ndarray) -> tuple[float, int]:
    """Return sum (found - expected)^2 / expected, and the number of cells.

    Cells with fewer than LEAST expected samples are merged, and every term is divided by at least
    LEAST.
    """
    small = expected < LEAST
    if small.any():
        found = np.append(found[~small], found[small].sum())
        expected = np.append(expected[~small], expected[small].sum())
    return float(((found - expected) ** 2 / np.maximum(expected, LEAST)).sum()), len(expected)


def _samples(case: Case, n: int, seed: int) -> np.ndarray:
    x = np.asarray(case.layer.sample(n, seed), np.float64)
    if x.shape != (n, *case.x.shape[1:]):
        raise Broken(f"sample({n}) gave shape {x.shape}, expected {(n, *case.x.shape[1:])}")
    if not np.isfinite(x).all():
        raise Broken("sample gave numbers that are not finite")
    return x


def _grid(case: Case) -> Grid:
    case.needs("log_prob", "sample")
    size = int(np.prod(case.x.shape[1:]))
    if size > 2:
        raise DoesNotApply(f"x has {size} dimensions: integrals are computed in one and two")
    x = _samples(case, SAMPLES, seed=0)

    def log_prob(v: np.ndarray) -> np.ndarray:
        found = np.asarray(case.layer.log_prob(v))
        if found.shape != (len(v),):
            raise Broken(f"log_prob of {len(v)} samples gave shape {found.shape}")
        return found

    if np.isnan(log_prob(x)).any():
        raise Broken("log_prob is not a number at the model's own samples")
    return density_grid(log_prob, x, case.domain)
