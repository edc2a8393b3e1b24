"""Comparable times: every candidate has its own process, and they run one after the other, round
after round.

So a machine that slows down or is shared affects all of them, ratios within a round stay correct,
and idle threads of one library do not disturb another. Each turn has two runs, of which the second
is timed.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import statistics
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from glowlite.bench.candidates import make
from glowlite.errors import GlowliteError

if TYPE_CHECKING:
    from glowlite.bench.job import Job


@dataclass(frozen=True)
class Times:
    """Seconds of one candidate, one time per round."""

    seconds: list[float]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def ratio_to(self, other: Times) -> float:
        """Return the median over rounds of this candidate's time divided by the other's."""
        return statistics.median(a / b for a, b in zip(self.seconds, other.seconds, strict=True))

    def __str__(self) -> str:
        return (
            f"{_scaled(self.median)} ({_scaled(min(self.seconds))} to {_scaled(max(self.seconds))})"
        )


def _scaled(seconds: float) -> str:
    return f"{seconds:.3f} s" if seconds >= 0.1 else f"{1000 * seconds:.2f} ms"


def measure(jobs: dict[str, Job], rounds: int, candidate: str = "") -> dict[str, Times]:
    """Measure the candidates that `jobs` names, each with its own Job, or one `candidate` with all
    jobs.

    If a candidate fails, all are ended with a GlowliteError.
    """
    context = multiprocessing.get_context("spawn")
    processes, ends = {}, {}
    try:
        # one after the other, so that the preparation of one does not disturb the next
        for name, job in jobs.items():
            ends[name], theirs = context.Pipe()
            processes[name] = context.Process(
                target=_serve, args=(theirs, candidate or name, job), daemon=True
            )
            processes[name].start()
            theirs.close()
            _answer(name, ends[name])
        seconds: dict[str, list[float]] = {name: [] for name in jobs}
        for _ in range(rounds):
            for name in jobs:
                ends[name].send("go")
                seconds[name].append(_answer(name, ends[name]))
        return {name: Times(values) for name, values in seconds.items()}
    finally:
        for process in processes.values():
            process.kill()
            process.join()


def _answer(name: str, end: Connection) -> float:
    try:
        answer = end.recv()
    except EOFError:
        raise GlowliteError(
            f"bench: {name} ended without a message; was there too little memory? Try a smaller"
            " --batch"
        ) from None
    if isinstance(answer, str):
        raise GlowliteError(f"bench: {name}: {answer}")
    return float(answer)


def _serve(end: Connection, name: str, job: Job) -> None:
    """Run in a candidate's own process: make it, then run it when asked, and send its time."""
    # the parent handles Ctrl-C and ends this process
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        task = make(name, job)
        task()
        end.send(0.0)
        while end.recv() == "go":
            task()
            start = time.perf_counter()
            task()
            end.send(time.perf_counter() - start)
    except EOFError:
        pass
    except MemoryError as error:
        end.send(f"out of memory: {error}; lower --batch or --width")
    except Exception as error:  # whatever the error is, the parent reports it
        end.send(f"{type(error).__name__}: {error}".splitlines()[0])
    os._exit(0)
