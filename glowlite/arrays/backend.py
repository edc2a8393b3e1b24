"""Arrays decide where the work runs: `namespace(x)` is NumPy for a host array and CuPy for a device
one.

This is the only file that imports CuPy, and it does so only when a GPU is asked for. A layer never
names a backend: it writes `xp = namespace(x)` and then NumPy's own function names.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from typing import Any

import numpy as np

from glowlite.errors import GlowliteError
from glowlite.terminal import shortened

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


def device_namespace(
    device: str, local_rank: int = 0, tf32: bool = False, gigabytes: float = 0.0
) -> Namespace:
    """The array module of a device named `cpu`, `gpu` or `gpu:k`.

    `gpu:k` becomes CuPy's current device. `gpu` alone is, of several processes on a machine, the
    one numbered `local_rank`, or they share the few there are. `tf32`: float32 products with 10
    bits of mantissa in place of 23, relative error about 1e-3, some four times as fast.
    `gigabytes`: the most that CuPy's pool of memory may hold; 0: all that the GPU has.

    Raises GlowliteError, in one line, for an unknown name, a missing CuPy, or a missing or unusable
    GPU.
    """
    kind, _, index = device.partition(":")
    if device == "cpu":
        return np
    if kind != "gpu" or (":" in device and not (index.isdecimal() and len(index) < 10)):
        raise GlowliteError(
            f"device {shortened(device)!r}: expected cpu, gpu or gpu:k, such as gpu:0"
        )
    if tf32:
        os.environ["CUPY_TF32"] = "1"  # CuPy looks when it is imported
    try:
        cupy = importlib.import_module("cupy")
    except ImportError:
        raise GlowliteError(
            f"device {device!r}: CuPy is not installed; run pip install '.[gpu-cuda12]' or"
            " '.[gpu-cuda13]' in the source folder, or use --device cpu"
        ) from None
    count = 0
    with contextlib.suppress(cupy.cuda.runtime.CUDARuntimeError):
        count = cupy.cuda.runtime.getDeviceCount()
    wanted = int(index) if index else local_rank % max(count, 1)
    if wanted >= count:
        raise GlowliteError(
            f"device {device!r}: {count} usable GPUs here; check the driver, or use --device cpu"
        )
    cupy.cuda.Device(wanted).use()
    if gigabytes:
        cupy.get_default_memory_pool().set_limit(size=int(gigabytes * 2**30))
    return cupy


def to_host(x: Array) -> np.ndarray:
    """`x` as a NumPy array; copies a device array, and returns a host array as it is."""
    return x if isinstance(x, np.ndarray) else np.asarray(x.get() if hasattr(x, "get") else x)


def to_device(x: np.ndarray, xp: Namespace) -> Array:
    """An array of the host as one of `xp`.

    No copy where it already is one, and none of a device array.
    """
    return xp.asarray(x) if isinstance(x, np.ndarray) else x
