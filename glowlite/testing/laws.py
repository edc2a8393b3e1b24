"""The laws of an invertible layer, each a function of any layer and a batch x (N, ...) in float64.

Every law raises AssertionError with what broke, where, and by how much. Errors are relative to the
largest entry of the tensor in question, max|a - b| / max|b|, without an absolute floor: a tensor of
small gradients is held as tightly as one of large gradients, and one that should be zero has to be
exactly zero.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from glowlite.testing.gradients import directional_derivative
from glowlite.testing.jacobians import numerical_logdet
from glowlite.testing.parameters import parameters_of

ROUND_TRIP = 1e-9
LOGDET = 1e-6  # of max(1, |logdet|): a logdet of zero has no relative error
GRADIENT = 1e-6
SAME = 1e-10  # two ways to sum the same numbers
ATTEMPTS = 6  # other places x to look at, where one is too close to a kink
EPS = float(np.finfo(np.float64).eps)
COORDINATES = 4  # entries of a tensor looked at one by one, besides one random direction


class Undecided(AssertionError):
    """The differences are too rough here to judge a gradient: a kink of a ReLU is closer than
    rounding lets a step be.
    """


def close(
    what: str, got: np.ndarray, expected: np.ndarray, tolerance: float, scale: float | None = None
) -> None:
    """Raise unless max|got - expected| <= tolerance * scale.

    Scale: the largest |expected| unless given.
    """
    assert got.shape == expected.shape, f"{what}: shape {got.shape}, expected {expected.shape}"
    assert np.isfinite(got).all(), f"{what}: not finite"
    scale = float(np.abs(expected).max(initial=0.0)) if scale is None else scale
    error = float(np.abs(got - expected).max(initial=0.0))
    assert error <= tolerance * scale, (
        f"{what}: off by {error:.2e}, allowed {tolerance:.0e} of {scale:.2e}"
    )


def random_like(a: np.ndarray, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(a.shape)


def inverse_of_forward(layer: Any, x: np.ndarray) -> None:
    close("inverse(forward(x)) against x", layer.inverse(layer.forward(x)[0]), x, ROUND_TRIP)


def forward_of_inverse(layer: Any, x: np.ndarray) -> None:
    y = layer.forward(x)[0]
    y = y + 0.1 * random_like(y, 1)  # not only the y that come from an x at hand
    close("forward(inverse(y)) against y", layer.forward(layer.inverse(y))[0], y, ROUND_TRIP)


def logdet_is_that_of_the_jacobian(layer: Any, x: np.ndarray) -> None:
    logdet = layer.forward(x)[1]
    assert logdet.shape == (len(x),) and logdet.dtype == np.float64, (
        f"logdet: {logdet.shape} of {logdet.dtype}"
    )
    expected = numerical_logdet(layer, x)
    close(
        "logdet against the numerical Jacobian",
        logdet,
        expected,
        LOGDET,
        max(1.0, float(np.abs(expected).max())),
    )


def backward_rebuilds_the_input(layer: Any, x: np.ndarray) -> None:
    y, logdet = layer.forward(x)
    close(
        "x of backward",
        layer.backward(y, random_like(y, 2), random_like(logdet, 3))[0],
        x,
        ROUND_TRIP,
    )


def gradients_through_y(layer: Any, x: np.ndarray) -> None:
    y, logdet = layer.forward(x)
    _check_gradients(layer, x, random_like(y, 4), np.zeros_like(logdet), "through y")


def gradients_through_logdet(layer: Any, x: np.ndarray) -> None:
    y, logdet = layer.forward(x)
    _check_gradients(layer, x, np.zeros_like(y), random_like(logdet, 5), "through logdet")


def _check_gradients(
    layer: Any, x: np.ndarray, dy: np.ndarray, dlogdet: np.ndarray, way: str
) -> None:
    """dx and every parameter's gradient of <dy, y> + <dlogdet, logdet> against differences."""
    y, logdet = layer.forward(x)
    _zero_gradients(layer)
    dx = layer.backward(y, dy, dlogdet)[1].copy()
    moved = x.copy()

    def loss_change() -> float:
        new_y, new_logdet = layer.forward(moved)
        return float((dy * (new_y - y)).sum() + (dlogdet * (new_logdet - logdet)).sum())

    noise = rounding(dy * y) + rounding(dlogdet * logdet)
    check_gradient(f"dx {way}", dx, moved, loss_change, noise)
    for name, p in parameters_of(layer).items():
        check_gradient(f"gradient of {name} {way}", p.grad.copy(), p.value, loss_change, noise)


