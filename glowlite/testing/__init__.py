"""Checks for any invertible layer: test your own flow against the laws that the layers of this
library obey.

    from glowlite.testing import check_layer
    check_layer(my_layer, x)                 # x (N, ...), float64

A layer needs `forward(x) -> y, logdet`, `inverse(y) -> x`, `backward(y, dy, dlogdet) -> x, dx`, and
`parameters()`, a dict of objects with arrays `value` and `grad`. Everything must be in float64,
since the tolerances are those of float64 rounding. `torch_layer` and `jax_layer` present a PyTorch
or JAX flow as such a layer, and `as_layer` does so for any of these.
"""

import importlib
from typing import TYPE_CHECKING, Any

from glowlite.testing.adapters import ModelAsLayer, SplitAsLayer
from glowlite.testing.case import Case
from glowlite.testing.check import check_conditioner, check_layer
from glowlite.testing.comparison import Broken, DoesNotApply, Undecided
from glowlite.testing.frameworks import as_layer
from glowlite.testing.gradients import directional_derivative, taylor_slope
from glowlite.testing.jacobians import numerical_jacobian, numerical_logdet
from glowlite.testing.laws import LAWS, LEVELS
from glowlite.testing.load import load
from glowlite.testing.parametrize import parametrize_with_laws

if TYPE_CHECKING:
    from glowlite.testing.jax_layers import jax_layer
    from glowlite.testing.torch_layers import torch_layer

__all__ = [
    "LAWS",
    "LEVELS",
    "Broken",
    "Case",
    "DoesNotApply",
    "ModelAsLayer",
    "SplitAsLayer",
    "Undecided",
    "as_layer",
    "check_conditioner",
    "check_layer",
    "directional_derivative",
    "jax_layer",
    "load",
    "numerical_jacobian",
    "numerical_logdet",
    "parametrize_with_laws",
    "taylor_slope",
    "torch_layer",
]

# imported on first use, since each imports its framework
_LATER = {
    "jax_layer": "glowlite.testing.jax_layers",
    "torch_layer": "glowlite.testing.torch_layers",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'glowlite.testing' has no attribute {name!r}")
    return getattr(importlib.import_module(_LATER[name]), name)
