r"""Derivatives by finite differences, accurate to about nine digits in float64.

    c(h) = (f(h) - f(-h)) / 2h = f' + h^2 f''' / 6 + ...
    r(h) = (4 c(h/2) - c(h)) / 3 = f' + O(h^4)

A step that is too large leaves the range of the series, or crosses the kink of a ReLU. A step that
is too small loses digits to rounding. So several are tried, and the one where r(h) and r(h/2) agree
best is used. Their disagreement and the effect of rounding are returned with the result. The choice
does not use the gradient under test.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

STEPS = (1e-3, 1e-4, 1e-5, 1e-6)
GOOD_ENOUGH = 1e-9


def directional_derivative(
    change: Callable[[float], float], noise: float = 0.0, steps: Sequence[float] = STEPS
) -> tuple[float, float]:
    """Return d change(t) / dt at t = 0, for change(t) = f(t) - f(0), and its possible error.

    `noise`: the rounding error of one `change`. Cost: 6 evaluations if the first step is good
    enough, at most 24.
    """
    best, best_gap = 0.0, np.inf
    for h in steps:
        c = [(change(t) - change(-t)) / (2 * t) for t in (h, h / 2, h / 4)]
        coarse, fine = (4 * c[1] - c[0]) / 3, (4 * c[2] - c[1]) / 3
        gap = abs(coarse - fine) + 4 * noise / h
        if gap < best_gap:
            best, best_gap = fine, gap
        if gap <= GOOD_ENOUGH * abs(fine):
            break
    return best, float(best_gap)


def taylor_slope(
    change: Callable[[float], float], derivative: float, start: float = 1e-1, halvings: int = 6
) -> float:
    """Return the slope of log |change(t) - t derivative| over log t, for t = start, start/2, ...

    It is 2 (or more) for the correct derivative of a smooth nonlinear function, and 1 for any other
    number, including zero.
    """
    t = start * 0.5 ** np.arange(halvings)
    rest = np.array([abs(change(step) - step * derivative) for step in t])
    return float(np.polyfit(np.log(t), np.log(np.maximum(rest, 1e-300)), 1)[0])
