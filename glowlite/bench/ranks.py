"""The time of a training step shared by several processes; `--scaling` starts this under mpirun.

Each process has one thread, and its share of the batch.
"""

from __future__ import annotations

import json
import time

from glowlite.bench.job import Job
from glowlite.commands.program import Parser, run
from glowlite.distributed.allreduce import Allreduce
from glowlite.distributed.mpi_processes import make_communicator
from glowlite.fast.lanes import Lanes
from glowlite.models.config import GlowConfig
from glowlite.terminal import say
from glowlite.training.optimizers import Adam
from glowlite.training.step import training_step


def main() -> None:
    parser = Parser(
        "bench.ranks",
        "Time a training step shared by several processes; the benchmark starts this.",
    )
    parser.add_argument("job", type=json.loads, help="what to time, as JSON")
    asked = parser.parse_args().job
    ranks = make_communicator()
    config, batch = GlowConfig.from_dict(asked["config"]), asked["batch"]
    job = Job(config, batch, 1, asked["tile"], asked["blas"], plain=asked["plain"])
    model, x = job.model(), job.images()[ranks.share(batch)]
    optimizer, allreduce, seconds = Adam(model.store.theta), Allreduce(ranks), []
    with Lanes(model, len(x), processes=False) as lanes:
        for _ in range(1 + asked["steps"]):
            began = time.perf_counter()
            training_step(
                model, optimizer, x, job.n_bits, lr=1e-5, batch=batch, allreduce=allreduce,
                gradients=lanes.gradients,
            )  # ends when all ranks have added up  # fmt: skip
            seconds.append(time.perf_counter() - began)
    if ranks.is_root:
        say(json.dumps(seconds[1:]))


if __name__ == "__main__":
    run(main, "bench.ranks")
