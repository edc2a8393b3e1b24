"""This process among those that train one model, and what they do together.

Every rank calls the same methods in the same order. `OneProcess` is rank 0 of 1. `MpiProcesses`, in
another file, is for several processes under mpirun.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from glowlite.arrays.machine import available_cores
from glowlite.arrays.slices import cut

CHUNK_BYTES = 1 << 20  # size of a chunk: larger messages are slower and need memory of their size
NAP = 5e-5  # seconds between two checks for a message


class Communicator(ABC):
    """The processes that train one model, seen from one of them.

    `rank` of `size` processes in all; `local_rank` of `local_size` on this machine.
    """

    rank: int
    size: int
    local_rank: int
    local_size: int

    @property
    def is_root(self) -> bool:
        """Whether this is rank 0, which writes and prints."""
        return self.rank == 0

    def share(self, count: int) -> slice:
        """Return this rank's slice of `count` items: the shares are as equal as possible, in rank
        order.
        """
        return cut(count, self.size)[self.rank]

    @abstractmethod
    def cores(self) -> int:
        """Return how many threads this rank should use: its share of the cores of this machine."""

    @abstractmethod
    def allreduce(self, array: Any, pairwise: bool = False) -> None:
        """Replace a contiguous array by its sum over the ranks, bitwise equal on all of them.

        `pairwise`: add as ((0 + 1) + (2 + 3)) + ...; the number of ranks must be a power of two.
        """

    @abstractmethod
    def broadcast(self, value: Any, root: int = 0) -> Any:
        """Return the value of rank `root`, which must be a JSON value.

        The values of the other ranks are ignored.
        """

    @abstractmethod
    def broadcast_array(self, array: Any) -> None:
        """Replace a contiguous array by that of rank 0."""

    @abstractmethod
    def allgather(self, value: Any) -> list[Any]:
        """Return the values of all ranks, which must be JSON values, in rank order."""

    @abstractmethod
    def allgather_rows(self, array: np.ndarray) -> np.ndarray:
        """Return the rows (n, ...) of all ranks in rank order; n may differ between ranks."""

    @abstractmethod
    def allgather_numbers(self, numbers: np.ndarray, place: str) -> np.ndarray:
        """Return the numbers, float64 (k,), of every rank, (size, k).

        `place`: where all ranks are now; messages use it until the next call.
        """

    @abstractmethod
    def wait_until(self, done: Callable[[], bool], what: str) -> None:
        """Return when `done()` is true, which depends on other ranks. `what`: used in messages."""

    @abstractmethod
    def guarded(self, what: str) -> AbstractContextManager[None]:
        """Limit the time of a call that waits for other ranks and cannot be polled."""

    @abstractmethod
    def finish(self) -> None:
        """Leave the other processes when all have finished; call this last."""


class OneProcess(Communicator):
    """Rank 0 of 1. Its methods return their arguments."""

    rank, size, local_rank, local_size = 0, 1, 0, 1

    def cores(self) -> int:
        return available_cores()

    def allreduce(self, array: Any, pairwise: bool = False) -> None:
        pass

    def broadcast(self, value: Any, root: int = 0) -> Any:
        return value

    def broadcast_array(self, array: Any) -> None:
        pass

    def allgather(self, value: Any) -> list[Any]:
        return [value]

    def allgather_rows(self, array: np.ndarray) -> np.ndarray:
        return array

    def allgather_numbers(self, numbers: np.ndarray, place: str) -> np.ndarray:
        return numbers[None]

    def wait_until(self, done: Callable[[], bool], what: str) -> None:
        while not done():
            time.sleep(NAP)

    def guarded(self, what: str) -> AbstractContextManager[None]:
        return nullcontext()

    def finish(self) -> None:
        pass
