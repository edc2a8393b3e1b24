"""Arrays that a process and those forked from it have in common."""

from __future__ import annotations

import mmap
from math import prod

import numpy as np


def shared_zeros(shape: tuple[int, ...], dtype: str | np.dtype) -> np.ndarray:
    """Zeros, in memory that stays one and the same in processes forked from this one.

    A copy, by `copy` or `pickle`, is an array like any other.
    """
    count = prod(shape)
    memory = mmap.mmap(-1, max(1, count * np.dtype(dtype).itemsize))
    return np.frombuffer(memory, dtype, count).reshape(shape)


def is_shared(array: np.ndarray) -> bool:
    """Whether an array lies in memory of `shared_zeros`."""
    base = array.base
    while isinstance(base, np.ndarray):
        base = base.base
    return isinstance(base, (mmap.mmap, memoryview))
