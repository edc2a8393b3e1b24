"""Arrays decide where the work runs: `namespace(x)` is NumPy for a host array and CuPy for a device
array.

A layer never names a backend: it writes `xp = namespace(x)` and then NumPy's own function names.
CuPy is imported only in `device.py`.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

Array = Any  # numpy.ndarray or cupy.ndarray: both, so neither can be the static type
Namespace = Any  # the module `numpy` or `cupy`


def namespace(x: Array) -> Namespace:
    """Return the module whose functions work on `x`: `numpy`, or the one that a device
    array names.
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
    """Return `x` as a NumPy array; a device array is copied, a host array is returned unchanged."""
    return x if isinstance(x, np.ndarray) else np.asarray(x.get() if hasattr(x, "get") else x)


def to_device(x: np.ndarray, xp: Namespace) -> Array:
    """Return a host array as an array of `xp`.

    Nothing is copied if it is one already, or if it is a device array.
    """
    return xp.asarray(x) if isinstance(x, np.ndarray) else x
