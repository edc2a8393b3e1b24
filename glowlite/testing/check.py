"""Test a layer against the laws."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from glowlite.testing.case import Case, random_like, zero_gradients
from glowlite.testing.comparison import Broken, Comparison, DoesNotApply, Undecided, compare
from glowlite.testing.domain import EVERYWHERE, within
from glowlite.testing.gradient_check import check_gradient, rounding
from glowlite.testing.laws import LAWS, Law, chosen
from glowlite.testing.parameters import parameters_of

SAME = 1e-10
ATTEMPTS = 6  # number of other points x to try if one is too close to a kink
NEEDED = ("forward", "inverse", "backward")
OF_MODELS = (  # laws of a density, for a model without forward and inverse
    "density_integrates_to_one",
    "samples_follow_the_density",
    "bits_per_dim_of_uniform_data",
)


def check_layer(
    layer: Any,
    x: np.ndarray,
    laws: str | Law | Iterable[str | Law] = LAWS,
    make: Callable[[], Any] | None = None,
    condition: np.ndarray | None = None,
) -> None:
    """Test `layer` against every law that applies to it, at the batch x (N, ...), float64.

    laws: some of LAWS, or names of laws or levels. make: returns a new layer, for the law that
    saves and loads. condition: (N, ...), for a layer with `given(condition)`. Raises AssertionError
    that names the law, what is wrong, and by how much. Gradients are not reset afterwards. A layer
    needs `forward`, `inverse` and `backward`; a density without a map needs `log_prob`.
    """
    assert x.dtype == np.float64, (
        f"check_layer: expected float64, got {x.dtype}: its tolerances are those of float64"
    )
    missing = [name for name in NEEDED if not callable(getattr(layer, name, None))]
    is_model = callable(getattr(layer, "log_prob", None))
    assert not missing or (is_model and len(missing) == len(NEEDED)), (
        f"check_layer: {type(layer).__name__} has no {', '.join(missing)}"
    )
    case = Case(layer, x, make, condition)
    for law in chosen(laws):
        try:
            decide(law, case)
        except DoesNotApply:
            continue
        except AssertionError as error:
            message = f"{type(layer).__name__}, law {law.name}: {error}"
            raise AssertionError(message) from error.__cause__


def decide(law: Law, case: Case) -> Comparison | None:
    """Call a law. If the numbers cannot decide, call it again at another x.

    Returns the comparison that came closest to the allowed error; None if there was no comparison.
    Raises Broken, Undecided or DoesNotApply. A model that is not a map is only tested with the laws
    of its density.
    """
    if not case.is_map and law.name not in OF_MODELS:
        raise DoesNotApply("it is a density without a map (forward, inverse)")
    x = case.x

    def at(moved: np.ndarray) -> None:
        # pass a copy, so that the next law notices if a law or a layer writes into x
        case.worst, case.x = None, moved.copy()
        try:
            with np.errstate(all="ignore"):  # laws check for non-finite results themselves
                law(case)
        except (Broken, Undecided, DoesNotApply, MemoryError):
            raise
        except Exception as error:
            raise Broken(f"raised {type(error).__name__}: {error}") from error

    try:
        at_some_x(at, x, case.domain)
    finally:
        case.x = x
    return case.worst


def at_some_x(
    call: Callable[[np.ndarray], None],
    x: np.ndarray,
    domain: tuple[float, float] = EVERYWHERE,
) -> None:
    """Call with x. While that raises Undecided, try another x of the domain, up to ATTEMPTS times
    in all.
    """
    for attempt in range(ATTEMPTS):
        moved = x if attempt == 0 else within(x + 0.3 * random_like(x, 100 + attempt), domain)
        try:
            return call(moved)
        except Undecided:
            if attempt == ATTEMPTS - 1:
                raise


def check_conditioner(net: Any, x: np.ndarray) -> None:
    """Test the laws of a network inside a coupling, `forward(x) -> h, cache` and `backward(dh,
    cache) -> dx`, at x (N, ...).
    """
    at_some_x(lambda moved: _conditioner_laws(net, moved), x)


def _conditioner_laws(net: Any, x: np.ndarray) -> None:
    h, cache = net.forward(x)
    before, dh = x.copy(), random_like(h, 14)
    zero_gradients(net)
    dx = net.backward(dh, cache).copy()
    once = {name: p.grad.copy() for name, p in parameters_of(net).items()}
    if not np.array_equal(x, before):
        raise Broken("x was changed by forward or backward")
    if not np.array_equal(dh, random_like(h, 14)):
        raise Broken("dh was changed by backward")
    moved = x.copy()

    def loss_change() -> float:
        return float((dh * (net.forward(moved)[0] - h)).sum())

    noise = rounding(dh * h)
    check_gradient("dx", dx, moved, loss_change, noise)
    for name, p in parameters_of(net).items():
        check_gradient(f"gradient of {name}", once[name], p.value, loss_change, noise)
    net.backward(dh, net.forward(x)[1])
    for name, p in parameters_of(net).items():
        compare(f"two backward passes, {name}", p.grad, 2.0 * once[name], SAME)
    for i in range(len(x)):
        alone = net.forward(x[i : i + 1].copy())[0]
        compare(f"h of sample {i} alone", alone, h[i : i + 1], SAME)
