"""Laws of back-propagation."""

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
    random_like,
    zero_gradients,
)
from glowlite.testing.comparison import Broken, DoesNotApply
from glowlite.testing.gradient_check import check_gradient, rounding
from glowlite.testing.laws.law import law
from glowlite.testing.parameters import parameters_of

# 4 eps / h at the largest step h: the effect of rounding the loss on finite differences, relative
# to dy and dlogdet. Smaller gradients cannot be distinguished from zero.
ZERO = 1e-12


@law(
    "gradients",
    "The x that backward returns is the x that forward was given.",
    often="a second copy of the inverse in backward, with a difference",
)
def backward_rebuilds_the_input(case: Case) -> None:
    y, logdet = case.forward(case.x)
    x, _ = case.backward(y, random_like(y, 2), random_like(logdet, 3))
    case.close("x of backward against x", x, case.x, ROUND_TRIP)


@law(
    "gradients",
    "For a loss that depends only on y, dx and the gradient of every parameter agree with"
    " differences.",
    often="a missing path, such as the one through a scale, or a missing transpose",
)
def gradients_through_y(case: Case) -> None:
    y, logdet = case.forward(case.x)
    _check_gradients(case, random_like(y, 4), np.zeros_like(logdet), "through y")


@law(
    "gradients",
    "For a loss that depends only on logdet, dx and the gradient of every parameter agree with"
    " differences.",
    often="dlogdet that is left out, or a wrong factor, such as H W",
)
def gradients_through_logdet(case: Case) -> None:
    y, logdet = case.forward(case.x)
    _check_gradients(case, np.zeros_like(y), random_like(logdet, 5), "through logdet")


def _check_gradients(case: Case, dy: np.ndarray, dlogdet: np.ndarray, way: str) -> None:
    """Compare dx and every parameter's gradient of <dy, y> + <dlogdet, logdet> with finite
    differences.
    """
    y, logdet = case.forward(case.x)
    zero_gradients(case.layer)
    dx = case.backward(y, dy, dlogdet)[1].copy()
    moved = case.x.copy()

    def loss_change() -> float:
        new_y, new_logdet = case.forward(moved)
        return float((dy * (new_y - y)).sum() + (dlogdet * (new_logdet - logdet)).sum())

    noise = rounding(dy * y) + rounding(dlogdet * logdet)
    floor = ZERO * float(np.linalg.norm(dy) + np.linalg.norm(dlogdet))
    case.remember(check_gradient(f"dx {way}", dx, moved, loss_change, noise, floor))
    for name, p in case.parameters.items():
        what = f"gradient of {name} {way}"
        case.remember(check_gradient(what, p.grad.copy(), p.value, loss_change, noise, floor))


@law(
    "gradients",
    "backward adds to the gradients: two passes add twice the gradient.",
    often="`grad = ...` in place of `grad += ...`",
)
def gradients_add(case: Case) -> None:
    y, logdet = case.forward(case.x)
    dy, dlogdet = random_like(y, 6), random_like(logdet, 7)
    _, once = gradients_of(case.layer, lambda: case.backward(y, dy, dlogdet))
    for p in case.parameters.values():
        p.grad[...] = 1.0
    case.backward(y, dy, dlogdet)
    case.backward(y, dy, dlogdet)
    for name, p in case.parameters.items():
        case.close(
            f"gradient of {name} after two backward passes from 1, against 1 + 2 times that of one",
            p.grad,
            1.0 + 2.0 * once[name],
            SAME,
        )


