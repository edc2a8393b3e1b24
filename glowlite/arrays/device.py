"""Choose a device by name: `cpu`, `gpu` or `gpu:k`.

This is the only file that imports CuPy, and it does so only when a GPU is asked for.
"""

from __future__ import annotations

import contextlib
import importlib
import os

import numpy as np

from glowlite.arrays.backend import Namespace
from glowlite.errors import GlowliteError
from glowlite.terminal import shortened


def device_namespace(
    device: str, local_rank: int = 0, tf32: bool = False, gigabytes: float = 0.0
) -> Namespace:
    """Return the array module of a device named `cpu`, `gpu` or `gpu:k`.

    `gpu:k` becomes CuPy's current device. With `gpu`, each of several processes on a machine uses
    the GPU numbered `local_rank`, or they share GPUs if there are fewer. `tf32`: float32 products
    with 10 bits of mantissa instead of 23, relative error about 1e-3, about four times as fast.
    `gigabytes`: size limit of CuPy's memory pool; 0: no limit.

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
        os.environ["CUPY_TF32"] = "1"  # CuPy reads it on import
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
