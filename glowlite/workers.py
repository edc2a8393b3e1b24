"""Tiles of a batch over a pool of threads, one BLAS thread each.

NumPy lets go of the interpreter inside its loops and products, so threads run whole layers side by side: element-wise
work runs in parallel, too, and the hidden maps of a tile stay in cache. How a batch is cut depends on its shape and
never on the number of threads, and sums over tiles are taken in a fixed order: results are the same to the last bit
for any number of threads.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import pairwise
from typing import Self, TypeVar

import numpy as np
from threadpoolctl import ThreadpoolController

from glowlite.errors import GlowliteError

T = TypeVar("T")
R = TypeVar("R")

TILE_NUMBERS = 1 << 19  # in a hidden map of a tile: 2 MB of float32, about a second-level cache
MAX_LANES = 8  # every lane sums its own weight gradients first: more lanes, more memory and more to add up


def available_cores() -> int:
    """The cores this process may use, which can be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Workers:
    """A pool of `threads` threads (default: the cores this process may use)."""

    def __init__(self, threads: int | None = None) -> None:
        if threads is not None and threads < 1:
            raise GlowliteError(f"threads must be at least 1, got {threads}; leave it out to use every core")
        self.threads = threads or available_cores()
        self._pool: ThreadPoolExecutor | None = None
        self._blas: ThreadpoolController | None = None
        self._limits = ExitStack()
        self._depth = 0
        self._scratch: dict[int, np.ndarray] = {}

    def __enter__(self) -> Self:
        """Inside `with workers:` every BLAS call runs in one thread, whatever `threads` is.

        So results stay the same for any `threads`, and no idle thread of BLAS spins on a core that a worker needs.
        """
        if self._depth == 0:
            if self._blas is None:
                self._blas = ThreadpoolController()
            self._limits.enter_context(self._blas.limit(limits=1, user_api="blas"))
        self._depth += 1
        return self

    def __exit__(self, *exception: object) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._limits.close()

    def map(self, task: Callable[[T], R], items: Sequence[T]) -> list[R]:
        """[task(item) for item in items], side by side. The first exception of a task is raised here."""
        with self:
            if self.threads == 1 or len(items) < 2:
                return [task(item) for item in items]
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self.threads, "glowlite")
            return list(self._pool.map(task, items))

    def scratch(self, lane: int, size: int, dtype: np.dtype) -> np.ndarray:
        """A flat array (size,) that belongs to `lane` until its next call; its contents are whatever was left there."""
        held = self._scratch.get(lane)
        if held is None or held.size < size or held.dtype != dtype:
            held = self._scratch[lane] = np.empty(size, dtype)
        return held[:size]


def lanes(images: int, pixels: int, width: int) -> list[list[slice]]:
    """How a batch of `images` of `pixels` each is cut: lanes that run side by side, each a list of tiles run in order.

    Tiles are slices of whole images, about TILE_NUMBERS numbers in `width` channels; small maps still make two lanes.
    """
    tile = max(1, min(-(-TILE_NUMBERS // (pixels * width)), -(-images // 2)))
    count = -(-images // tile)
    lane_count = min(count, MAX_LANES)
    cuts = [i * count // lane_count for i in range(lane_count + 1)]
    return [[slice(t * tile, min((t + 1) * tile, images)) for t in range(a, b)] for a, b in pairwise(cuts)]
