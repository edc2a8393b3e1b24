"""Laws of the map: round trips, independence of samples, and all places x can be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from glowlite.testing.case import ROUND_TRIP, SAME, Case, random_like
from glowlite.testing.comparison import Broken, DoesNotApply
from glowlite.testing.domain import has_ends
from glowlite.testing.laws.law import law
from glowlite.testing.sensitivity import EPS, shaken

# |x|; a fraction 1e-15 of normal numbers is beyond 8
EDGES = (0.0, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 8.0)
INNER_EDGES = (0.5, 0.25, 0.125, 1e-3, 1e-6)  # distances from an end, as fractions of an interval
PLACES = 4  # number of coordinates of a sample that are put on an edge


@law(
    "maps",
    "inverse(forward(x)) = x.",
    often="a different order of parts in inverse than in forward, a sign, an eps, or halves that"
    " are joined differently than they were split",
)
def inverse_of_forward(case: Case) -> None:
    y, _ = case.forward(case.x)
    case.close("inverse(forward(x)) against x", case.inverse(y), case.x, ROUND_TRIP)


@law(
    "maps",
    "forward(inverse(y)) = y, at y that were not computed from a known x.",
    often="a map that does not reach every y, or an inverse that is truncated or clipped",
)
def forward_of_inverse(case: Case) -> None:
    y, _ = case.forward(case.x)
    y = y + 0.1 * _room(y, case.layer) * np.clip(random_like(y, 1), -3, 3)
    again = case.forward(case.inverse(y))[0]
    case.close("forward(inverse(y)) against y", again, y, ROUND_TRIP)


def _room(y: np.ndarray, layer: Any) -> np.ndarray:
    """Return how far each entry may be moved, at most by 1, without leaving the layer's `codomain`
    (low, high). If the layer declares none, outputs that all have one sign, like those of exp, or
    that are all at most 1 in size, like those of tanh or a sigmoid, stay so.
    """
    if hasattr(layer, "codomain"):
        low, high = layer.codomain
        return np.minimum(1.0, np.minimum(y - low, high - y))
    size = np.abs(y)
    beyond_zero = size if y.min() >= 0 or y.max() <= 0 else np.ones_like(y)
    below_one = 1 - size if size.max() <= 1 else np.ones_like(y)
    return np.minimum(np.minimum(beyond_zero, below_one), 1)


@law(
    "maps",
    "The result for a sample does not depend on the other samples of the batch.",
    often="a mean, sum, norm or maximum over axis 0, or a result that depends on how often the"
    " layer was called",
)
def samples_are_independent(case: Case) -> None:
    if len(case.x) < 2:
        raise DoesNotApply("a batch of one sample has no neighbours")
    y, logdet = case.forward(case.x)
    back = case.inverse(y)
    with_gradients = callable(getattr(case.layer, "backward", None))
    dy, dlogdet = random_like(y, 8), random_like(logdet, 9)
    dx = case.backward(y, dy, dlogdet)[1] if with_gradients else y
    size = 1 + float(np.abs(logdet).max(initial=0.0))
    for i in range(len(case.x)):
        one = slice(i, i + 1)
        alone, alone_logdet = case.forward(case.x[one].copy())
        case.close(f"y of sample {i} alone against y in the batch", alone, y[one], SAME)
        case.close(
            f"logdet of sample {i} alone against logdet in the batch",
            alone_logdet,
            logdet[one],
            SAME,
            size,
        )
        case.close(
            f"inverse of sample {i} alone against that in the batch",
            case.inverse(y[one].copy()),
            back[one],
            SAME,
        )
        if with_gradients:
            alone_dx = case.backward(y[one].copy(), dy[one].copy(), dlogdet[one].copy())[1]
            case.close(f"dx of sample {i} alone against dx in the batch", alone_dx, dx[one], SAME)


@law(
    "maps",
    "For legal but unusual batches (a constant channel, equal samples, a batch of one), results"
    " are finite, the round trip recovers x, and equal samples give equal results.",
    often="a division by the standard deviation of the batch, or a squeeze() that also removes the"
    " sample axis",
)
def degenerate_batches(case: Case) -> None:
    constant = case.x.copy()
    constant[..., 0] = case.x.flat[0]
    equal = np.repeat(case.x[:1], 3, axis=0)
    batches = {"a constant channel": constant, "equal samples": equal, "one sample": case.x[:1]}
    for name, x in batches.items():
        y, logdet = case.forward(x.copy())
        if logdet.shape != (len(x),) or not np.isfinite(logdet).all():
            raise Broken(f"{name}: logdet is {logdet}, expected {len(x)} finite numbers")
        case.close(f"{name}: inverse(forward(x)) against x", case.inverse(y), x, ROUND_TRIP)
    y, logdet = case.forward(equal.copy())
    case.close("y of equal samples against that of the first", y, np.repeat(y[:1], 3, axis=0), SAME)
    case.close(
        "logdet of equal samples against that of the first",
        logdet,
        np.repeat(logdet[:1], 3),
        SAME,
        1 + float(np.abs(logdet).max()),
    )


@law(
    "maps",
    "In the tails, where |x| is 8, and at places where a map may change its formula (whole"
    " numbers, the ends of an interval, and the neighbouring floating-point numbers), results"
    " are finite, the round trip recovers x, and y does not jump.",
    often="< in place of <=, an index beyond the last bin, a tail that only one direction handles,"
    " or too small a bracket of a bisection",
)
def tails_and_edges(case: Case) -> None:
    # The error of a round trip is the rounding error of y, amplified by the inverse: |x' - x| <= k
    # |d inverse| for changes of y of one rounding, k = 1000 Neighbouring numbers differ by one
    # rounding, so y changes by the slope times that.
    x, beside = _on_edges(case)
    y, logdet = _row_by_row("forward", case.forward, x)
    back = _row_by_row("inverse", lambda v: (case.inverse(v),), y, x)[0]
    next_y = _row_by_row("forward", case.forward, beside)[0]
    noise = _changes(lambda k: case.inverse(shaken(y, k)), back)
    slopes = _changes(lambda k: case.forward(x + 4 * EPS * np.abs(x) * random_like(x, k))[0], y)
    size = float(np.abs(x).max())
    for i, place in enumerate(x):
        at = f"at x = {np.array2string(place, threshold=8, precision=17, separator=', ')}"
        at = " ".join(at.split())
        if not (np.isfinite(y[i]).all() and np.isfinite(logdet[i])):
            raise Broken(f"{at}: y = {y[i].tolist()}, logdet = {logdet[i]}")
        allowed = ROUND_TRIP * size + 1000 * noise[i]
        case.close(f"{at}: inverse(forward(x)) against x", back[i], place, 1.0, allowed)
        largest = float(np.abs(y).max())
        allowed = 1e-6 * largest + min(1000 * slopes[i], 1e-3 * largest)
        side = "after" if (beside[i] - place).sum() > 0 else "before"
        what = f"{at}: y at the next floating-point number {side} an entry of x, against y at x"
        case.close(what, next_y[i], y[i], 1.0, allowed)


def _on_edges(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Return copies of the first sample, each with one entry on an edge, and the same copies with
    that entry moved to a neighbouring number.
    """
    values, beside = _edges(*case.domain)
    sample = case.x[0].ravel()
    places = np.linspace(0, sample.size - 1, min(PLACES, sample.size)).astype(int)
    batch = np.repeat(sample[None], len(places) * len(values), axis=0)
    rows, columns = np.arange(len(batch)), np.repeat(places, len(values))
    batch[rows, columns] = np.tile(values, len(places))
    neighbours = batch.copy()
    neighbours[rows, columns] = np.tile(beside, len(places))
    shape = (len(batch), *case.x.shape[1:])
    return batch.reshape(shape), neighbours.reshape(shape)


