"""CUDA kernels for what NumPy does in several passes.

Each file names its NumPy counterpart, which describes the computation. A kernel is the body of a
loop over `i < size`, with one thread per i, for a type T that is float or double. CuPy compiles it
when it is first used.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from glowlite.arrays.backend import Array, Namespace
from glowlite.errors import GlowliteError

BLOCK = 256  # threads per block
MAX_ELEMENTS = 2**31 - 1  # most elements of an array: kernels use 32-bit indices
TYPES = {"float32": "float", "float64": "double"}


def launch(
    xp: Namespace, name: str, parameters: str, body: str, size: int, *arguments: Any
) -> None:
    """Run `body` for i = 0 .. size - 1 on the device.

    `parameters`: C declarations of the arrays and numbers in `arguments`. Arrays must be
    C-contiguous; T is the type of the first. Numbers are `int` or `double`.
    """
    if size == 0:
        return
    if size > MAX_ELEMENTS:
        raise GlowliteError(
            f"an array of {size} numbers is too large for one kernel: lower --batch, or raise"
            " --accumulate"
        )
    first: Array = arguments[0]
    kernel = compiled(xp, source(name, parameters, body, TYPES[str(first.dtype)]), name)
    numbers = [_number(argument) for argument in arguments]
    kernel((-(-size // BLOCK),), (BLOCK,), (*numbers, np.int32(size)))


def _number(argument: Any) -> Any:
    if isinstance(argument, (bool, int)):
        return np.int32(argument)
    return np.float64(argument) if isinstance(argument, float) else argument


def source(name: str, parameters: str, body: str, kind: str) -> str:
    """Return the complete kernel in CUDA C++."""
    return (
        f"typedef {kind} T;\n"
        f'extern "C" __global__ void {name}({parameters}, const int size) {{\n'
        "  const int i = blockIdx.x * blockDim.x + threadIdx.x;\n"
        "  if (i >= size) return;\n"
        f"{body}}}\n"
    )


@lru_cache(maxsize=256)
def compiled(xp: Namespace, text: str, name: str) -> Any:
    return xp.RawKernel(text, name)