def rounding(terms: np.ndarray) -> float:
    """What the rounding of the terms of a sum does to it: errors of random sign add up as squares
    do.
    """
    return 8 * EPS * float(np.linalg.norm(terms))


def check_gradient(
    what: str,
    gradient: np.ndarray,
    place: np.ndarray,
    loss_change: Callable[[], float],
    noise: float,
) -> None:
    """`gradient` against differences of the loss when `place`, an array of the same shape, is
    changed in place.

    One random direction over the whole tensor, and COORDINATES single entries, the one of the
    largest gradient among them. `noise`: the rounding error of one `loss_change`. Raises Undecided
    where differences cannot tell GRADIENT.
    """
    assert gradient.shape == place.shape, f"{what}: shape {gradient.shape}, expected {place.shape}"
    assert np.isfinite(gradient).all(), f"{what}: not finite"
    original = place.copy()
    rng = np.random.default_rng(gradient.size)
    chosen = rng.choice(gradient.size, min(COORDINATES, gradient.size), replace=False)
    directions = [rng.standard_normal(gradient.shape)]
    for index in {int(np.abs(gradient).argmax()), *chosen.tolist()}:
        directions.append(np.zeros(gradient.shape))
        directions[-1].flat[index] = 1.0
    expected = np.zeros(len(directions))
    doubt = np.zeros(len(directions))
    for i, direction in enumerate(directions):

        def change(t: float, direction: np.ndarray = direction) -> float:
            place[...] = original + t * direction
            return loss_change()

        expected[i], doubt[i] = directional_derivative(change, noise)
    place[...] = original
    got = np.array([(gradient * direction).sum() for direction in directions])
    if not expected.any() and not got.any():
        return  # the loss does not depend on it, to the last bit, and the gradient says so
    scale = np.full(len(directions), float(np.abs(gradient).max()))
    scale[0] = np.linalg.norm(gradient)
    wrong = np.abs(got - expected) > GRADIENT * scale + doubt
    i = int((np.abs(got - expected) / (scale + 1e-300)).argmax())
    numbers = (
        f"{got[i]:.12g}, by differences {expected[i]:.12g} +- {doubt[i]:.1e}, of {scale[i]:.2e}"
    )
    assert not wrong.any(), f"{what}: {numbers}, entry {i - 1 if i else 'all'}"
    if (doubt > 0.5 * GRADIENT * scale).any():
        raise Undecided(f"{what}: {numbers}: too rough to tell; choose another x")
    assert (np.abs(got - expected) <= GRADIENT * scale).all(), f"{what}: {numbers}"


def gradients_add(layer: Any, x: np.ndarray) -> None:
    y, logdet = layer.forward(x)
    dy, dlogdet = random_like(y, 6), random_like(logdet, 7)
    _zero_gradients(layer)
    layer.backward(y, dy, dlogdet)
    once = {name: p.grad.copy() for name, p in parameters_of(layer).items()}
    for p in parameters_of(layer).values():
        p.grad[...] = 1.0
    layer.backward(y, dy, dlogdet)
    layer.backward(y, dy, dlogdet)
    for name, p in parameters_of(layer).items():
        close(
            f"two backward passes on a gradient of 1, {name}", p.grad, 1.0 + 2.0 * once[name], SAME
        )


def samples_are_independent(layer: Any, x: np.ndarray) -> None:
    y, logdet = layer.forward(x)
    dy, dlogdet = random_like(y, 8), random_like(logdet, 9)
    dx = layer.backward(y, dy, dlogdet)[1]
    for i in range(len(x)):
        one = slice(i, i + 1)
        alone_y, alone_logdet = layer.forward(x[one].copy())
        close(f"y of sample {i} alone", alone_y, y[one], SAME)
        close(
            f"logdet of sample {i} alone",
            alone_logdet,
            logdet[one],
            SAME,
            1 + float(np.abs(logdet).max()),
        )
        alone_dx = layer.backward(y[one].copy(), dy[one].copy(), dlogdet[one].copy())[1]
        close(f"dx of sample {i} alone", alone_dx, dx[one], SAME)


def nothing_passed_in_is_changed(layer: Any, x: np.ndarray) -> None:
    y, logdet = layer.forward(x)
    arguments = {"x": x, "y": y, "dy": random_like(y, 10), "dlogdet": random_like(logdet, 11)}
    arguments |= {f"parameter {name}": p.value for name, p in parameters_of(layer).items()}
    before = {name: value.copy() for name, value in arguments.items()}
    outputs = [
        *layer.forward(x),
        layer.inverse(y),
        *layer.backward(y, arguments["dy"], arguments["dlogdet"]),
    ]
    for name, value in arguments.items():
        assert np.array_equal(value, before[name]), (
            f"{name} was changed by forward, inverse or backward"
        )
    for p_name, p in parameters_of(layer).items():
        for output in outputs:
            assert not np.shares_memory(output, p.value), (
                f"an output is an alias of parameter {p_name}"
            )
            assert not np.shares_memory(output, p.grad), (
                f"an output is an alias of the gradient of {p_name}"
            )


