"""Arrays shared between a process and its forks."""

from __future__ import annotations

import mmap
from math import prod

import numpy as np


class _Shared(mmap.mmap):
    """Memory used only by `shared_zeros`."""


def shared_zeros(shape: tuple[int, ...], dtype: str | np.dtype) -> np.ndarray:
    """Return zeros in memory that is shared with processes forked from this one.

    A copy, by `copy` or `pickle`, is an ordinary array in its own memory.
    """
    count = prod(shape)
    memory = _Shared(-1, max(1, count * np.dtype(dtype).itemsize))
    return np.frombuffer(memory, dtype, count).reshape(shape)


def is_shared(array: np.ndarray) -> bool:
    """Whether an array is in memory of `shared_zeros`."""
    owner = array.base
    while isinstance(owner, (np.ndarray, memoryview)):
        owner = owner.obj if isinstance(owner, memoryview) else owner.base
    return isinstance(owner, _Shared)
