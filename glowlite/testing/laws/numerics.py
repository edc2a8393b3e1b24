"""Laws of arrays and numbers: memory, aliases, rounding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from glowlite.testing.case import (
    SAME,
    Case,
    backward,
    forward,
    gradients_of,
    inverse,
    random_like,
)
from glowlite.testing.cast import cast
from glowlite.testing.comparison import Broken
from glowlite.testing.domain import within
from glowlite.testing.laws.law import law
from glowlite.testing.parameters import parameters_of
from glowlite.testing.sensitivity import largest_change, shaken

EPS_32 = float(np.finfo(np.float32).eps)
GRADIENT = "gradient of "  # followed by the name of a parameter
IN_A_ROW = 100  # number of operations in a row, each of which rounds once
DRAWS = 6


@law(
    "numerics",
    "Arguments and parameters are not changed, no result is an alias of a parameter, and"
    " returned arrays do not change later.",
    often="`+=` on an argument, writing to a view, or returning the parameter itself itself",
)
def nothing_passed_in_is_changed(case: Case) -> None:
    layer = case.layer
    named = {f"parameter {name}": p.value for name, p in case.parameters.items()}
    given = {"x": case.x} | named
    before = {name: value.copy() for name, value in given.items()}
    y, logdet = case.forward(case.x)
    given |= {"y": y, "dy": random_like(y, 10), "dlogdet": random_like(logdet, 11)}
    before |= {name: given[name].copy() for name in ("y", "dy", "dlogdet")}
    outputs = [*forward(layer, case.x), inverse(layer, y)]
    if callable(getattr(layer, "backward", None)):
        outputs += backward(layer, y, given["dy"], given["dlogdet"])
    for name, value in given.items():
        if not np.array_equal(value, before[name]):
            raise Broken(f"{name} was changed by forward, inverse or backward")
    handed_out = [output.copy() for output in outputs]
    _call_with_others(case)
    for output, was in zip(outputs, handed_out, strict=True):
        if not np.array_equal(output, was, equal_nan=True):
            raise Broken("a returned array changed when the layer was called again")
    for name, p in case.parameters.items():
        for output in outputs:
            if np.shares_memory(output, p.value):
                raise Broken(f"a result is an alias of parameter {name}")
            if np.shares_memory(output, p.grad):
                raise Broken(f"a result is an alias of the gradient of {name}")


def _call_with_others(case: Case) -> None:
    """Make the same calls with other data of the same shape."""
    y, logdet = case.forward(within(0.5 * case.x + 0.25, case.domain))
    case.inverse(y)
    if callable(getattr(case.layer, "backward", None)):
        case.backward(y, random_like(y, 12), random_like(logdet, 13))


@law(
    "numerics",
    "Memory order does not matter: views, Fortran order and negative strides give the same"
    " results.",
    often="ravel(order='K'), reshape of a view, or code that assumes C order",
)
def memory_order_does_not_matter(case: Case) -> None:
    y, logdet = case.forward(case.x)
    dy, dlogdet = random_like(y, 30), random_like(logdet, 31)
    expected = _results(case.layer, case.x, y, dy, dlogdet)
    for name, laid in _LAYOUTS.items():
        try:
            found = _results(case.layer, laid(case.x), laid(y), laid(dy), laid(dlogdet))
        except Exception as error:
            raise Broken(f"{name}: {type(error).__name__}: {error}") from error
        for what, value in expected.items():
            size = max(1.0, float(np.abs(value).max(initial=0.0)))
            case.close(f"{what}, of arrays in {name}", found[what], value, SAME, size)


def _fortran(a: np.ndarray) -> np.ndarray:
    return np.asfortranarray(a)


def _every_other(a: np.ndarray) -> np.ndarray:
    wide = np.zeros((*a.shape[:-1], 2 * a.shape[-1]))
    wide[..., ::2] = a
    return wide[..., ::2]


def _backwards(a: np.ndarray) -> np.ndarray:
    return np.flip(np.flip(a).copy())


_LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "Fortran order": _fortran,
    "every other entry of a larger array": _every_other,
    "negative strides": _backwards,
}


def _results(
    layer: Any, x: np.ndarray, y: np.ndarray, dy: np.ndarray, dlogdet: np.ndarray
) -> dict[str, np.ndarray]:
    new_y, logdet = forward(layer, x)
    found = {"y": np.array(new_y), "logdet": np.array(logdet)}
    found["inverse(y)"] = np.array(inverse(layer, y))
    if callable(getattr(layer, "backward", None)):
        (back, dx), gradients = gradients_of(layer, lambda: backward(layer, y, dy, dlogdet))
        found |= {"x of backward": np.array(back), "dx": np.array(dx)}
        found |= {GRADIENT + name: value for name, value in gradients.items()}
    return found


@law(
    "numerics",
    "In float32, the layer agrees with float64 up to the effect of a hundred roundings of its"
    " data and parameters, and it stays in float32.",
    often="det in place of slogdet, exp before log, too small an eps, or a float64 constant",
)
def float32_agrees_with_float64(case: Case) -> None:
    # If the computation is backward stable, k roundings in a row, each a relative change of at most
    # eps/2, have the effect of changing data and parameters by k eps/2. The effect of one such
    # change is measured in float64, by trial: |f32(x) - f64(x)| <= k max|f64(x (1 + u eps)) -
    # f64(x)| + eps k |f64(x)| A gradient of a parameter is a sum of terms of about the size of dy
    # and dlogdet. If they cancel, what remains in float32 is the rounding error of the terms.
    double = case.copy()
    x = case.x.astype(np.float32)
    for p in parameters_of(double).values():
        p.value[...] = np.asarray(p.value, np.float32)
    single = cast(double, np.float32)
    y32, logdet32 = forward(single, x)
    if y32.dtype != np.float32:
        raise Broken(f"y of an x in float32 is {y32.dtype}, with parameters in float32")
    y, dy = y32.astype(np.float64), random_like(y32, 32).astype(np.float32)
    dlogdet = random_like(logdet32, 33).astype(logdet32.dtype)
    found = {"y": y32, "logdet": logdet32, "inverse(y)": inverse(single, y32)}
    wide = (x.astype(np.float64), y, dy.astype(np.float64), dlogdet.astype(np.float64))
    expected = _results(double, *wide)
    if callable(getattr(single, "backward", None)):
        (back, dx), gradients = gradients_of(single, lambda: backward(single, y32, dy, dlogdet))
        found |= {"x of backward": back, "dx": dx}
        found |= {GRADIENT + name: value for name, value in gradients.items()}
    terms = float(np.sqrt(np.sum(dy**2, dtype=float) + np.sum(dlogdet**2, dtype=float)))
    moved = [_shaken_results(double, wide, seed) for seed in range(DRAWS)]
    for name, value in expected.items():
        one = largest_change(lambda k, name=name: moved[k][name], value, DRAWS)  # type: ignore[misc]
        size = float(np.abs(value).max(initial=0.0))
        size = max(1.0, size) if name == "logdet" else size
        allowed = IN_A_ROW * (one + EPS_32 * size)
        if name.startswith(GRADIENT):
            allowed += EPS_32 * terms
        case.close(f"{name} in float32 against float64", found[name], value, 1.0, allowed)


def _shaken_results(
    layer: Any, arguments: tuple[np.ndarray, ...], seed: int
) -> dict[str, np.ndarray]:
    """Return the results of a layer whose arguments and parameters were perturbed as if rounded to
    float32 once more.
    """
    values = {name: np.array(p.value) for name, p in parameters_of(layer).items()}
    for i, p in enumerate(parameters_of(layer).values()):
        p.value[...] = shaken(np.asarray(p.value), 100 * seed + i, EPS_32)
    changed = [shaken(a, 1000 + 10 * seed + i, EPS_32) for i, a in enumerate(arguments)]
    try:
        return _results(layer, *changed)
    finally:
        for name, p in parameters_of(layer).items():
            p.value[...] = values[name]
