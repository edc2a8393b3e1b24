"""Run the two halves of a batch in parallel, each through the whole model and back.

Threads of one process share Python's global lock, and with short arrays they wait for it: for a
third of a step in the default job (`docs/performance.md`). So each half, a lane, has its own
process if possible: on Linux, with at least two threads, for a model that is not a copy of another.
Elsewhere the lanes are threads, or run one after the other, with bitwise equal results. How a batch
is split depends on its shape, and never on the machine:

    two lanes   if the model is small, since each lane has its own gradients, and a half of the
                batch is no more than one tile
    one         else: the levels of the model cut the batch, see `tiles.py`
"""

from __future__ import annotations

import dataclasses
import sys
from contextlib import suppress
from typing import Any, Self

import numpy as np

from glowlite.arrays.backend import Array
from glowlite.arrays.parameters import replica
from glowlite.arrays.shared import is_shared, shared_zeros
from glowlite.arrays.slices import chunks, cut
from glowlite.bijectors.memory import Memory
from glowlite.fast.chain_form import widest
from glowlite.fast.lane_process import LaneProcess

Half = tuple[Array, Array | None]  # half of a batch: x, and the labels, if there are any
SMALL = 1 << 22  # parameters: 16 MB of gradients in float32


class Lanes:
    """`gradients` of `model` for batches of at most `images`, in lanes, as described in this
    module.

    Inside `with Lanes(model, images) as lanes:`, only the parameters of the model and its `memory`
    may change. `processes`: False keeps all lanes in this process.
    """

    def __init__(self, model: Any, images: int, processes: bool = True) -> None:
        self.model, self.images = model, images
        self._wants_process = processes and self._can_fork()
        self._process: LaneProcess | None = None

    def __enter__(self) -> Self:
        if not self.are_two(self.images):
            return self
        model = self.model
        # gradients of the second lane
        self._grad = shared_zeros(model.store.grad.shape, model.dtype)
        second, _ = replica(model.bijector, self._grad)
        self._flows = [_with_budget(model, part) for part in (model.bijector, second)]
        if self._wants_process:
            shape = self.images - self.images // 2, *model.input_shape
            with suppress(OSError):  # the system cannot start more processes: go on without it
                self._process = LaneProcess(self._run_second, shape, model.dtype)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._process is not None:
            self._process.close()
            self._process = None

    def are_two(self, images: int) -> bool:
        """Whether a batch of so many images has two lanes; the answer is the same on every
        machine.
        """
        model = self.model
        if model.plain or model.xp is not np or not hasattr(model.bijector, "with_memory"):
            return False
        if model.store.statistics:  # batch normalisation needs the whole batch
            return False
        positions = int(np.prod(model.latent_shapes()[0][:-1]))
        tiles = model.workers.tiles(images, positions, widest(model.bijector))
        return len(tiles) == 2 and len(model.store) <= SMALL

    def gradients(
        self,
        x: Array,
        n_bits: int | None = None,
        batch: int | None = None,
        labels: Array | None = None,
        label_weight: float = 0.0,
    ) -> tuple[Array, Array]:
        """Like the model's own method; the gradients of the second half are added after those of
        the first.
        """
        if len(x) > self.images or not self.are_two(len(x)):
            return _given(self.model, labels, label_weight).gradients(x, n_bits, batch)
        parts = cut(len(x), 2)
        halves = [(x[part], None if labels is None else labels[part]) for part in parts]
        options = n_bits, batch or len(x), _half(self.model.memory), label_weight
        run = self._in_this_process if self._process is None else self._in_two_processes
        (loss, drift), (other_loss, other_drift) = run(*halves, *options)
        self._add_gradients()
        return np.float64(loss + other_loss), np.maximum(drift, other_drift)

    def _in_this_process(self, first: Half, second: Half, *options: Any) -> list[Any]:
        tasks = [
            lambda: _run(self._flows[0], *first, *options),
            lambda: self._run_second(*second, *options),
        ]
        return self.model.workers.map(lambda task: task(), tasks)

    def _in_two_processes(self, first: Half, second: Half, *options: Any) -> list[Any]:
        process = self._process
        assert process is not None
        process.begin(*second, *options)
        try:
            result = _run(self._flows[0], *first, *options)
        finally:
            other = process.end()
        # if it has failed, this process will fail in the same way, and report why
        return [result, other or self._run_second(*second, *options)]

    def _run_second(self, x: Array, labels: Array | None, *options: Any) -> tuple[Array, Array]:
        self._grad.fill(0)
        return _run(self._flows[1], x, labels, *options)

    def _add_gradients(self) -> None:
        """Add the gradients of the second lane to the others, with all threads."""
        total, more = self.model.store.grad, self._grad

        def add(part: slice) -> None:
            total[part] += more[part]

        self.model.workers.map(add, chunks(total))

    def _can_fork(self) -> bool:
        """Whether a lane can be a process. On systems other than Linux, libraries in use do not
        survive a fork, and MKL does not on any system.
        """
        workers, theta = self.model.workers, self.model.store.theta
        ready = workers.threads > 1 and workers.blas == "numpy" and sys.platform == "linux"
        return ready and isinstance(theta, np.ndarray) and is_shared(theta)


def _run(
    flow: Any,
    x: Array,
    labels: Array | None,
    n_bits: int | None,
    batch: int,
    memory: Memory | None,
    label_weight: float,
) -> tuple[Array, Array]:
    """Return loss and drift of a lane; its gradients are added to those of `flow`."""
    if memory is not None and flow.memory != memory:
        flow.memory = memory
    with flow.workers, flow.workers.whole():
        return _given(flow, labels, label_weight).gradients(x, n_bits, batch)


def _given(flow: Any, labels: Array | None, label_weight: float) -> Any:
    """Return the flow of images of these classes, if it has classes."""
    return flow if labels is None else flow.given(labels, label_weight)


def _with_budget(model: Any, bijector: Any) -> Any:
    """Return the model of one lane, with this `bijector` and its own budget and plans."""
    flow = model.shallow_copy()
    flow.bijector = bijector.with_memory(bijector.memory)
    return flow


def _half(memory: Memory | None) -> Memory | None:
    return None if memory is None else dataclasses.replace(memory, budget=memory.bytes / 2)
