"""python -m glowlite.bench: measure times, limits and memory of a training step on this machine,
and compare with other codes.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from glowlite.arrays.checks import check_images_fit
from glowlite.arrays.device import device_namespace
from glowlite.arrays.machine import available_bytes, available_cores
from glowlite.arrays.sizes import memory_of
from glowlite.bench import candidates, device, parts, scaling, shapes, work
from glowlite.bench.budgets import parse_budgets, row_figures, row_of
from glowlite.bench.candidates import FORMS, RIVALS, SQUARES, check_rivals
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
from glowlite.bench.job import LATENCY, Job
from glowlite.bench.peak import peak_bytes
from glowlite.bench.preset_jobs import SHAPES, images_at_once, preset_job
from glowlite.bench.rounds import measure
from glowlite.bijectors.memory import DEFAULT_MEMORY, Kept, Memory
from glowlite.commands.program import Parser, at_least, run
from glowlite.errors import GlowliteError
from glowlite.fast.threads import MAX_THREADS, TILE_MB
from glowlite.files.outputs import BENCHMARK, PNG, check_folder, check_output, output
from glowlite.models.checks import check_room
from glowlite.models.config import CHOICES, MAX_SIZES, GlowConfig
from glowlite.models.image_config import MAX_CHANNELS, MAX_SIDE
from glowlite.terminal import say, shortened

PICTURES = ("step-times.png", "shares.png", "memory.png", "budget.png")
SHAPE_ROUNDS = 5  # a limit, since there are many shapes
DEPTHS, GPU_DEPTHS = "4,16", "on a GPU 4,8,16,32"


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = Parser(
        "bench",
        "Time a training step, part by part, and compare it with the most that this machine"
        " can do.",
    )
    add = parser.add_argument
    add(
        "--preset",
        choices=SHAPES,
        help="use the side, channels, K, L, width, coupling, scale and batch of this training"
        " preset",
    )
    add(
        "--side", type=at_least(2, int, MAX_SIDE), default=32, help="height and width of the images"
    )
    add("--channels", type=at_least(1, int, MAX_CHANNELS), default=3, help="channels of the images")
    add("--K", type=at_least(1, int, MAX_SIZES["K"]), default=8, help="steps of flow per level")
    add("--L", type=at_least(1, int, MAX_SIZES["L"]), default=3, help="levels")
    add(
        "--width",
        type=at_least(1, int, MAX_SIZES["width"]),
        default=512,
        help="hidden channels of the coupling networks",
    )
    add("--batch", type=at_least(1), default=16, help="images per step")
    add("--coupling", choices=CHOICES["coupling"], default="affine", help="kind of coupling layer")
    add(
        "--scale",
        choices=CHOICES["scale"],
        default="sigmoid",
        help="scale of an affine coupling; the original code has sigmoid",
    )
    add(
        "--memory",
        default=f"0,{DEFAULT_MEMORY},all",
        help=f"memory budgets to time, separated by commas; {DEFAULT_MEMORY} is always timed, and"
        " is the reference of all ratios",
    )
    add(
        "--budgets",
        default="auto",
        help="budgets for which to measure time and peak memory, separated by commas, or none;"
        " auto: five from 0 to all, with --json or --plots",
    )
    add(
        "--threads",
        type=at_least(1, int, MAX_THREADS),
        default=available_cores(),
        help="number of CPU threads",
    )
    add(
        "--tile",
        type=at_least(0, float),
        default=TILE_MB,
        help="megabytes of a hidden activation per tile",
    )
    add(
        "--blas",
        choices=("numpy", "mkl"),
        default="numpy",
        help="library for matrix products; mkl needs pip install '.[mkl]'",
    )
    add(
        "--plain",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="run every layer as it is written, without faster forms",
    )
    add("--rounds", type=at_least(1, int, 10_000), default=9, help="how often everything is timed")
    add(
        "--depths",
        default="auto",
        help="values of K for which to measure memory, separated by commas, or none; auto:"
        f" {DEPTHS}, {GPU_DEPTHS}",
    )
    add(
        "--against",
        choices=("torch", "plain"),
        help="torch: also time a plain PyTorch Glow in three ways, and the Glow of normflows;"
        " plain: also time the layers without faster forms, and without each faster form",
    )
    add(
        "--scaling",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="only measure how a step's time grows with K, batch, side, width and number of"
        f" processes, starting from a small job: {scaling.BASE_WORDS}",
    )
    add("--json", metavar="FILE", type=Path, help="write all results to this JSON file")
    add(
        "--plots",
        metavar="DIR",
        type=Path,
        help="write plots of step times, shares and memory to this folder, as PNG",
    )
    add("--device", default="cpu", help="cpu, gpu, or gpu:k for one of several GPUs")
    switch = argparse.BooleanOptionalAction
    add(
        "--tf32",
        action=switch,
        default=False,
        help="on a GPU: matrix products with 10 bits of mantissa, as in training",
    )
    add(
        "--gpu-memory",
        type=at_least(0, float),
        default=0.0,
        help="most gigabytes to use of the GPU's memory; 0: no limit",
    )
    add(
        "--latency",
        action=switch,
        default=True,
        help="on a GPU: also time one 256x256 sample of the paper's largest model",
    )
    options = parser.parse_args(arguments)
    if options.scaling:
        parser.set_defaults(**scaling.BASE)
    if options.preset:
        config, training = preset_job(options.preset)
        side, _, channels = config.image_shape
        parser.set_defaults(
            side=side, channels=channels, K=config.K, L=config.L, width=config.width,
            coupling=config.coupling, scale=config.scale, batch=images_at_once(training),
        )  # fmt: skip
    return parser.parse_args(arguments)  # typed options override the preset


def report(
    job: Job,
    budgets: list[Memory],
    row: list[Memory] | None,
    rounds: int,
    depths: list[int],
    rivals: tuple[str, ...],
) -> dict[str, Any]:
    """Return all results as JSON values; times in seconds, memory in bytes, rates in GFLOP/s.

    `budgets`: those of the table; `row`: those for time and peak memory; None means `row_of` all.
    """
    row = row_of(job.kept([Memory("all")]).popitem()[1]) if row is None else row
    kept = {name: each for name, each in job.kept([*budgets, *row]).items() if fits(name, each)}
    kept |= {name: candidates.kept_by(name, job) for name in rivals if name in FORMS}
    steps = [name for name in (*map(name_of, budgets), *rivals) if name in kept or name in RIVALS]
    row_names = [name for name in map(name_of, row) if name in kept]
    squares = [f"sgemm:{n}" for n in SQUARES]
    parts_of_it = ["products", "optimiser", "data", "products of a sample", "sample"]
    names = list(dict.fromkeys([*squares, *steps, *row_names, *parts_of_it]))
    progress(f"timing {len(names)} candidates, {rounds} rounds")
    times = measure(dict.fromkeys(names, job), rounds)

    best = max(squares, key=lambda name: rate(name, times[name]))
    progress("products by shape")
    by_shape = shapes.measure(job, SQUARES[squares.index(best)], min(rounds, SHAPE_ROUNDS))
    forward = work.forward_flops(job.config, job.batch) / 1e9
    a_pass, default = forward / rate(best, times[best]), times[REFERENCE]
    passes = {name: work.passes(job.config, counts(each)) for name, each in kept.items()}
    limit = passes[REFERENCE] * a_pass
    progress("gather and scatter")
    gathered = parts.gather_and_scatter_seconds(job)
    memory: dict[str, dict[str, dict[str, int]]] = {}
    for name in [name for name in map(name_of, budgets) if name in kept and depths]:
        for K in depths:
            progress(f"peak of {name} at K={K}")
            deeper = replace(job, config=replace(job.config, K=K))
            memory.setdefault(name, {})[str(K)] = peak_bytes(deeper, name)
    height, width, channels = job.config.image_shape
    made = sum(work.products_flops(job.config, job.batch, counts(kept[REFERENCE])))
    return {
        "title": f"{height}x{width}x{channels}, K={job.config.K}, L={job.config.L}, width"
        f" {job.config.width}, {job.config.coupling}, batch {job.batch}, {job.threads} threads,"
        f" products by {job.blas}",
        "config": job.config.to_dict(),
        "batch": job.batch,
        "threads": job.threads,
        "tile_mb": job.tile,
        "blas": job.blas,
        "rounds": rounds,
        "numpy": np.__version__,
        "sgemm_gflops": {name.partition(":")[2]: rate(name, times[name]) for name in squares},
        "best_sgemm_gflops": rate(best, times[best]),
        "products_gflops": made / times["products"].median / 1e9,
        "shapes": by_shape,
        "forward_gflop": forward,
        "pass_s": a_pass,
        "limit_s": limit,
        "steps": {
            name: figures(times[name], default, a_pass, passes.get(name, work.KEPT), job.batch)
            for name in steps
        },
        "kept": {name: kept_figures(kept[name]) for name in steps if name in kept},
        "rivals": list(rivals),
        "shares": parts.shares(
            default, times["products"], times["optimiser"], times["data"], gathered
        ),
        "memory": memory,
        "budgets": row_figures(times, kept, peaks_of(row_names, job)),
        "sample": {
            **figures(times["sample"], times["sample"], a_pass, 1, job.batch),
            "of_products": times["products of a sample"].median / times["sample"].median,
        },
        "optimiser_share": times["optimiser"].median / default.median,
    }


def fits(name: str, kept: Kept) -> bool:
    """Whether what a step keeps fits into this machine's memory; if not, print a line that
    says so.
    """
    if name == REFERENCE or kept.size <= available_bytes():
        return True
    progress(
        f"{name} is left out: it keeps {kept.size / 2**30:.1f} GB, but there are"
        f" {available_bytes() / 2**30:.1f}"
    )
    return False


def peaks_of(row: list[str], job: Job) -> dict[str, int]:
    """Return the peak bytes of each step of a row."""
    found = {}
    for name in row:
        progress(f"peak of {name}")
        found[name] = peak_bytes(job, name)["step"]
    return found


def table(report: dict[str, Any]) -> str:
    """Return the text for the terminal."""
    squares = ", ".join(f"{n}: {value:.0f}" for n, value in report["sgemm_gflops"].items())
    lines = [
        report["title"],
        f"sgemm, GFLOP/s, all threads: {squares}; this net's own products:"
        f" {report['products_gflops']:.0f}",
        limit_line(report),
        "",
        *step_lines(report),
    ]
    f = report["sample"]
    lines += [
        "",
        share_line(report),
        f"sampling {report['batch']} images: {f['median_s']:.4f} s ({f['min_s']:.4f} to"
        f" {f['max_s']:.4f}), {f['images_per_s']:.1f} images/s, {100 * f['of_limit']:.1f}% of the"
        " limit of one pass",
        *shapes.lines(report["shapes"]),
        *memory_lines(report, "whole process"),
    ]
    return "\n".join(lines)


def depths_of(text: str, on_gpu: bool = False) -> list[int]:
    if text == "auto":
        text = GPU_DEPTHS.split()[-1] if on_gpu else DEPTHS
    if text in ("", "none"):
        return []
    parts = text.split(",")
    if not all(
        part.isdecimal() and len(part) < 20 and 0 < int(part) <= MAX_SIZES["K"] for part in parts
    ):
        raise GlowliteError(
            f"--depths {shortened(text)!r}: expected whole numbers from 1 to {MAX_SIZES['K']:,}"
            " separated by commas, or none; such as 4,16"
        )
    return [int(part) for part in parts]


def check_together(options: argparse.Namespace) -> None:
    """Raise GlowliteError for options that cannot be combined."""
    if options.against and options.device != "cpu":
        raise GlowliteError("--against times models on the CPU: leave it out with --device gpu")
    for name in ("against", "plots"):
        if options.scaling and getattr(options, name):
            raise GlowliteError(f"--scaling makes a separate table: leave out --{name}")
    if options.scaling and options.device != "cpu":
        raise GlowliteError("--scaling times steps on the CPU: leave it out with --device gpu")


def row_asked(options: argparse.Namespace, xp: Any) -> list[Memory] | None:
    """Return the budgets for time and peak memory; None: the default row from 0 to all."""
    if options.budgets == "auto":
        return None if options.json or options.plots else []
    if options.budgets in ("", "none"):
        return []
    return [Memory.parse(word, lambda: memory_of(xp)) for word in options.budgets.split(",")]


def main(arguments: list[str] | None = None) -> None:
    options = parse_arguments(arguments)
    check_together(options)
    if options.json:
        check_output("--json", options.json, BENCHMARK)
    if options.plots:
        check_folder("--plots", options.plots, PNG, PICTURES.__contains__)
    xp = device_namespace(options.device, 0, options.tf32, options.gpu_memory)
    depths = depths_of(options.depths, xp is not np)
    budgets = parse_budgets(options.memory, lambda: memory_of(xp))
    row = row_asked(options, xp)
    shape = (options.side, options.side, options.channels)
    config = GlowConfig(shape, options.K, options.L, options.width, options.coupling, options.scale)
    if xp is np:
        job = Job(
            config,
            options.batch,
            options.threads,
            options.tile,
            options.blas,
            plain=options.plain,
        )
        job.workers()  # raises an error, if any, before anything is timed
        check_images_fit("--batch", options.batch, config.dimensions)
        check_room("Glow", config)
        if options.against == "torch":
            check_rivals()
        rivals = {"torch": RIVALS, "plain": tuple(FORMS)}.get(options.against, ())
        if options.scaling:
            found = scaling.report(job, options.rounds)
            shown = scaling.table(found)
        else:
            found = report(job, budgets, row, options.rounds, depths, rivals)
            shown = table(found)
    else:
        job = Job(config, options.batch, 1, TILE_MB, plain=options.plain)
        sampled = LATENCY if options.latency else None
        found = device.report(job, budgets, row, options.rounds, depths, sampled, xp)
        shown = device.table(found)
    for line in shown.splitlines():
        say(line)
    if options.json:
        with output("--json", options.json, BENCHMARK) as file:
            file.write((json.dumps(found, indent=1) + "\n").encode())
    if options.plots:
        from glowlite.bench.plots import draw  # matplotlib is slow to import

        for path in draw(found, options.plots):
            progress(f"wrote {path}")


if __name__ == "__main__":
    run(main, "bench")
