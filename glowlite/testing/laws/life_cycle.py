"""Laws of a layer's life cycle: it is made, called in any order, changed by an optimiser, saved and
loaded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from glowlite.testing.case import (
    ROUND_TRIP,
    SAME,
    Case,
    backward,
    forward,
    gradients_of,
    inverse,
    move_parameters,
    random_like,
    set_state,
    state,
)
from glowlite.testing.comparison import Broken, DoesNotApply
from glowlite.testing.domain import within
from glowlite.testing.jacobians import numerical_jacobian
from glowlite.testing.laws.density import LOGDET
from glowlite.testing.laws.law import law
from glowlite.testing.parameters import parameters_of
from glowlite.testing.unnamed import unnamed_arrays

ROUNDED = 1e-4  # relative to the size of x: largest rounding error of a round trip
ACTS = 1e-9  # relative to the size of a result: smallest effect of an array that acts


@law(
    "life cycle",
    "A new layer can be inverted before any of its other methods was called.",
    often="a shape, mean or flag that forward stores on self and inverse reads",
)
def inverse_needs_no_forward(case: Case) -> None:
    y = case.forward(case.x)[0]
    fresh = case.untouched()
    x = _or_broken("inverse before any forward", lambda: inverse(fresh, y.copy()))
    case.close("inverse(y) before any forward, against x", x, case.x, ROUND_TRIP)


@law(
    "life cycle",
    "Calls have no side effects: the same call gives the same result, whatever was called in"
    " between.",
    often="running statistics that change in evaluation, or a first call that sets something",
)
def calls_leave_no_trace(case: Case) -> None:
    layer = case.copy()
    y, logdet = forward(layer, case.x)
    dy, dlogdet = random_like(y, 20), random_like(logdet, 21)
    first = _all_results(layer, case.x, y, dy, dlogdet)
    for name, value in (("y", y), ("logdet", logdet)):
        what = f"{name} of the second call, against the first"
        case.close(what, first[name], value, SAME, _size(value))
    other = case.x[:1] * 0.5 + 0.25 * np.roll(case.x[:1], 1, axis=-1)
    other = within(other, case.domain)  # another batch, of one sample
    other_y, other_logdet = forward(layer, other)
    inverse(layer, other_y)
    if callable(getattr(layer, "backward", None)):
        backward(layer, other_y, random_like(other_y, 22), random_like(other_logdet, 23))
    again = _all_results(layer, case.x, y, dy, dlogdet)
    for name, value in first.items():
        what = f"{name} after calls with other data, against the first time"
        case.close(what, again[name], value, SAME, _size(value))


def _all_results(
    layer: Any, x: np.ndarray, y: np.ndarray, dy: np.ndarray, dlogdet: np.ndarray
) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    if callable(getattr(layer, "log_prob", None)):  # first, right after the calls in between
        found["log_prob"] = np.array(layer.log_prob(x.copy()))
    new_y, logdet = (np.array(a) for a in forward(layer, x.copy()))
    found |= {"y": new_y, "logdet": logdet}
    result = layer.inverse(y.copy())
    results = result if isinstance(result, tuple) else (result,)
    found |= {
        name: np.array(value)
        for name, value in zip(("inverse(y)", "logdet of inverse"), results, strict=False)
    }
    if not callable(getattr(layer, "backward", None)):
        return found
    return found | _backward_results(layer, y, dy, dlogdet)


def _backward_results(
    layer: Any, y: np.ndarray, dy: np.ndarray, dlogdet: np.ndarray
) -> dict[str, np.ndarray]:
    (back, dx), gradients = gradients_of(
        layer, lambda: backward(layer, y.copy(), dy.copy(), dlogdet.copy())
    )
    found = {"x of backward": back.copy(), "dx": dx.copy()}
    return found | {f"gradient of {name}": value for name, value in gradients.items()}


@law(
    "life cycle",
    "When a parameter is moved in place, as an optimiser does, inverse, logdet and backward"
    " follow at once, and the layer maps as one that was moved before any call.",
    often="an inverse or determinant that is computed once and kept",
)
def caches_follow_parameters(case: Case) -> None:
    used, unused = case.copy(), case.copy()
    if not parameters_of(used):
        raise DoesNotApply("it has no parameters")
    y, logdet = forward(used, case.x)
    inverse(used, y)
    if callable(getattr(used, "backward", None)):
        backward(used, y, random_like(y, 24), random_like(logdet, 25))
    for layer in (used, unused):
        move_parameters(layer, seed=26)
    expected, expected_logdet = forward(unused, case.x)
    if not (np.isfinite(expected).all() and np.isfinite(expected_logdet).all()):
        raise DoesNotApply("parameters moved by 5% make results that are not finite")
    back = inverse(used, expected)
    moved_y, moved_logdet = forward(used, case.x)
    what = "after parameters moved, against a layer moved before any call"
    case.close(f"y {what}", moved_y, expected, SAME)
    size = 1 + float(np.abs(expected_logdet).max())
    case.close(f"logdet {what}", moved_logdet, expected_logdet, SAME, size)
    size = float(np.abs(case.x).max())
    error = float(np.abs(inverse(unused, expected) - case.x).max())  # the rounding error,
    # but not the error of a cache that copies share and that is stale in both
    error = min(error, ROUNDED * size)
    allowed = ROUND_TRIP * size + 10 * error
    case.close("inverse after parameters moved, against x", back, case.x, 1.0, allowed)
    if callable(getattr(used, "backward", None)):
        dy, dlogdet = random_like(expected, 29), random_like(expected_logdet, 30)
        first, second = (
            _backward_results(layer, expected, dy, dlogdet) for layer in (used, unused)
        )
        for name, value in second.items():
            case.close(f"{name} {what}", first[name], value, ROUND_TRIP, _size(value))
    jacobian = numerical_jacobian(lambda v: forward(used, v)[0], case.x[0])
    true_logdet = float(np.linalg.slogdet(jacobian)[1])
    case.close(
        "logdet after parameters moved, against the numerical Jacobian",
        moved_logdet[:1],
        np.array([true_logdet]),
        LOGDET,
        max(1.0, abs(true_logdet)),
    )


@law(
    "life cycle",
    "A new layer, made from another seed and given the saved state (`state()`, or all"
    " parameters), computes the same as the old layer, which was changed and used before. If the"
    " layer has a training mode, both still agree after one more training pass.",
    often="a buffer, permutation, running mean or flag that is not saved",
)
def state_survives_saving(case: Case) -> None:
    if case.make is None:
        raise DoesNotApply("a new layer cannot be made: give make")
    old = case.copy_unconditioned()
    move_parameters(old, seed=27)
    if callable(getattr(old, "forward_in_training", None)):
        old.forward_in_training(case.x.copy())
    at = case.at_condition
    forward(at(old), case.x)
    saved = state(old)
    y, logdet = forward(at(old), case.x)
    x = inverse(at(old), y)
    new = case.make()
    set_state(new, {name: value.copy() for name, value in saved.items()})
    what = "of a new layer with the saved state, against that of the old one"
    new_y, new_logdet = forward(at(new), case.x)
    case.close(f"y {what}", new_y, y, SAME, _size(y))
    case.close(f"logdet {what}", new_logdet, logdet, SAME, _size(logdet))
    case.close(f"inverse(y) {what}", inverse(at(new), y.copy()), x, SAME, _size(x))
    if not callable(getattr(old, "forward_in_training", None)):
        return
    for layer in (old, new):  # a lost flag shows when training continues
        layer.forward_in_training(case.x.copy())
    y, new_y = forward(at(old), case.x)[0], forward(at(new), case.x)[0]
    case.close(f"y, after one more pass in training, {what}", new_y, y, SAME, _size(y))


@law(
    "life cycle",
    "Every array of numbers that affects the map is declared: as a parameter, in `state()`, or"
    " as a constant, by being read-only.",
    often="a part in a plain list, or an array that is neither a Parameter nor a buffer",
)
def every_acting_parameter_is_named(case: Case) -> None:
    layer = case.copy()
    y, _ = forward(layer, case.x)
    before = _map_results(layer, case.x, y)
    for path, array in unnamed_arrays(layer).items():
        kept = array.copy()
        array += 0.37 * (1 + np.abs(array))
        changed = _changes(layer, case.x, y, before)
        if changed:  # a cache is updated when parameters change; an undeclared parameter is not
            _renew_caches(layer, case.x, y)
            changed = _changes(layer, case.x, y, before)
        array[...] = kept
        if changed:
            raise Broken(
                f"{path}, an array of shape {array.shape}, changes the map, and neither"
                " parameters() nor state() names it: it is not trained, not saved, and not moved"
                " to another dtype or device. (A constant: make it read-only, or a buffer.)"
            )


def _map_results(layer: Any, x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
    """Return y, logdet and inverse(y), each NaN if it cannot be computed."""
    results = []
    for call in (lambda: forward(layer, x), lambda: (inverse(layer, y),)):
        try:
            results += [np.array(value) for value in call()]
        except Exception:  # caused by a changed array, so it counts as a change of the result
            results.append(np.array(np.nan))
    return results


def _changes(layer: Any, x: np.ndarray, y: np.ndarray, before: list[np.ndarray]) -> bool:
    after = _map_results(layer, x, y)
    return len(after) != len(before) or any(
        a.shape != b.shape or not np.allclose(a, b, rtol=0, atol=ACTS * _size(b), equal_nan=True)
        for a, b in zip(after, before, strict=True)
    )


def _renew_caches(layer: Any, x: np.ndarray, y: np.ndarray) -> None:
    """Change all parameters, call the layer, then restore them."""
    values = {name: np.array(p.value) for name, p in parameters_of(layer).items()}
    move_parameters(layer, seed=28)
    _map_results(layer, x, y)
    for name, p in parameters_of(layer).items():
        p.value[...] = values[name]


def _size(a: np.ndarray) -> float:
    return max(1.0, float(np.abs(a).max(initial=0.0)))


def _or_broken(what: str, call: Callable[[], np.ndarray]) -> np.ndarray:
    try:
        return call()
    except DoesNotApply:
        raise
    except Exception as error:
        raise Broken(f"{what} raised {type(error).__name__}: {error}") from error
