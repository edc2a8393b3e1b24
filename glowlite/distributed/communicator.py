"""Who this process is among those that train one model, and what they do together.

Every rank calls the same methods in the same order. `OneProcess` is rank 0 of 1; `MpiProcesses`, in
a file of its own, are many under mpirun.
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

CHUNK_BYTES = 1 << 20  # summed at once: a larger message is slower and takes memory of its size
NAP = 5e-5  # seconds between two looks at whether something has come


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
        """The slice of `count` items that is this rank's: as equal as can be, in rank order."""
        return cut(count, self.size)[self.rank]

    @abstractmethod
    def cores(self) -> int:
        """Return how many threads this rank should use: its share of the cores of this machine."""

    @abstractmethod
    def allreduce(self, array: Any, pairwise: bool = False) -> None:
        """Replace a contiguous array by its sum over the ranks, the same to the last bit on all.

        `pairwise`: as ((0 + 1) + (2 + 3)) + ..., for a number of ranks that is a power of two.
        """

    @abstractmethod
    def broadcast(self, value: Any, root: int = 0) -> Any:
        """Return the value of rank `root`, one that JSON holds.

        The other ranks' is not looked at.
        """

    @abstractmethod
    def broadcast_array(self, array: Any) -> None:
        """Replace a contiguous array by that of rank 0."""

    @abstractmethod
    def allgather(self, value: Any) -> list[Any]:
        """Return the value of every rank, one that JSON holds, in rank order."""

    @abstractmethod
    def allgather_rows(self, array: np.ndarray) -> np.ndarray:
        """Return the rows (n, ...) of all ranks in rank order; n may differ from rank to rank."""

    @abstractmethod
    def allgather_numbers(self, numbers: np.ndarray, place: str) -> np.ndarray:
        """Return the numbers, float64 (k,), of every rank, (size, k).

        `place`: where all ranks are now, which messages name until the next call.
        """

    @abstractmethod
    def wait_until(self, done: Callable[[], bool], what: str) -> None:
        """Return when `done()`, which depends on other ranks. `what`: to name in a message."""

    @abstractmethod
    def guarded(self, what: str) -> AbstractContextManager[None]:
        """Limit the time of a call that waits for other ranks and cannot be asked meanwhile."""

    @abstractmethod
    def finish(self) -> None:
        """Leave the others, when all have come to their end: the last thing to do."""


class OneProcess(Communicator):
    """Rank 0 of 1. Its methods return what they are given."""

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
