"""The benchmark on a GPU: a step's time, the best rate of its products, memory, and the latency of
one large sample.

A call returns before the device has finished its work. So the clock is read only when the stream
has finished, and a turn repeats its task until its time is long compared with that. All candidates
live in one process, and their turns are interleaved, round after round. So a GPU that warms up and
slows down affects all of them.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from glowlite.arrays.backend import Array, Namespace, to_device, to_host
from glowlite.bench import work
from glowlite.bench.budgets import row_figures, row_of
from glowlite.bench.figures import (
    REFERENCE,
    counts,
    figures,
    kept_figures,
    limit_line,
    memory_lines,
    name_of,
    progress,
    rate,
    share_line,
    step_lines,
)
from glowlite.bench.rounds import Times
from glowlite.bench.shapes import Shape, shape_of
from glowlite.bench.shapes import figures as shape_figures
from glowlite.bench.shapes import lines as shape_lines
from glowlite.bijectors.memory import Memory
from glowlite.errors import GlowliteError
from glowlite.models.config import GlowConfig
from glowlite.objective import dequantization_noise, dequantize
from glowlite.training.optimizers import Adam, gradient_norm

if TYPE_CHECKING:
    from glowlite.bench.job import Job

Task = Callable[[], object]

SQUARES = (4096, 8192)
TURN = 0.02  # least duration of a turn, in seconds
PUBLISHED_S = 0.130  # seconds for one 256x256 sample, on a GTX 1080 Ti (section 6 of the paper)


# --- clocks ---


def synchronise(xp: Namespace) -> None:
    xp.cuda.get_current_stream().synchronize()


def seconds(task: Task, times: int, xp: Namespace) -> float:
    """Measure the mean seconds of a task over so many runs, from an idle device to an idle
    device.
    """
    synchronise(xp)
    began = time.perf_counter()
    for _ in range(times):
        task()
    synchronise(xp)
    return (time.perf_counter() - began) / times


def measure(tasks: dict[str, Task], rounds: int, xp: Namespace) -> dict[str, Times]:
    """Measure the times of the tasks, in turns.

    Each has run before, so kernels are compiled and memory is in the pool. A task that does not fit
    into the device's memory is left out.
    """
    repeats = {}
    for name, task in tasks.items():
        try:
            seconds(task, 1, xp)
            repeats[name] = max(1, math.ceil(TURN / seconds(task, 1, xp)))
        except MemoryError as error:  # CuPy's OutOfMemoryError is one
            progress(f"{name} is left out: {error}")
            gc.collect()
            xp.get_default_memory_pool().free_all_blocks()
    found: dict[str, list[float]] = {name: [] for name in repeats}
    for _ in range(rounds):
        for name, times in repeats.items():
            found[name].append(seconds(tasks[name], times, xp))
    return {name: Times(values) for name, values in found.items()}


# --- tasks ---


def square(n: int, xp: Namespace) -> Task:
    rng = np.random.default_rng(0)
    a, b = (to_device(rng.standard_normal((n, n), np.float32), xp) for _ in range(2))
    out = xp.empty((n, n), xp.float32)
    return lambda: xp.matmul(a, b, out=out)


def shape_tasks(job: Job, xp: Namespace) -> dict[Shape, Task]:
    """Return each matrix product of a coupling network of each level, for the whole batch."""

    def task(a: Array, b: Array, out: Array) -> Task:
        return lambda: xp.matmul(a, b, out=out)

    found: dict[Shape, Task] = {}
    for i, level in enumerate(work.levels(job.config)):
        made = work.network_products(job.config, level, job.batch * level.pixels, xp)
        found |= {shape_of(key, made[key], i): task(*made[key]) for key in made}
    return found


def level_seconds(
    config: GlowConfig, kept: Sequence[int], times: dict[Shape, Times]
) -> list[float]:
    """Return the seconds of all coupling networks' matrix products per level, in a training step
    that keeps so many of its flow steps.
    """
    found = [0.0] * len(kept)
    for shape, each in times.items():
        forwards = 2 * config.K - kept[shape.level]
        found[shape.level] += each.median * (forwards if shape.way == "forward" else config.K)
    return found


def step_tasks(job: Job, budgets: Sequence[Memory], xp: Namespace) -> dict[str, Task]:
    """Return a training step under each budget, its parts, and samples, all with one model."""
    model, x = job.model(xp=xp), job.images(xp)
    optimizer = Adam(model.store.theta)
    images = np.random.default_rng(0).integers(
        0, 256, (4 * job.batch, *job.config.image_shape), np.uint8
    )

    def step(memory: Memory) -> None:
        model.memory = memory
        job.step(model, optimizer, x)

    def optimiser() -> None:
        model.workers.clear(model.store.grad)
        gradient_norm(model.store.grad, model.workers)
        optimizer.step(model.store.grad, 1e-5, 1.0, model.workers)

    def data() -> None:
        part = images[np.random.default_rng(0).permutation(len(images))[: job.batch]]
        dequantize(
            part, job.n_bits, dequantization_noise(0, "dequantise", 0, 0, part.shape, "float32"), xp
        )

    return {
        **{name_of(m): lambda memory=m: step(memory) for m in budgets},  # type: ignore[misc]
        "optimiser": optimiser,
        "data": data,
        "sample": lambda: model.sample(job.batch, 0.7, seed=0),
    }


# --- memory ---


def high_water(task: Task, xp: Namespace) -> tuple[int, int]:
    """Return the most bytes of CuPy's pool in use while the task runs, and those in use
    before it.
    """
    before = in_use = most = int(xp.get_default_memory_pool().used_bytes())

    class Watch(xp.cuda.MemoryHook):  # type: ignore[misc]
        name = "glowlite.bench"

        def malloc_postprocess(self, **memory: Any) -> None:
            nonlocal in_use, most
            in_use += memory["mem_size"]
            most = max(most, in_use)

        def free_postprocess(self, **memory: Any) -> None:
            nonlocal in_use
            in_use -= memory["mem_size"]

    with Watch():
        task()
    return most, before


def step_memory(job: Job, memory: Memory, xp: Namespace) -> dict[str, int]:
    """Measure like `peak.peak_bytes`, but with `resident` in CuPy's pool, after a first step that
    fills caches.
    """
    gc.collect()
    model, x = job.model(memory, xp), job.images(xp)
    optimizer = Adam(model.store.theta)

    def step() -> None:
        job.step(model, optimizer, x)

    step()
    most, before = high_water(step, xp)
    return {"step": most - before, "resident": most}


# --- the whole ---


def latency(job: Job, rounds: int, xp: Namespace) -> dict[str, Any]:
    """Measure the seconds from the seed to a sample on the host, and those of only its inverse pass
    with latents on the device.
    """
    model = job.model(xp=xp)
    latents = model.encode(job.images(xp))
    tasks: dict[str, Task] = {
        "sample": lambda: to_host(model.sample(job.batch, 0.7, seed=0)),
        "inverse": lambda: model.inverse(latents),
    }
    times = measure(tasks, rounds, xp)
    check_fits(times, tasks)
    height, width, _ = job.config.image_shape
    return {
        "title": f"{height}x{width}, K={job.config.K}, L={job.config.L}, width {job.config.width},"
        f" {job.config.coupling}, batch {job.batch}",
        **{
            name: {"median_s": t.median, "min_s": min(t.seconds), "max_s": max(t.seconds)}
            for name, t in times.items()
        },
        "published_s": PUBLISHED_S,
    }


def check_fits(times: dict[str, Times], needed: Sequence[str] | dict[str, Task]) -> None:
    missing = [name for name in needed if name not in times]
    if missing:
        raise GlowliteError(
            f"bench: {missing[0]} does not fit into the GPU's memory; lower --batch or --width"
        )


def report(
    job: Job,
    budgets: list[Memory],
    row: list[Memory] | None,
    rounds: int,
    depths: list[int],
    sampled: Job | None,
    xp: Namespace,
    squares: Sequence[int] = (),
) -> dict[str, Any]:
    """Make the same report as on the CPU.

    `sampled`: the job whose latency is measured; `squares`: sides of the matrices of the peak.
    """
    config, pool, squares = job.config, xp.get_default_memory_pool(), squares or SQUARES
    row = row_of(job.kept([Memory("all")], xp).popitem()[1]) if row is None else row
    kept = job.kept([*budgets, *row], xp)
    names, by_shape = [f"sgemm:{n}" for n in squares], shape_tasks(job, xp)
    tasks = {f"sgemm:{n}": square(n, xp) for n in squares}
    tasks |= {str(shape): task for shape, task in by_shape.items()}
    tasks |= step_tasks(job, list(dict.fromkeys([*budgets, *row])), xp)
    progress(f"timing {len(tasks)} candidates, {rounds} rounds")
    times = measure(tasks, rounds, xp)
    check_fits(times, [name for name in tasks if name not in kept or name == REFERENCE])
    tasks.clear()

    best = max(names, key=lambda name: rate(name, times[name]))
    forward = work.forward_flops(config, job.batch) / 1e9
    a_pass, default = forward / rate(best, times[best]), times[REFERENCE]
    passes = {name: work.passes(config, counts(each)) for name, each in kept.items()}
    shape_times = {shape: times[str(shape)] for shape in by_shape}
    by_shape.clear()
    products = level_seconds(config, counts(kept[REFERENCE]), shape_times)
    flops = work.products_flops(config, job.batch, counts(kept[REFERENCE]))
    whole = default.median + times["data"].median
    parts = {
        "products": sum(products),
        "optimiser": times["optimiser"].median,
        "data": times["data"].median,
    }
    shares = {name: taken / whole for name, taken in parts.items()}
    large = Shape(-1, "square", "", *3 * [int(best.partition(":")[2])])
    memory: dict[str, dict[str, dict[str, int]]] = {}
    for budget in budgets if depths else []:
        for K in depths:
            progress(f"peak of {name_of(budget)} at K={K}")
            found = peak_or_none(replace(job, config=replace(config, K=K)), budget, xp)
            if found is None:
                break
            memory.setdefault(name_of(budget), {})[str(K)] = found
    peaks = {name_of(m): peak_or_none(job, m, xp) for m in row if name_of(m) in times}
    if sampled is not None:
        progress(
            "latency of a sample of"
            f" {sampled.config.image_shape[0]}x{sampled.config.image_shape[1]}"
        )
        pool.free_all_blocks()
    height, width, channels = config.image_shape
    steps = [name for name in map(name_of, budgets) if name in times]
    return {
        "title": f"{height}x{width}x{channels}, K={config.K}, L={config.L}, width {config.width},"
        f" {config.coupling}, batch {job.batch}, on a GPU",
        "config": config.to_dict(),
        "batch": job.batch,
        "rounds": rounds,
        "sgemm_gflops": {name.partition(":")[2]: rate(name, times[name]) for name in names},
        "best_sgemm_gflops": rate(best, times[best]),
        "products_gflops": sum(flops) / sum(products) / 1e9,
        "level_gflops": [n / taken / 1e9 for n, taken in zip(flops, products, strict=True)],
        "shapes": shape_figures({**shape_times, large: times[best]}, large),
        "forward_gflop": forward,
        "pass_s": a_pass,
        "limit_s": passes[REFERENCE] * a_pass,
        "steps": {
            name: figures(times[name], default, a_pass, passes[name], job.batch) for name in steps
        },
        "kept": {name: kept_figures(kept[name]) for name in steps},
        "rivals": [],
        "shares": {**shares, "kernels of the rest, and waiting": 1 - sum(shares.values())},
        "memory": memory,
        "budgets": row_figures(
            times, kept, {name: peak["step"] for name, peak in peaks.items() if peak is not None}
        ),
        "sample": figures(times["sample"], times["sample"], a_pass, 1, job.batch),
        "latency": None if sampled is None else latency(sampled, rounds, xp),
    }


def peak_or_none(job: Job, memory: Memory, xp: Namespace) -> dict[str, int] | None:
    """Return `step_memory`; None, with a line that says so, if it does not fit."""
    xp.get_default_memory_pool().free_all_blocks()
    try:
        return step_memory(job, memory, xp)
    except MemoryError as error:
        progress(f"{name_of(memory)} at K={job.config.K} is left out: {error}")
        return None


def table(report: dict[str, Any]) -> str:
    """Yield the lines that the terminal shows."""
    squares = ", ".join(f"{n}: {value:.0f}" for n, value in report["sgemm_gflops"].items())
    levels = ", ".join(f"{value:.0f}" for value in report["level_gflops"])
    f = report["sample"]
    lines = [
        report["title"],
        f"sgemm, GFLOP/s: {squares}; this net's own products: {report['products_gflops']:.0f}, by"
        f" level: {levels}",
        limit_line(report),
        "",
        *step_lines(report),
        "",
        share_line(report),
        f"sampling {report['batch']} images: {f['median_s']:.4f} s ({f['min_s']:.4f} to"
        f" {f['max_s']:.4f}), {f['images_per_s']:.1f} images/s, {100 * f['of_limit']:.1f}% of the"
        " limit of one pass",
        *shape_lines(report["shapes"]),
        *memory_lines(report, "of CuPy's pool in all"),
    ]
    if report["latency"]:
        shown = report["latency"]
        lines += [
            "",
            f"latency of a sample, {shown['title']}: {1e3 * shown['sample']['median_s']:.1f} ms"
            f" ({1e3 * shown['sample']['min_s']:.1f} to {1e3 * shown['sample']['max_s']:.1f}), of"
            f" which the inverse pass {1e3 * shown['inverse']['median_s']:.1f} ms; published, GTX"
            f" 1080 Ti: {1e3 * shown['published_s']:.0f} ms",
        ]
    return "\n".join(lines)
