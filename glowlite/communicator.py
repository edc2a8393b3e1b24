"""One process, or many that train one model: who this one is, and how they add up, agree and wait for each other.

`Alone` is one process. `Ranks` is many under mpirun, and this is the only file that imports mpi4py. Every rank calls the
same methods in the same order. Nothing is pickled: arrays travel as they lie in memory, other values as JSON.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from glowlite.backend import Array
from glowlite.errors import GlowliteError
from glowlite.launcher import launched_as
from glowlite.terminal import warn
from glowlite.workers import available_cores, cut

CHUNK_BYTES = 1 << 20  # of an array that is summed at once: a larger message is slower, and takes memory of its size
PATIENCE = 600.0  # seconds that ranks wait for one that does not come
NAP = 5e-5  # seconds between two looks at whether it has
FORWARDING = 0.15  # seconds for the launcher to pass on what was printed: on a busy machine it may hear of the end first

Total = Callable[[Array], Array]  # the sum of a small float64 vector over all processes


def of_one(vector: Array) -> Array:
    """The Total of a single process."""
    return vector


class Alone:
    """One process: rank 0 of 1. Its methods return what they are given."""

    rank, size, local_rank, local_size = 0, 1, 0, 1

    @property
    def leads(self) -> bool:
        """Whether this is rank 0, which writes and prints."""
        return self.rank == 0

    def share(self, count: int) -> slice:
        """Which of `count` items are this rank's: as equal as can be, in the order of the ranks."""
        return cut(count, self.size)[self.rank]

    def cores(self) -> int:
        """How many threads this rank should use: its share of the cores that the ranks of this machine may use."""
        return available_cores()

    def add_up(self, array: Any, in_a_tree: bool = False) -> None:
        """Replace a contiguous array by its sum over the ranks, the same to the last bit on every one.

        `in_a_tree`: as ((0 + 1) + (2 + 3)) + ..., for a number of ranks that is a power of two.
        """

    def copy_from_first(self, array: Any) -> None:
        """Replace a contiguous array by that of rank 0."""

    def tell(self, value: Any) -> Any:
        """What rank 0 gives, a value that JSON holds."""
        return value

    def told_by(self, rank: int, value: Any) -> Any:
        """What this rank gives, a value that JSON holds."""
        return value

    def meet(self, values: np.ndarray, what: str) -> np.ndarray:
        """The values, float64 (k,), of every rank, (size, k), when all have come. `what`: where, to name in a message."""
        return values[None]

    def gather(self, array: np.ndarray) -> np.ndarray:
        """The rows (n, ...) of all ranks, in their order, on every one."""
        return array


