"""A process, forked from this one, that takes half of every batch.

Parameters, their gradients and images lie in memory that both see; over a socket go lines of JSON.
It ends when this one ends, in whatever way: its end of the socket is then closed.
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
    """Runs `work(x, labels, n_bits, batch, memory, label_weight)`, which gives a loss and a drift,
    in a process of its own.

    shape: of the largest x. Raises OSError if the system starts no more processes.
    """

    def __init__(
        self, work: Callable[..., tuple[Array, Array]], shape: tuple[int, ...], dtype: np.dtype
    ) -> None:
        self._x = shared_zeros(shape, dtype)
        self._labels = shared_zeros(shape[:1], np.dtype(np.int64))
        ours, theirs = socket.socketpair()
        with warnings.catch_warnings():
            # of Python 3.12, where there are threads: the child uses none of them
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
        """Let it start with x (n, ...), and the labels (n,) of a model of classes."""
        self._x[: len(x)] = x
        if labels is not None:
            self._labels[: len(x)] = labels
        budget = None if memory is None else [memory.bytes, memory.every]
        words = [len(x), labels is not None, n_bits, batch, budget, label_weight]
        request = json.dumps(words) + "\n"
        with suppress(ConnectionError):  # `end` says that it is gone
            self._socket.sendall(request.encode())

    def end(self) -> tuple[Array, Array] | None:
        """Wait for it: the loss and the drift, 0-d, float64; None if it has failed.

        Raises MemoryError if that was for want of memory, GlowliteError if the process is gone.
        """
        line = ""
        with suppress(ConnectionError):
            line = self._lines.readline()
        if not line:
            self.close()
            raise GlowliteError(
                f"process {self.pid}, which computes half of each batch, was ended by another; was"
                " memory short? --threads 1 does without it"
            )
        answer = json.loads(line)
        if answer == NO_MEMORY:
            raise MemoryError(f"in process {self.pid}, which computes half of each batch")
        return None if answer is None else (np.float64(answer[0]), np.float64(answer[1]))

    def close(self) -> None:
        """End it, whatever it is doing: nothing of it is needed."""
        self._lines.close()
        self._socket.close()
        with suppress(OSError):  # it is gone already
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)


def _serve(
    descriptor: int, x: np.ndarray, labels: np.ndarray, work: Callable[..., tuple[Array, Array]]
) -> None:
    """What the new process does, until the socket is closed. It does not return."""
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # the first process decides when to end
        # files, and locks of files, are the first process's alone
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
    """Loss and drift; NO_MEMORY; None for any other error."""
    count, labelled, n_bits, batch, budget, label_weight = json.loads(line)
    given = labels[:count] if labelled else None
    memory = None if budget is None else Memory(*budget)
    try:
        loss, drift = work(x[:count], given, n_bits, batch, memory, label_weight)
    except MemoryError:
        return NO_MEMORY
    except Exception:  # the first process runs into it as well, and shows it
        return None
    return [float(loss), float(drift)]
