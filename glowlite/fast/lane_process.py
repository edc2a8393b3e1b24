"""A process, forked from this one, that computes half of every batch.

Parameters, their gradients and images are in shared memory; lines of JSON are sent over a socket.
The process ends when this one ends, for whatever reason, since the socket is then closed.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import warnings
from collections.abc import Callable
from contextlib import suppress

import numpy as np

from glowlite.arrays.backend import Array
from glowlite.arrays.shared import shared_zeros
from glowlite.bijectors.memory import Memory
from glowlite.errors import GlowliteError

NO_MEMORY = "no memory"


class LaneProcess:
    """Runs `work(x, labels, n_bits, batch, memory, label_weight)`, which returns a loss and a
    drift, in a separate process.

    shape: that of the largest x. Raises OSError if the system cannot start more processes.
    """

    def __init__(
        self, work: Callable[..., tuple[Array, Array]], shape: tuple[int, ...], dtype: np.dtype
    ) -> None:
        self._x = shared_zeros(shape, dtype)
        self._labels = shared_zeros(shape[:1], np.dtype(np.int64))
        ours, theirs = socket.socketpair()
        with warnings.catch_warnings():
            # Python 3.12 warns if there are threads, but the child uses none of them
            warnings.simplefilter("ignore", DeprecationWarning)
            self.pid = os.fork()
        if self.pid == 0:
            _serve(theirs.detach(), self._x, self._labels, work)
        theirs.close()
        self._socket = ours
        self._lines = ours.makefile("r", encoding="utf-8")

    def begin(
        self,
        x: Array,
        labels: Array | None,
        n_bits: int | None,
        batch: int,
        memory: Memory | None,
        label_weight: float,
    ) -> None:
        """Start it on x (n, ...), with labels (n,) for a model with classes."""
        self._x[: len(x)] = x
        if labels is not None:
            self._labels[: len(x)] = labels
        budget = None if memory is None else [memory.bytes, memory.every]
        words = [len(x), labels is not None, n_bits, batch, budget, label_weight]
        request = json.dumps(words) + "\n"
        with suppress(ConnectionError):  # `end` reports that it is gone
            self._socket.sendall(request.encode())

    def end(self) -> tuple[Array, Array] | None:
        """Wait for it; return the loss and the drift, 0-d, float64, or None if it has failed.

        Raises MemoryError if it ran out of memory, GlowliteError if the process is gone.
        """
        line = ""
        with suppress(ConnectionError):
            line = self._lines.readline()
        if not line:
            self.close()
            raise GlowliteError(
                f"process {self.pid}, which computes half of each batch, was killed; was there"
                " too little memory? --threads 1 does not need it"
            )
        answer = json.loads(line)
        if answer == NO_MEMORY:
            raise MemoryError(f"in process {self.pid}, which computes half of each batch")
        return None if answer is None else (np.float64(answer[0]), np.float64(answer[1]))

    def close(self) -> None:
        """End it, whatever it is doing; its result is not needed."""
        self._lines.close()
        self._socket.close()
        with suppress(OSError):  # it has already ended
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)


def _serve(
    descriptor: int, x: np.ndarray, labels: np.ndarray, work: Callable[..., tuple[Array, Array]]
) -> None:
    """Run in the new process until the socket is closed. It does not return."""
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # the first process decides when to stop
        # open files and file locks belong to the first process
        os.closerange(3, descriptor)
        os.closerange(descriptor + 1, os.sysconf("SC_OPEN_MAX"))
        with open(descriptor, "rb", closefd=False) as requests:
            for line in requests:
                os.write(descriptor, (json.dumps(_answer(line, x, labels, work)) + "\n").encode())
    finally:
        os._exit(0)


def _answer(
    line: bytes, x: np.ndarray, labels: np.ndarray, work: Callable[..., tuple[Array, Array]]
) -> list[float] | str | None:
    """Return loss and drift; NO_MEMORY; or None for any other error."""
    count, labelled, n_bits, batch, budget, label_weight = json.loads(line)
    given = labels[:count] if labelled else None
    memory = None if budget is None else Memory(*budget)
    try:
        loss, drift = work(x[:count], given, n_bits, batch, memory, label_weight)
    except MemoryError:
        return NO_MEMORY
    except Exception:  # the first process runs into the same error, and reports it
        return None
    return [float(loss), float(drift)]
