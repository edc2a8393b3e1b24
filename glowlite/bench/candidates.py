"""What can be timed, by name: each candidate is made once and then run repeatedly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits

from glowlite.arrays.slices import cut
from glowlite.bench.figures import REFERENCE, counts
from glowlite.bench.work import products_alone
from glowlite.bijectors.chain import UniformChain
from glowlite.bijectors.memory import Kept, Memory
from glowlite.conditioners.coupling_network import CouplingNetwork
from glowlite.errors import GlowliteError
from glowlite.fast.accelerate import HOST, accelerate
from glowlite.fast.lanes import Lanes
from glowlite.objective import dequantization_noise, dequantize
from glowlite.training.optimizers import Adam, gradient_norm

if TYPE_CHECKING:
    from glowlite.bench.job import Job
    from glowlite.models.glow import Glow

SQUARES = (1024, 1536, 2048, 3072)
FORMS = {  # the fast forms on a CPU, one by one, and the classes that stay plain without each
    "plain": tuple(HOST),
    "without FoldedNetwork": (CouplingNetwork,),
    "without Tiles": (UniformChain,),
    "without Lanes": (),
}
IN_LANES = ("without FoldedNetwork", "without Tiles")
RIVALS = ("torch eager", "torch channels-last", "torch compiled", "normflows")
Task = Callable[[], object]


def make(name: str, job: Job) -> Task:
    """Return the task with this name: `sgemm:n`, a `name_of`, a part of a step, one of RIVALS or
    FORMS.
    """
    kind, _, argument = name.partition(":")
    if kind == "sgemm":
        return _sgemm(int(argument), job)
    if name in RIVALS:
        # imported only here: torch is an extra, and slow to import
        from glowlite.bench import torch_glow

        return torch_glow.training_task(name, job)
    parts: dict[str, Callable[[], Task]] = {
        "products": lambda: products_alone(job, counts(job.kept([Memory()])[REFERENCE])),
        "products of a sample": lambda: products_alone(job, None),
        "optimiser": lambda: _optimiser(job),
        "data": lambda: _data(job),
        "sample": lambda: _sample(job),
    }
    if name in FORMS:
        return _step(_with_forms(replace(job, plain=True).model(), name), job, name in IN_LANES)
    return parts[name]() if name in parts else _step(job.model(_memory_in(name)), job)


def kept_by(form: str, job: Job) -> Kept:
    """Return what a step of one of FORMS keeps of a batch."""
    found = _with_forms(replace(job, plain=True).bare_model(), form).kept(job.batch)
    assert found is not None  # a Glow always has a budget
    return found


def _memory_in(name: str) -> Memory:
    return Memory.parse(name.removeprefix("memory "))


def check_rivals() -> None:
    """Raise GlowliteError unless everything that RIVALS need is installed."""
    missing = [name for name in ("torch", "normflows") if find_spec(name) is None]
    if missing:
        raise GlowliteError(
            f"--against torch needs {' and '.join(missing)}: pip install '.[bench]' in the source"
            " folder"
        )


def _sgemm(n: int, job: Job) -> Task:
    """Multiply two square matrices on all threads: BLAS's own threads for NumPy.

    For MKL, whose calls use one thread, each thread gets a block of columns.
    """
    workers, rng = job.workers(), np.random.default_rng(0)
    a, b, out = (rng.standard_normal((n, n), np.float32) for _ in range(3))

    def by_blas() -> None:
        with threadpool_limits(job.threads, "blas"):
            np.matmul(a, b, out=out)

    def by_columns() -> None:
        workers.map(
            lambda part: workers.matmul(a, b[:, part], out=out[:, part]), cut(n, job.threads)
        )

    return by_blas if job.blas == "numpy" else by_columns


def _step(model: Glow, job: Job, lanes: bool = True) -> Task:
    """Return a training step, in lanes as in training; a lane's process ends with this one."""
    x, optimizer = job.images(), Adam(model.store.theta)
    run = Lanes(model, job.batch).__enter__().gradients if lanes else model.gradients
    return lambda: job.step(model, optimizer, x, run)


def _with_forms(model: Glow, name: str) -> Glow:
    """Return a plain model with the fast forms of one of FORMS."""
    model.bijector = accelerate(model.bijector, model.workers, model.store, FORMS[name])
    model.plain = name == "plain"
    return model


def _optimiser(job: Job) -> Task:
    """Return what a step does to the flat vectors: clear the gradient, compute its norm, update."""
    model = job.model()
    optimizer, rng = Adam(model.store.theta), np.random.default_rng(0)
    gradient = rng.standard_normal(len(model.store), np.float32)

    def run() -> None:
        with model.workers:
            model.workers.clear(model.store.grad)
            gradient_norm(gradient, model.workers)
            optimizer.step(gradient, 1e-5, 1.0, model.workers)

    return run


def _data(job: Job) -> Task:
    """Return a task that chooses the images of a batch, draws their noise and dequantises them."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (4 * job.batch, *job.config.image_shape), np.uint8)

    def run() -> None:
        part = images[rng.permutation(len(images))[: job.batch]]
        dequantize(
            part, job.n_bits, dequantization_noise(0, "dequantise", 0, 0, part.shape, "float32")
        )

    return run


def _sample(job: Job) -> Task:
    model = job.model()
    return lambda: model.sample(job.batch, 0.7, seed=0)
