"""Several processes that train one model, joined by MPI: how they add up, agree and wait for each
other.

Nothing is pickled: arrays are sent as raw memory, other values as JSON. Every wait is limited: see
`wait_until`.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

import glowlite.distributed.mpi as mpi
from glowlite.arrays.machine import available_cores
from glowlite.distributed.communicator import CHUNK_BYTES, NAP, Communicator, OneProcess
from glowlite.distributed.failure import end_all_ranks
from glowlite.distributed.launcher import launched_as, stopped_ranks
from glowlite.distributed.timeouts import PATIENCE, Patience, guard
from glowlite.errors import GlowliteError
from glowlite.terminal import warn

LONG_NAP = 1e-3  # after MANY_LOOKS
# checks before the first nap: if every rank has its own core, and if not
LOOKS, FEW_LOOKS = 1000, 50
MANY_LOOKS = 5000
ANSWERING = 2.0  # seconds for another waiting rank to answer; it checks after every nap
# seconds for a failed rank to report its error before another rank reports the consequences
CAUSE_FIRST = 20.0
NUMBERS_TAG, ROLL_CALL_TAG = 1, 2  # tags of messages


class MpiProcesses(Communicator):
    """The processes that mpirun started, connected by MPI.

    `patience`: seconds to wait for a rank before all processes are ended. Every wait polls a
    request or runs under a guard. Numbers and roll calls have different tags, so that neither is
    mistaken for the other.
    """

    def __init__(self, library: Any, patience: float = PATIENCE) -> None:
        self.mpi, self.world = library, library.COMM_WORLD
        self.rank, self.size, self.patience = self.world.rank, self.world.size, patience
        self.others = [rank for rank in range(self.size) if rank != self.rank]
        self.place = "the start"  # named by the last allgather_numbers
        self._looks = FEW_LOOKS
        machines = self.allgather([_machine(), _allowed_cores()])
        local = [
            rank for rank, (machine, _) in enumerate(machines) if machine == machines[self.rank][0]
        ]
        self.local_rank, self.local_size = local.index(self.rank), len(local)
        # a launcher may have bound each rank of a machine to a few cores
        self._cores = len(set().union(*(machines[rank][1] for rank in local)))
        if self.local_size <= self._cores:
            self._looks = LOOKS

    def cores(self) -> int:
        return max(1, self._cores // self.local_size)

    def allreduce(self, array: Any, pairwise: bool = False) -> None:
        what = f"{self.place}, adding up"
        for part in _chunks(array):
            if pairwise:
                self._allreduce_pairwise(part, what)
            elif isinstance(part, np.ndarray):
                with self._one_line(what):
                    self._wait([self.world.Iallreduce(self.mpi.IN_PLACE, part)], what)
            else:  # a CUDA-aware MPI need not support it in non-blocking calls
                with self._one_line(what), self.guarded(what):
                    self.world.Allreduce(self.mpi.IN_PLACE, part)

    def _allreduce_pairwise(self, part: Any, what: str) -> None:
        """log2(size) exchanges with the rank whose number differs in one bit.

        Sums commute, so both get the same result.
        """
        theirs = np.empty_like(part)
        distance = 1
        while distance < self.size:
            partner = self.rank ^ distance
            with self._one_line(what):
                self._wait(
                    [self.world.Irecv(theirs, partner), self.world.Isend(part, partner)], what
                )
            part += theirs
            distance *= 2

    def broadcast_array(self, array: Any) -> None:
        what = f"{self.place}, a copy from rank 0"
        for part in _chunks(array):
            with self._one_line(what):
                self._wait([self.world.Ibcast(part)], what)

    def broadcast(self, value: Any, root: int = 0) -> Any:
        what = f"{self.place}, the value of rank {root}"
        text = _as_json(value) if self.rank == root else np.empty(0, np.uint8)
        length = int(self._allgather_numbers(np.array([float(text.size)]), what)[root, 0])
        text = text if self.rank == root else np.empty(length, np.uint8)
        with self._one_line(what):
            self._wait([self.world.Ibcast(text, root)], what)
        return json.loads(text.tobytes())

    def allgather(self, value: Any) -> list[Any]:
        text = _as_json(value)
        ends = np.cumsum(
            self._allgather_numbers(np.array([float(text.size)]), self.place)[:, 0].astype(int)
        )
        return [
            json.loads(part.tobytes()) for part in np.split(self.allgather_rows(text), ends[:-1])
        ]

    def allgather_numbers(self, numbers: np.ndarray, place: str) -> np.ndarray:
        self.place = place
        return self._allgather_numbers(numbers, place)

    def _allgather_numbers(self, numbers: np.ndarray, what: str) -> np.ndarray:
        table = np.empty((self.size, len(numbers)))
        table[self.rank] = numbers
        with self._one_line(what):
            self._wait(self._send_to_all(table, NUMBERS_TAG), what)
        return table

    def _send_to_all(self, table: np.ndarray, tag: int) -> list[Any]:
        """Send a message from each rank to every other: the rows of a table; each rank starts with
        its own row.
        """
        sent = [self.world.Isend(table[self.rank], rank, tag) for rank in self.others]
        return [*sent, *(self.world.Irecv(table[rank], rank, tag) for rank in self.others)]

    def allgather_rows(self, array: np.ndarray) -> np.ndarray:
        array = np.ascontiguousarray(array)
        rows = self._allgather_numbers(np.array([float(len(array))]), self.place)[:, 0].astype(int)
        whole = np.empty((rows.sum(), *array.shape[1:]), array.dtype)
        sizes = rows * int(np.prod(array.shape[1:])) * array.itemsize
        mine, all_of_it = (rows.reshape(-1).view(np.uint8) for rows in (array, whole))
        with self._one_line(self.place):
            self._wait([self.world.Iallgatherv(mine, [all_of_it, sizes])], self.place)
        return whole

    def finish(self) -> None:
        self.allgather_numbers(np.empty(0), "the end")
        mpi.finish(self.patience)

    # --- waiting ---

    def wait_until(self, done: Callable[[], bool], what: str) -> None:
        """Return when `done()` is true. If this rank or another has waited too long, end all ranks
        and name those missing.
        """
        look, looks = self._impatient(what), 0
        while not done():
            looks += 1
            if looks > self._looks:
                time.sleep(NAP if looks < MANY_LOOKS else LONG_NAP)
                look()

    def _wait(self, requests: list[Any], what: str) -> None:
        """Wait until all of these MPI requests are done."""
        done = (
            requests[0].Test if len(requests) == 1 else lambda: self.mpi.Request.Testall(requests)
        )
        self.wait_until(done, what)

    def guarded(self, what: str) -> AbstractContextManager[None]:
        if self.mpi.Query_thread() == self.mpi.THREAD_MULTIPLE:
            return guard(self._impatient(what))
        # the guard must not call MPI, so it knows only what it sees on this machine
        patience = Patience(self.patience)
        return guard(lambda: self._end(what, stopped_ranks()) if patience.is_over() else None)

    def _impatient(self, what: str) -> Callable[[], None]:
        """Return a function to be called often while this rank waits. It ends all ranks if one is
        missing.

        It checks the time, and whether another rank calls the roll.

        A rank that answers the roll call is late, not missing, and the wait is extended once.
        """
        patience, all_came = Patience(self.patience), False

        def look() -> None:
            nonlocal patience, all_came
            if patience.is_over() or self._roll_is_called():
                missing = self._call_the_roll()
                if missing or all_came:
                    self._end(what, missing)
                patience, all_came = Patience(self.patience), True

        return look

    @contextmanager
    def _one_line(self, what: str) -> Iterator[None]:
        """Turn MPI errors, which are a page long, into one line."""
        try:
            yield
        except self.mpi.Exception as error:
            kind = error.Get_error_class()
            # the error of one message, and of one among several
            if kind in (self.mpi.ERR_TRUNCATE, self.mpi.ERR_IN_STATUS):
                # if a rank failed half-way, it reports that and ends this one
                time.sleep(CAUSE_FIRST)
                raise GlowliteError(
                    f"{what}: received a message of another kind; do all processes run the same"
                    " command, in the same version?"
                ) from None
            why = self.mpi.Get_error_string(kind)
            raise GlowliteError(
                f"{what}: MPI failed: {why}; has a process ended, or run out of memory?"
            ) from None

    def _roll_is_called(self) -> bool:
        return bool(self.world.Iprobe(self.mpi.ANY_SOURCE, ROLL_CALL_TAG))

    def _call_the_roll(self) -> list[int]:
        """Every rank that waits, for whatever reason, tells every other rank.

        Return the ranks that do not, which are missing.
        """
        table, patience = np.zeros((self.size, 1)), Patience(ANSWERING)
        table[self.rank] = 1
        requests = self._send_to_all(table, ROLL_CALL_TAG)
        while not self.mpi.Request.Testall(requests) and not patience.is_over():
            time.sleep(NAP)
        return np.flatnonzero(table[:, 0] == 0).tolist()

    def _end(self, what: str, missing: list[int]) -> None:
        """The first of the waiting ranks reports whom it waits for.

        The others, which would report the same, let it end them.
        """
        time.sleep(mpi.speaking_time(self.rank, self.size, missing))
        who = f"{mpi.waited_for(missing)}, but got no response" if missing else "the other ranks"
        warn(
            f"rank {self.rank}: {what}: waited {self.patience:g} s for {who}; ending all ranks"
            " (--mpi-timeout sets how long to wait)"
        )
        end_all_ranks(1)


def _chunks(array: Any) -> Iterator[Any]:
    """Yield a contiguous array in pieces of CHUNK_BYTES."""
    assert array.flags.c_contiguous, "only contiguous arrays can be sent"
    flat = array.reshape(-1)
    step = CHUNK_BYTES // flat.itemsize
    for start in range(0, flat.size, step):
        yield flat[start : start + step]


def _as_json(value: Any) -> np.ndarray:
    """Return the JSON text of a value in UTF-8, uint8 (bytes,)."""
    return np.frombuffer(json.dumps(value).encode(), np.uint8).copy()


def _machine() -> list[str]:
    """Return what identifies this machine: its name and, since containers may share a name, its
    boot time.
    """
    started = Path("/proc/sys/kernel/random/boot_id")
    with suppress(OSError):
        return [socket.gethostname(), started.read_text(encoding="utf-8").strip()]
    return [socket.gethostname()]


def _allowed_cores() -> list[int]:
    """The numbers of the cores that this process may use."""
    return (
        sorted(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else list(range(available_cores()))
    )


def make_communicator(patience: float = PATIENCE) -> Communicator:
    """MpiProcesses, if a launcher started this process as one of several, else OneProcess.

    mpi4py is imported only in the first case. Raises GlowliteError if mpi4py or an MPI is missing,
    or if the launcher and the library belong to different MPIs. Then each process would believe
    that it is the only one, and all would write the same run.
    """
    launched = launched_as()
    if launched is None:
        return OneProcess()
    launcher, size, _ = launched
    try:
        library = mpi.start(patience)
    except (ImportError, RuntimeError) as error:
        reason = (
            "mpi4py is not installed"
            if isinstance(error, ImportError)
            else "mpi4py finds no MPI library"
        )
        raise GlowliteError(
            f"started as one of {size} processes by {launcher}, but {reason}; run pip install"
            " '.[mpi]', or '.[mpi-system]' for the MPI of this cluster"
        ) from None
    if library.COMM_WORLD.size != size:
        version, seen = (
            library.Get_library_version().split("\n")[0].strip("\0 "),
            library.COMM_WORLD.size,
        )
        raise GlowliteError(
            f"started as one of {size} processes by {launcher}, but mpi4py uses {version} and"
            f" sees {seen}; use its own mpirun (beside python, with pip install '.[mpi]'), or pip"
            " install '.[mpi-system]'"
        )
    return MpiProcesses(library, patience)