def kept_equals_rebuilt(layer: Any, x: np.ndarray) -> None:
    """A layer that can keep its input gives the same results with it as without.

    Passes for a layer that cannot.
    """
    if not hasattr(layer, "forward_with_cache"):
        return
    y, logdet = layer.forward(x)
    kept_y, kept_logdet, kept = layer.forward_with_cache(x)
    close("y of forward_with_cache", kept_y, y, SAME)
    close(
        "logdet of forward_with_cache", kept_logdet, logdet, SAME, 1 + float(np.abs(logdet).max())
    )
    dy, dlogdet = random_like(y, 12), random_like(logdet, 13)
    results = []
    for keep in (None, kept):
        _zero_gradients(layer)
        rebuilt, dx = (
            layer.backward(y, dy, dlogdet) if keep is None else layer.backward(y, dy, dlogdet, keep)
        )
        results.append(
            {"x": rebuilt, "dx": dx}
            | {name: p.grad.copy() for name, p in parameters_of(layer).items()}
        )
    for name, value in results[0].items():
        close(f"{name} with what was kept", results[1][name], value, ROUND_TRIP)


LAWS: tuple[Callable[[Any, np.ndarray], None], ...] = (
    inverse_of_forward,
    forward_of_inverse,
    logdet_is_that_of_the_jacobian,
    backward_rebuilds_the_input,
    gradients_through_y,
    gradients_through_logdet,
    gradients_add,
    samples_are_independent,
    nothing_passed_in_is_changed,
    kept_equals_rebuilt,
)


def check_layer(
    layer: Any, x: np.ndarray, laws: Sequence[Callable[[Any, np.ndarray], None]] = LAWS
) -> None:
    """Hold `layer` to every law at the batch x (N, ...), float64.

    Raises AssertionError; leaves gradients as they fall.
    """
    assert x.dtype == np.float64, (
        f"check_layer: expected float64, got {x.dtype}: its tolerances are those of float64"
    )
    for law in laws:
        try:
            _decide(lambda x, law=law: law(layer, x), x)  # type: ignore[misc]
        except AssertionError as error:
            raise AssertionError(f"{type(layer).__name__}, law {law.__name__}: {error}") from None


def _decide(law: Callable[[np.ndarray], None], x: np.ndarray) -> None:
    """Run a law; where differences cannot judge, run it again at another x, up to
    ATTEMPTS times.
    """
    for attempt in range(ATTEMPTS):
        try:
            return law(x if attempt == 0 else x + 0.3 * random_like(x, 100 + attempt))
        except Undecided:
            if attempt == ATTEMPTS - 1:
                raise
    return None


def check_conditioner(net: Any, x: np.ndarray) -> None:
    """The laws of a network inside a coupling, `forward(x) -> h, cache` and `backward(dh, cache) ->
    dx`, at x (N, ...).
    """
    _decide(lambda x: _conditioner_laws(net, x), x)


def _conditioner_laws(net: Any, x: np.ndarray) -> None:
    h, cache = net.forward(x)
    before, dh = x.copy(), random_like(h, 14)
    _zero_gradients(net)
    dx = net.backward(dh, cache).copy()
    once = {name: p.grad.copy() for name, p in parameters_of(net).items()}
    assert np.array_equal(x, before), "x was changed by forward or backward"
    assert np.array_equal(dh, random_like(h, 14)), "dh was changed by backward"
    moved = x.copy()

    def loss_change() -> float:
        return float((dh * (net.forward(moved)[0] - h)).sum())

    noise = rounding(dh * h)
    check_gradient("dx", dx, moved, loss_change, noise)
    for name, p in parameters_of(net).items():
        check_gradient(f"gradient of {name}", once[name], p.value, loss_change, noise)
    net.backward(dh, net.forward(x)[1])
    for name, p in parameters_of(net).items():
        close(f"two backward passes, {name}", p.grad, 2.0 * once[name], SAME)
    for i in range(len(x)):
        close(f"h of sample {i} alone", net.forward(x[i : i + 1].copy())[0], h[i : i + 1], SAME)


def _zero_gradients(layer: Any) -> None:
    for p in parameters_of(layer).values():
        p.grad[...] = 0.0
