"""Peak memory of a training step, as the operating system reports it, in a separate process.

`python -m glowlite.bench.peak` is that process. Parameters, gradients and optimiser are allocated
before the peak is reset, so the difference is due to the step.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from glowlite.bench.candidates import make
from glowlite.bench.job import Job
from glowlite.commands.program import Parser, run
from glowlite.errors import GlowliteError
from glowlite.models.config import GlowConfig
from glowlite.terminal import say

STEPS = 2
# freed arrays are returned to the operating system immediately, so that it sees what is in use and
# not what malloc keeps
ENVIRONMENT = {"MALLOC_MMAP_THRESHOLD_": str(1 << 16)}


def peak_bytes(job: Job, name: str) -> dict[str, int]:
    """Return `step`: bytes of the step of this name beyond parameters, gradients and optimiser,

    and `resident`: those of the whole process at its peak. With several threads, the peak depends
    slightly on which of their peaks coincide; with one thread it is always the same.
    """
    request = {
        "config": job.config.to_dict(), "batch": job.batch, "threads": job.threads,
        "tile": job.tile, "blas": job.blas, "plain": job.plain, "name": name,
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "glowlite.bench.peak", json.dumps(request)],
        env={**os.environ, **ENVIRONMENT}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message; was there too little memory?"])[
            -1
        ]
        raise GlowliteError(f"bench: peak of {name}, K={job.config.K}: {last}")
    answer: dict[str, int] = json.loads(done.stdout)
    return answer


def measure(job: Job, name: str) -> dict[str, int]:
    """Measure what `peak_bytes` returns, in this process."""
    step = make(name, job)  # makes the model, but runs nothing
    touch = step.__closure__  # the model and its optimiser, whose memory must be allocated before
    for cell in touch or ():
        for name in ("grad", "m", "v"):
            array = getattr(getattr(cell.cell_contents, "store", cell.cell_contents), name, None)
            if array is not None:
                array[...] = 0
    gc.collect()
    processes = [os.getpid(), *_forked()]
    before = [_reset_peak(process) for process in processes]
    for _ in range(STEPS):
        step()
    added = sum(map(_peak, processes)) - sum(before)
    return {"step": added, "resident": before[0] + added}


def _forked() -> list[int]:
    """Return the processes that this one has forked, such as that of a lane, if the system is
    Linux.
    """
    try:
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii")
        return [int(word) for word in children.split()]
    except OSError:
        return []


def _reset_peak(process: int) -> int:
    """Return the bytes in use now, and reset the peak to that if possible."""
    with suppress(OSError):
        Path(f"/proc/{process}/clear_refs").write_text("5", encoding="ascii")
    return _peak(process)


def _peak(process: int) -> int:
    """Return the peak memory, in bytes, of a process, this one or a forked one."""
    try:
        for line in Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    kilobytes = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * kilobytes


def main() -> None:
    parser = Parser(
        "bench.peak",
        "Measure the memory of a training step; the benchmark starts this as a separate process.",
    )
    parser.add_argument("job", type=json.loads, help="what to measure, as JSON")
    asked = parser.parse_args().job
    config = GlowConfig.from_dict(asked["config"])
    job = Job(
        config, asked["batch"], asked["threads"], asked["tile"], asked["blas"], plain=asked["plain"]
    )
    say(json.dumps(measure(job, asked["name"])))


if __name__ == "__main__":
    run(main, "bench.peak")
