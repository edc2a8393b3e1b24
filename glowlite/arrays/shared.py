"""Arrays that a process and those forked from it have in common."""

from __future__ import annotations

import mmap
from math import prod

import numpy as np


class _Shared(mmap.mmap):
    """Memory of `shared_zeros`, and of nothing else."""


def shared_zeros(shape: tuple[int, ...], dtype: str | np.dtype) -> np.ndarray:
    """Zeros, in memory that stays one and the same in processes forked from this one.

    A copy, by `copy` or `pickle`, is an array like any other: it lies in memory of its own.
    """
    count = prod(shape)
    memory = _Shared(-1, max(1, count * np.dtype(dtype).itemsize))
    return np.frombuffer(memory, dtype, count).reshape(shape)


def is_shared(array: np.ndarray) -> bool:
    """Whether an array lies in memory of `shared_zeros`."""
    owner = array.base
    while isinstance(owner, (np.ndarray, memoryview)):
        owner = owner.obj if isinstance(owner, memoryview) else owner.base
    return isinstance(owner, _Shared)