@law(
    "gradients",
    "backward depends only on its arguments: it returns the same after a forward pass of other"
    " data, or after none.",
    often="an array that forward stores on self and backward reads",
)
def backward_stands_alone(case: Case) -> None:
    y, logdet = case.forward(case.x)
    dy, dlogdet = random_like(y, 15), random_like(logdet, 16)
    expected = _backward_results(case.layer, y, dy, dlogdet)
    other = np.concatenate((case.x[::-1], case.x[:1]))  # also with a different size
    case.forward(other)
    _same_results(case, "after a forward pass of other data", case.layer, y, dy, dlogdet, expected)
    try:
        fresh = case.copy()
    except DoesNotApply:
        return
    _same_results(case, "before any forward pass", fresh, y, dy, dlogdet, expected)


def _backward_results(
    layer: Any, y: np.ndarray, dy: np.ndarray, dlogdet: np.ndarray
) -> dict[str, np.ndarray]:
    (x, dx), gradients = gradients_of(
        layer, lambda: backward(layer, y.copy(), dy.copy(), dlogdet.copy())
    )
    named = {f"gradient of {name}": value for name, value in gradients.items()}
    return {"x": x.copy(), "dx": dx.copy()} | named


def _same_results(
    case: Case,
    when: str,
    layer: Any,
    y: np.ndarray,
    dy: np.ndarray,
    dlogdet: np.ndarray,
    expected: dict[str, np.ndarray],
) -> None:
    try:
        found = _backward_results(layer, y, dy, dlogdet)
    except Exception as error:
        raise Broken(f"backward {when} raised {type(error).__name__}: {error}") from error
    for name, value in expected.items():
        case.close(
            f"{name} of backward {when}, against that before", found[name], value, ROUND_TRIP
        )


@law(
    "gradients",
    "The derivatives of the inverse (`inverse_backward`, if the layer has it) with respect to y"
    " and every parameter agree with finite differences.",
    often="no_grad, detach, or a solver that is not differentiated",
)
def gradients_of_the_inverse(case: Case) -> None:
    # L = <dx, f^-1(y)>:   dy = (dx/dy)^T dx,   dtheta = (dx/dtheta)^T dx  at fixed y
    case.needs("inverse_backward")
    layer = case.layer
    y = forward(layer, case.x)[0]
    x = inverse(layer, y)
    dx = random_like(x, 17)
    dy, gradients = gradients_of(layer, lambda: np.array(layer.inverse_backward(y.copy(), dx)))
    moved = y.copy()

    def loss_change() -> float:
        return float((dx * (inverse(layer, moved) - x)).sum())

    noise = rounding(dx * x)
    case.remember(check_gradient("dy through inverse", dy, moved, loss_change, noise))
    for name, p in parameters_of(layer).items():
        what = f"gradient of {name} through inverse"
        case.remember(check_gradient(what, gradients[name], p.value, loss_change, noise))


@law(
    "gradients",
    "With the cache of `forward_with_cache` (if the layer has it), backward returns the same.",
    often="a cache with y in place of x, or with the x of another part",
)
def kept_equals_rebuilt(case: Case) -> None:
    case.needs("forward_with_cache")
    layer = case.layer
    y, logdet = case.forward(case.x)
    kept_y, kept_logdet, kept = layer.forward_with_cache(case.x)
    case.close("y of forward_with_cache against y of forward", kept_y, y, SAME)
    size = 1 + float(np.abs(logdet).max(initial=0.0))
    case.close(
        "logdet of forward_with_cache against that of forward", kept_logdet, logdet, SAME, size
    )
    dy, dlogdet = random_like(y, 12), random_like(logdet, 13)
    caches: tuple[tuple[Any, ...], ...] = ((), () if kept is None else (kept,))
    without, with_cache = (
        _named(layer, lambda c=cache: layer.backward(y, dy, dlogdet, *c))  # type: ignore[misc]
        for cache in caches
    )
    for name, value in without.items():
        case.close(
            f"{name} with what was kept, against without", with_cache[name], value, ROUND_TRIP
        )


def _named(layer: Any, call: Callable[[], Any]) -> dict[str, np.ndarray]:
    (x, dx), gradients = gradients_of(layer, call)
    return {"x": x, "dx": dx} | gradients
