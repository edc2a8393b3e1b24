"""Run tiles of a batch on a pool of threads, with one BLAS thread each.

NumPy releases the interpreter's lock inside its loops and products, so threads run whole layers in
parallel. Element-wise work is then also parallel, and the hidden activations of a tile stay in the
cache. How a batch is split depends on its shape and never on the number of threads, and sums over
tiles are taken in a fixed order. So results are bitwise equal for any number of threads.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from typing import Any, Self, TypeVar

import numpy as np
from threadpoolctl import ThreadpoolController

from glowlite.arrays.backend import Array, Namespace
from glowlite.arrays.machine import available_bytes, available_cores
from glowlite.arrays.slices import chunks, cut
from glowlite.errors import GlowliteError
from glowlite.fast.mkl import matmul_of

T = TypeVar("T")
R = TypeVar("R")

MAX_THREADS = 1024
# size of a hidden activation of a tile in float32; larger products are faster, larger activations
# leave the cache
TILE_MB = 4.0
SMALLEST_BLOCK = 1 << 14  # entries of a hidden activation; a smaller image is not worth two threads


class Workers:
    """A pool of `threads` threads (default: the cores that this process may use), and the rules by
    which work is split.

    `tile_mb`: megabytes of a hidden activation of one tile in float32. It changes results by
    rounding; `threads` does not. `blas`: the library for large matrix products, `numpy` or `mkl`;
    `matmul(a, b, out=None)` is that function.
    """

    def __init__(
        self, threads: int | None = None, tile_mb: float = TILE_MB, blas: str = "numpy"
    ) -> None:
        if threads is not None and not 1 <= threads <= MAX_THREADS:
            raise GlowliteError(
                f"threads must be from 1 to {MAX_THREADS}, got {threads}; leave it out to use every"
                " core"
            )
        if not 0 < tile_mb * 2**20 <= available_bytes():
            raise GlowliteError(
                "tile must be positive and smaller than this machine's memory,"
                f" {available_bytes() / 2**20:.0f} MB, got {tile_mb:g} MB; the default is"
                f" {TILE_MB:g}"
            )
        self.threads = threads or available_cores()
        self.tile_numbers = max(1, int(tile_mb * 2**18))
        self._begin(blas)

    def _begin(self, blas: str) -> None:
        """Make what belongs to this process; other processes and copies make their own."""
        self.blas, self.matmul = blas, matmul_of(blas)
        self._pool: ThreadPoolExecutor | None = None
        self._process = os.getpid()  # the process that owns the pool's threads
        self._blas: ThreadpoolController | None = None
        self._limits = ExitStack()
        self._depth = 0
        self._local = threading.local()

    def __getstate__(self) -> dict[str, Any]:
        """For `copy.deepcopy` and `pickle`: a copy has its own pool with the same number of
        threads.
        """
        return {"threads": self.threads, "tile_numbers": self.tile_numbers, "blas": self.blas}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.threads, self.tile_numbers = state["threads"], state["tile_numbers"]
        self._begin(state["blas"])

    def __enter__(self) -> Self:
        """Inside `with workers:`, every BLAS call uses one thread, whatever `threads` is.

        So results stay the same for any `threads`, and no idle thread of BLAS spins on a core that
        a worker needs.
        """
        if self._is_busy():  # a task of `map`, which has already done so
            return self
        if self._depth == 0:
            if self._blas is None:
                self._blas = ThreadpoolController()
            self._limits.enter_context(self._blas.limit(limits=1, user_api="blas"))
        self._depth += 1
        return self

    def __exit__(self, *exception: object) -> None:
        if self._is_busy():
            return
        self._depth -= 1
        if self._depth == 0:
            self._limits.close()

    def map(self, task: Callable[[T], R], items: Sequence[T]) -> list[R]:
        """Return [task(item) for item in items], started in order and run in parallel.

        The first exception of a task is raised here. A `map` inside a task runs in the thread of
        that task, one item after the other.
        """
        if self._is_busy():
            return [task(item) for item in items]
        with self:
            if self.threads == 1 or len(items) < 2:
                return [task(item) for item in items]
            if self._pool is None or self._process != os.getpid():  # a fork has no other threads
                self._pool = ThreadPoolExecutor(self.threads, "glowlite")
                self._process = os.getpid()
            begun: list[Future[R]] = []
            try:
                for item in items:
                    begun.append(self._submit(self._pool, task, item))
                return [each.result() for each in begun]
            finally:  # handle an error only when no task is running any more
                for each in begun:
                    each.cancel()
                wait(begun)

    def _submit(self, pool: ThreadPoolExecutor, task: Callable[[T], R], item: T) -> Future[R]:
        try:
            return pool.submit(self._task(task), item)
        except RuntimeError as error:  # the system cannot start more threads
            raise GlowliteError(f"threads {self.threads}: {error}; lower --threads") from None

    @contextmanager
    def whole(self) -> Iterator[None]:
        """In this context, this thread does not split work: a batch is one tile, and `map` runs
        item after item.

        It is for work on a part of a batch, such as one of two lanes.
        """
        before = self._is_busy(), self._is_whole()
        self._local.busy = self._local.whole = True
        try:
            yield
        finally:
            self._local.busy, self._local.whole = before

    def _is_busy(self) -> bool:
        """Whether this thread runs a task."""
        return getattr(self._local, "busy", False)

    def _is_whole(self) -> bool:
        """Whether this thread must not split its work."""
        return getattr(self._local, "whole", False)

    def _task(self, task: Callable[[T], R]) -> Callable[[T], R]:
        def run(item: T) -> R:
            self._local.busy = True
            try:
                return task(item)
            finally:
                self._local.busy = False

        return run

    def clear(self, vector: Array) -> None:
        """Set a flat vector to zero, with all threads."""
        self.map(lambda part: vector[part].fill(0), chunks(vector))

    def scratch(self, size: int, dtype: np.dtype, xp: Namespace = np) -> Array:
        """Return a flat array (size,) that belongs to the calling thread until its next call.

        Its contents are undefined.
        """
        if xp is not np:
            return xp.empty(size, dtype)  # the device's own memory pool is fast enough
        held: np.ndarray | None = getattr(self._local, "scratch", None)
        if held is None or held.size < size or held.dtype != dtype:
            held = self._local.scratch = np.empty(size, dtype)
        return held[:size]

    def tiles(self, images: int, pixels: int, width: int) -> list[slice]:
        """Return how a batch is split: slices of whole images whose activations with `width`
        channels fill a tile, if an image is not larger.

        The slices are as equal as possible. Their number is a power of two, at least two if there
        are enough images; inside `whole` there is only one.
        """
        if self._is_whole():
            return [slice(0, images)]
        wanted = max(2, images * pixels * width / self.tile_numbers)
        return cut(images, min(images, 1 << math.ceil(math.log2(wanted))))

    def blocks(self, images: int, pixels: int, width: int) -> list[slice]:
        """Return how the pixels of a tile are split if one image exceeds the tile size: slices of
        columns.

        A single image makes two blocks unless it is tiny, since it can be a whole batch.
        """
        numbers = images * pixels * width
        fewest = 2 if images == 1 and numbers >= 2 * SMALLEST_BLOCK else 1
        return cut(
            images * pixels, max(fewest, -(-numbers // self.tile_numbers)) if images == 1 else 1
        )
