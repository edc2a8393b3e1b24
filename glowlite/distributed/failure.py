"""How one of several processes says what went wrong, and how it ends the others."""

from __future__ import annotations

import time
from contextlib import suppress

import glowlite.distributed.mpi as mpi
from glowlite.distributed.launcher import launched_as
from glowlite.distributed.timeouts import PATIENCE


def message_prefix() -> str | None:
    """Return how a message of this rank should begin, or None if it should keep silent.

    Where all ranks make one mistake, rank 0 says it and ends the others while they still wait for
    their turn; where that cannot be, since they are not joined by MPI, only rank 0 speaks.
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

    It returns if this process is alone, or has not joined the others yet. A process that has not
    joined does so first, to be able to end them, unless `started_only`; if they do not come in
    `seconds`, it ends alone.
    """
    if launched_as() is not None and (mpi.is_started() or not started_only):
        with suppress(ImportError, RuntimeError):
            mpi.abort(code, seconds)
