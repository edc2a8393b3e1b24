"""Checks for any invertible layer: hold your own flow to the laws that the layers of this library
obey.

    from glowlite.testing import check_layer
    check_layer(my_layer, x)                 # x (N, ...), float64

A layer needs `forward(x) -> y, logdet`, `inverse(y) -> x`, `backward(y, dy, dlogdet) -> x, dx`, and
`parameters()`, a dict of objects with arrays `value` and `grad`. All in float64: the tolerances are
those of its rounding, not of float32's.
"""

from glowlite.testing.adapters import ModelAsLayer, SplitAsLayer
from glowlite.testing.case import Case
from glowlite.testing.check import check_conditioner, check_layer
from glowlite.testing.comparison import Broken, DoesNotApply, Undecided
from glowlite.testing.gradients import directional_derivative, taylor_slope
from glowlite.testing.jacobians import numerical_jacobian, numerical_logdet
from glowlite.testing.laws import LAWS, LEVELS
from glowlite.testing.load import load
from glowlite.testing.parametrize import parametrize_with_laws

__all__ = [
    "LAWS",
    "LEVELS",
    "Broken",
    "Case",
    "DoesNotApply",
    "ModelAsLayer",
    "SplitAsLayer",
    "Undecided",
    "check_conditioner",
    "check_layer",
    "directional_derivative",
    "load",
    "numerical_jacobian",
    "numerical_logdet",
    "parametrize_with_laws",
    "taylor_slope",
]
