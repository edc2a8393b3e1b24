"""Compare a gradient with finite differences of the loss."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from glowlite.testing.comparison import Broken, Comparison, Undecided
from glowlite.testing.gradients import directional_derivative

GRADIENT = 1e-6
EPS = float(np.finfo(np.float64).eps)
COORDINATES = 4  # entries of a tensor checked one by one, besides one random direction


def rounding(terms: np.ndarray) -> float:
    """Return the effect of rounding the terms of a sum: errors of random sign add up like
    squares.
    """
    return 8 * EPS * float(np.linalg.norm(terms))


def check_gradient(
    what: str,
    gradient: np.ndarray,
    place: np.ndarray,
    loss_change: Callable[[], float],
    noise: float,
    floor: float = 0.0,
) -> Comparison:
    """Compare `gradient` with finite differences of the loss when `place`, an array of the same
    shape, is changed in place.

    It uses one random direction over the whole tensor and COORDINATES single entries, including the
    one with the largest gradient. `noise`: the rounding error of one `loss_change`. `floor`: the
    rounding error of an entry of the gradient; an entry that should be zero may be no more than
    that. Raises Broken, or Undecided if the differences are less accurate than GRADIENT. Returns
    the worst comparison.
    """
    if gradient.shape != place.shape:
        raise Broken(f"{what}: shape {gradient.shape}, expected {place.shape}")
    if not np.isfinite(gradient).all():
        raise Broken(f"{what}: not finite")
    directions = _directions(gradient)
    expected, doubt = _by_differences(directions, place, loss_change, noise)
    got = np.array([(gradient * direction).sum() for direction in directions])
    if not expected.any() and not got.any():
        # the loss does not depend on it at all, and the gradient is exactly zero
        return Comparison(what, 0.0, 0.0, 0.0, 0.0)
    scale = np.full(len(directions), float(np.abs(gradient).max(initial=0.0)))
    scale[0] = np.linalg.norm(gradient)
    error = np.abs(got - expected)
    share = error / (scale + 1e-300)
    # an entry is more informative than a direction, so it is named if it is also wrong
    entry_is_wrong = (error[1:] > GRADIENT * scale[1:] + floor + doubt[1:]).any()
    worst = int(share[1:].argmax()) + 1 if entry_is_wrong else int(share.argmax())
    named = what if worst else f"{what}, along a random direction"
    entry = np.unravel_index(int(directions[worst].argmax()), gradient.shape) if worst else ()
    found = Comparison(
        f"{named} against differences",
        float(got[worst]),
        float(expected[worst]),
        float(error[worst]),
        GRADIENT * float(scale[worst]) + floor,
        tuple(int(i) for i in entry),
    )
    if (error > GRADIENT * scale + floor + doubt).any():
        raise Broken(str(found), found)
    if (doubt > 0.5 * GRADIENT * scale + floor).any():
        rough = f"differences are only accurate to {doubt[worst]:.1e}: choose another x"
        raise Undecided(f"{found}; {rough}")
    if (error > GRADIENT * scale + floor).any():
        raise Broken(str(found), found)
    return found


def _directions(gradient: np.ndarray) -> list[np.ndarray]:
    """Return one random direction, and the unit vectors of the entries that are checked."""
    rng = np.random.default_rng(gradient.size)
    chosen = rng.choice(gradient.size, min(COORDINATES, gradient.size), replace=False)
    directions = [rng.standard_normal(gradient.shape)]
    for index in {int(np.abs(gradient).argmax()), *chosen.tolist()} if gradient.size else ():
        directions.append(np.zeros(gradient.shape))
        directions[-1].flat[index] = 1.0
    return directions


def _by_differences(
    directions: list[np.ndarray],
    place: np.ndarray,
    loss_change: Callable[[], float],
    noise: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the derivative along each direction and its possible error. `place` is restored."""
    original = place.copy()
    expected, doubt = np.zeros(len(directions)), np.zeros(len(directions))
    for i, direction in enumerate(directions):

        def change(t: float, direction: np.ndarray = direction) -> float:
            place[...] = original + t * direction
            return loss_change()

        expected[i], doubt[i] = directional_derivative(change, noise)
    place[...] = original
    return expected, doubt
