"""How one of several processes reports an error, and how it ends the others."""

from __future__ import annotations

import time
from contextlib import suppress

import glowlite.distributed.mpi as mpi
from glowlite.distributed.launcher import launched_as
from glowlite.distributed.timeouts import PATIENCE


def message_prefix() -> str | None:
    """Return the prefix of this rank's messages, or None if it should not print.

    If all ranks fail in the same way, rank 0 reports it and ends the others while they still wait
    for their turn. If they are not joined by MPI, only rank 0 prints.
    """
    launched = launched_as()
    if launched is None:
        return ""
    _, size, rank = launched
    try:
        joined = mpi.start().COMM_WORLD.size == size
    except (ImportError, RuntimeError):
        joined = False
    if not joined:
        return "" if rank == 0 else None
    time.sleep(min(4.5, 0.75 * rank))
    return f"rank {rank}: " if rank else ""


def end_all_ranks(code: int, started_only: bool = False, seconds: float = PATIENCE) -> None:
    """End every rank with an exit code, now.

    It returns if this process is alone or, with `started_only`, has not joined the others yet.
    Otherwise a process that has not joined does so first, to be able to end them; if they do not
    respond within `seconds`, it ends alone.
    """
    if launched_as() is not None and (mpi.is_started() or not started_only):
        with suppress(ImportError, RuntimeError):
            mpi.abort(code, seconds)
