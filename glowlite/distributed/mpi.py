"""MPI itself: starting, ending and aborting it, each in bounded time.

This is the only file that imports mpi4py. Starting and ending MPI means waiting for all ranks.
mpi4py does both while it holds Python's global lock, so no guard could watch the time, and no
signal is handled. Here ctypes calls the two library functions in a separate thread.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import faulthandler
import importlib
import importlib.util
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from glowlite.distributed.launcher import Watch, launched_as, ranks_without, stopped_ranks
from glowlite.distributed.timeouts import LOOK, PATIENCE, Patience
from glowlite.terminal import warn

MODULE = "mpi4py.MPI"
MULTIPLE = 3  # MPI_THREAD_MULTIPLE, the same in MPICH and Open MPI: a guard may also send messages
TURN = 2.0  # seconds after which the next rank may report if the one before has not ended all ranks
# seconds for the launcher to forward what was printed; if busy, it may notice the end first
FORWARDING = 0.15
ABORTING = 10.0  # seconds for MPI_Abort, which may itself wait for the rank that hangs


# the thread that starts MPI, if it was begun; a signal may arrive in between
_joining: list[threading.Thread] = []


def is_started() -> bool:
    """Whether this process has joined the others."""
    return sys.modules.get(MODULE) is not None


def start(seconds: float = PATIENCE, otherwise: int | None = None) -> Any:
    """Return mpi4py.MPI after every rank has reached this place.

    If a rank does not respond within `seconds`, that is reported and all processes end.
    `otherwise`: the exit code of this process in that case, if there is nothing left to report.
    Raises ImportError if mpi4py is missing, RuntimeError if it finds no MPI.
    """
    library = None if is_started() else _library()
    if library is not None:
        if not _joining:
            _joining.append(
                _begin(
                    lambda: library.MPI_Init_thread(
                        None, None, MULTIPLE, ctypes.byref(ctypes.c_int())
                    )
                )
            )
            atexit.register(finish, seconds)
        _wait(_joining[0], seconds, "the start", otherwise)
    return importlib.import_module(MODULE)


def finish(seconds: float = PATIENCE) -> None:
    """End MPI; this waits for every rank to do the same.

    It does nothing if MPI was not started here or has already ended.
    """
    if not is_started() or sys.modules[MODULE].Is_finalized():
        return
    library = _library()
    if library is not None:
        try:
            ending = _begin(library.MPI_Finalize)
        except RuntimeError:  # Python cannot start threads at exit, so wait without a limit
            library.MPI_Finalize()
        else:
            _wait(ending, seconds, "the end")


def abort(code: int, seconds: float = PATIENCE) -> None:
    """End every rank with an exit code, now.

    A process that has not joined the others does so first, to be able to end them. If they do not
    respond within `seconds`, this process ends alone.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, or nobody listens
            stream.flush()
    time.sleep(FORWARDING)
    world = start(seconds, code).COMM_WORLD
    with open(os.devnull, "wb") as nowhere:
        faulthandler.dump_traceback_later(ABORTING, exit=True, file=nowhere)
        os.dup2(nowhere.fileno(), 2)  # silence MPI's own messages about this
        world.Abort(code)
        os._exit(code)  # MPI_Abort may return before the launcher has ended this rank


def _begin(call: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=call, name="glowlite-mpi", daemon=True)
    thread.start()
    return thread


def _wait(
    thread: threading.Thread, seconds: float, where: str, otherwise: int | None = None
) -> None:
    """Wait in this thread, which can receive signals, until another thread is done.

    End the process after `seconds`. The launcher then ends the others, since MPI itself accepts no
    messages while it starts or ends.
    """
    patience, watch = Patience(seconds), Watch()
    while thread.is_alive():
        thread.join(LOOK)
        gone = watch.gone() if where == "the start" else []
        if not gone and not patience.is_over():
            continue
        _, size, rank = launched_as() or ("", 1, 0)
        missing = gone or [
            other for other in stopped_ranks() or ranks_without("mpi4py") if other != rank
        ]
        if otherwise is None:
            time.sleep(speaking_time(rank, size, missing))
            who = waited_for(missing) if missing else "another rank"
            why = (
                f"{who} has ended"
                if gone
                else f"waited {seconds:g} s for {who}, but got no response"
            )
            warn(f"rank {rank}: {where}: {why}; ending all ranks")
            time.sleep(FORWARDING)
        os._exit(1 if otherwise is None else otherwise)


def _library() -> Any:
    """Return MPI's functions from the library that mpi4py was built for.

    Return None if they cannot be reached without mpi4py.
    """
    found = importlib.util.find_spec(MODULE) if sys.modules.get(MODULE, True) is not None else None
    if found is None or found.origin is None:
        return None
    try:
        library = ctypes.CDLL(found.origin)
        return library if library.MPI_Init_thread and library.MPI_Finalize else None
    except (OSError, AttributeError):
        return None


def speaking_time(rank: int, size: int, missing: list[int]) -> float:
    """Return the number of seconds after which a rank reports who is missing.

    The first of the waiting ranks reports immediately, which ends the others before they report the
    same.
    """
    return TURN * sum(other not in missing for other in range(min(rank, size)))


def waited_for(ranks: list[int]) -> str:
    """Return ranks as `rank 2` or `ranks 1, 2`, and say whether one is stopped."""
    stopped = set(stopped_ranks())
    names = [f"{rank} (stopped)" if rank in stopped else str(rank) for rank in ranks]
    return f"rank {names[0]}" if len(names) == 1 else f"ranks {', '.join(names)}"
