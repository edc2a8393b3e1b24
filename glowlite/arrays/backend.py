"""Arrays decide where the work runs: `namespace(x)` is NumPy for a host array and CuPy for a device
one.

A layer never names a backend: it writes `xp = namespace(x)` and then NumPy's own function names.
CuPy is imported in `device.py` alone.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

Array = Any  # numpy.ndarray or cupy.ndarray: both, so neither can be the static type
Namespace = Any  # the module `numpy` or `cupy`


def namespace(x: Array) -> Namespace:
    """The module whose functions work on `x`: `numpy`, or the one the device array names as its
    own.
    """
    if isinstance(x, (np.ndarray, np.generic)):
        return np
    owner = getattr(type(x), "__array_namespace__", None)
    return (
        owner(x)
        if owner is not None
        else importlib.import_module(type(x).__module__.partition(".")[0])
    )


def to_host(x: Array) -> np.ndarray:
    """`x` as a NumPy array; copies a device array, and returns a host array as it is."""
    return x if isinstance(x, np.ndarray) else np.asarray(x.get() if hasattr(x, "get") else x)


def to_device(x: np.ndarray, xp: Namespace) -> Array:
    """An array of the host as one of `xp`.

    No copy where it already is one, and none of a device array.
    """
    return xp.asarray(x) if isinstance(x, np.ndarray) else x