class Ranks(Alone):
    """The processes that mpirun started, by MPI. `patience`: seconds to wait for a rank before all are ended."""

    def __init__(self, mpi: Any, patience: float = PATIENCE) -> None:
        self.mpi, self.world = mpi, mpi.COMM_WORLD
        self.rank, self.size, self.patience = self.world.rank, self.world.size, patience
        node = self.world.Split_type(mpi.COMM_TYPE_SHARED)
        self.local_rank, self.local_size = node.rank, node.size
        self._cores = _cores_of_node(mpi, node)
        node.Free()

    def cores(self) -> int:
        return max(1, self._cores // self.local_size)

    def add_up(self, array: Any, in_a_tree: bool = False) -> None:
        for part in _chunks(array):
            if in_a_tree:
                self._add_up_in_a_tree(part)
            else:
                self.world.Allreduce(self.mpi.IN_PLACE, part)

    def _add_up_in_a_tree(self, part: Any) -> None:
        """log2(size) exchanges with the rank whose number differs in one bit. Sums commute, so both get the same."""
        theirs = np.empty_like(part)
        distance = 1
        while distance < self.size:
            self.world.Sendrecv(part, self.rank ^ distance, recvbuf=theirs, source=self.rank ^ distance)
            part += theirs
            distance *= 2

    def copy_from_first(self, array: Any) -> None:
        for part in _chunks(array):
            self.world.Bcast(part)

    def tell(self, value: Any) -> Any:
        return self.told_by(0, value)

    def told_by(self, rank: int, value: Any) -> Any:
        self.meet(np.zeros(1), f"waiting for what rank {rank} says")
        text = np.frombuffer(json.dumps(value).encode() if self.rank == rank else b"", np.uint8).copy()
        length = np.array([text.size])
        self.world.Bcast(length, rank)
        text = text if self.rank == rank else np.empty(length[0], np.uint8)
        self.world.Bcast(text, rank)
        return json.loads(text.tobytes())

    def meet(self, values: np.ndarray, what: str) -> np.ndarray:
        """By a message from each rank to each other: so that, if one does not come, the others know which."""
        table = np.empty((self.size, len(values)))
        table[self.rank] = values
        others = [rank for rank in range(self.size) if rank != self.rank]
        sent = [self.world.Isend(table[self.rank], rank) for rank in others]
        coming = {rank: self.world.Irecv(table[rank], rank) for rank in others}
        end = time.monotonic() + self.patience
        while coming:
            coming = {rank: request for rank, request in coming.items() if not request.Test()}
            if coming and time.monotonic() > end:
                self._give_up(what, sorted(coming))
            if coming:
                time.sleep(NAP)
        self.mpi.Request.Waitall(sent)
        return table

    def _give_up(self, what: str, missing: list[int]) -> None:
        who = f"rank {missing[0]}" if len(missing) == 1 else f"ranks {', '.join(map(str, missing))}"
        time.sleep(0.2 * self.rank)  # the first to say it ends the others before they do
        warn(
            f"rank {self.rank}: {what}: waited {self.patience:g} s for {who}, which did not come; ending all ranks"
            " (--mpi-timeout sets how long to wait)"
        )
        end_all_ranks(1)

    def gather(self, array: np.ndarray) -> np.ndarray:
        array = np.ascontiguousarray(array)
        rows = self.meet(np.array([float(len(array))]), "gathering")[:, 0].astype(int)
        whole = np.empty((rows.sum(), *array.shape[1:]), array.dtype)
        numbers = rows * int(np.prod(array.shape[1:])) * array.itemsize
        self.world.Allgatherv(array.reshape(-1).view(np.uint8), [whole.reshape(-1).view(np.uint8), numbers])
        return whole


def _chunks(array: Any) -> Iterator[Any]:
    """A contiguous array in pieces of CHUNK_BYTES."""
    assert array.flags.c_contiguous, "only contiguous arrays travel"
    flat = array.reshape(-1)
    step = CHUNK_BYTES // flat.itemsize
    for start in range(0, flat.size, step):
        yield flat[start : start + step]


def _cores_of_node(mpi: Any, node: Any) -> int:
    """How many cores the ranks of one machine may use together: a launcher may have given each a few of its own."""
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(available_cores()))
    mask = np.zeros(max(4096, max(allowed) + 1), np.uint8)
    mask[list(allowed)] = 1
    node.Allreduce(mpi.IN_PLACE, mask, mpi.MAX)
    return int(mask.sum())


def communicator(patience: float = PATIENCE) -> Alone:
    """Ranks, if a launcher started this process as one of several, else Alone; mpi4py is imported only then.

    Raises GlowliteError where mpi4py or an MPI is missing, and where the launcher and the library are of two MPIs: each
    process would then take itself for the only one, and all would write the same run.
    """
    launched = launched_as()
    if launched is None:
        return Alone()
    launcher, size, _ = launched
    try:
        mpi = _mpi()
    except (ImportError, RuntimeError) as error:
        reason = "mpi4py is not installed" if isinstance(error, ImportError) else "mpi4py finds no MPI library"
        raise GlowliteError(
            f"started as one of {size} processes by {launcher}, but {reason}; run pip install '.[mpi]', or"
            " '.[mpi-system]' for the MPI of this cluster"
        ) from None
    if mpi.COMM_WORLD.size != size:
        library = mpi.Get_library_version().split("\n")[0].strip("\0 ")
        raise GlowliteError(
            f"started as one of {size} processes by {launcher}, but mpi4py uses {library} and sees {mpi.COMM_WORLD.size};"
            " use the mpirun that belongs to it (with pip install '.[mpi]' it lies beside python), or pip install"
            " '.[mpi-system]'"
        )
    return Ranks(mpi, patience)


def turn_to_speak() -> str | None:
    """How a message of this rank should begin, or None if it should keep silent.

    Where all ranks make one mistake, rank 0 says it and ends the others while they still wait for their turn; where that
    cannot be, since they are not joined by MPI, only rank 0 speaks.
    """
    launched = launched_as()
    if launched is None:
        return ""
    _, size, rank = launched
    try:
        joined = _mpi().COMM_WORLD.size == size
    except (ImportError, RuntimeError):
        joined = False
    if not joined:
        return "" if rank == 0 else None
    time.sleep(min(4.5, 0.75 * rank))
    return f"rank {rank}: " if rank else ""


def end_all_ranks(code: int, started_only: bool = False) -> None:
    """End every rank with an exit code, now; returns if this process is alone, or has not joined the others yet.

    A process that has not joined does so first, to be able to end them; unless `started_only`.
    """
    if launched_as() is not None and not (started_only and "mpi4py.MPI" not in sys.modules):
        with contextlib.suppress(ImportError, RuntimeError):
            sys.stdout.flush()
            sys.stderr.flush()
            time.sleep(FORWARDING)
            _mpi().COMM_WORLD.Abort(code)
            os._exit(code)  # it may return before the launcher has ended this rank


def _mpi() -> Any:
    return importlib.import_module("mpi4py.MPI")