def _row_by_row(
    name: str,
    call: Callable[[np.ndarray], tuple[np.ndarray, ...]],
    batch: np.ndarray,
    x: np.ndarray | None = None,
) -> tuple[np.ndarray, ...]:
    """Return `call(batch)`. If it raises, name the first sample that raises on its own."""
    try:
        return call(batch.copy())
    except DoesNotApply:  # for example, if there is no inverse
        raise
    except Exception as error:
        for i in range(len(batch)):
            try:
                call(batch[i : i + 1].copy())
            except Exception as alone:
                at = (batch if x is None else x)[i].tolist()
                why = f"{type(alone).__name__}: {alone}"
                raise Broken(f"{name} at x = {at} raised {why}") from alone
        raise Broken(f"{name} raised {type(error).__name__}: {error}") from error


def _changes(result: Callable[[int], np.ndarray], reference: np.ndarray) -> np.ndarray:
    """Return max|result(seed) - reference| of each sample, (N,)."""
    changes = [np.abs(result(seed) - reference).reshape(len(reference), -1) for seed in range(4)]
    return np.nan_to_num(np.max(changes, axis=(0, 2)), nan=0.0, posinf=0.0)


def _edges(low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """Return values on edges, with the floating-point numbers before and after each of them, and
    for each of these a neighbour.
    """
    has_low, has_high = has_ends((low, high))
    length = high - low if has_low and has_high else 1.0
    near = length * np.array(INNER_EDGES)
    marks = np.concatenate((low + near if has_low else [], high - near if has_high else []))
    if not (has_low and has_high):
        whole = np.array([*EDGES, *(-v for v in EDGES)])
        marks = np.append(whole[(whole > low) & (whole < high)], marks)
    below, above = np.nextafter(marks, -np.inf), np.nextafter(marks, np.inf)
    values = np.clip(np.concatenate((marks, marks)), low, high)
    return values, np.clip(np.concatenate((below, above)), low, high)
