"""python -m glowlite.reproduce EXPERIMENT: make the runs of an experiment, its figure, its table
and a page.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from glowlite.commands.program import Parser, at_least
from glowlite.data import is_there
from glowlite.data.embedded import check_meaning
from glowlite.distributed.communicator import Communicator
from glowlite.distributed.mpi_processes import make_communicator
from glowlite.errors import GlowliteError
from glowlite.files.outputs import HTML, check_output, make_folder
from glowlite.reproduce import cost, figure3, figure9, memory, paper_size, stability, table2
from glowlite.reproduce.experiment import Experiment, ExperimentSettings
from glowlite.reproduce.planned_run import Option
from glowlite.reproduce.report import tell, write
from glowlite.reproduce.sweep import carry_out
from glowlite.terminal import say

ALL, PAGE = "all", "report.html"
PATIENCE = 30 * 86400.0  # seconds that a rank waits for the runs of other ranks
# options of the train command that an experiment accepts
MODEL_OPTIONS = {"K": int, "L": int, "width": int, "batch": int, "n-bits": int, "lr": float}

SMALL = {"K": 4, "width": 64, "n_bits": 8, "batch": 64, "lr": 0.002}
FACES = {
    "L": 3, "batch": 64, "lr": 0.002, "beta2": 0.999, "warmup": 50, "decay": "constant",
    "average": 0.99,
}  # fmt: skip

EXPERIMENTS = {
    each.name: each
    for each in (
        Experiment(
            "figure3",
            "the 1x1 convolution compared with a fixed shuffle and with reversing, for both"
            " couplings",
            "30 minutes",
            {"data": "fashion", "seeds": 3, "steps": 1500, "model": SMALL},
            figure3.plan,
            figure3.report,
            paper_size.figure3,
        ),
        Experiment(
            "figure9",
            "depth: models of one level, of two, and so on",
            "15 minutes",
            {"data": "fashion", "seeds": 3, "steps": 480, "model": SMALL},
            figure9.plan,
            figure9.report,
            paper_size.figure9,
        ),
        Experiment(
            "table2",
            "bits/dim as published, and of the named runs",
            "seconds per run",
            {"data": "fashion", "seeds": 1, "steps": 1, "model": {}},
            table2.plan,
            table2.report,
            paper_size.table2,
        ),
        Experiment(
            "cost",
            "time and parameters of the 1x1 convolution, compared with a fixed shuffle",
            "2 minutes",
            {"data": "fashion", "seeds": 1, "steps": 1, "model": {}},
            cost.plan,
            cost.report,
        ),
        Experiment(
            "stability",
            "which scale of a coupling keeps samples finite",
            "15 minutes",
            {"data": "faces", "seeds": 1, "steps": 1500, "model": FACES},
            stability.plan,
            stability.report,
        ),
        Experiment(
            "memory",
            "memory of a training step against depth",
            "2 minutes",
            {"data": "fashion", "seeds": 1, "steps": 1, "model": {}},
            memory.plan,
            memory.report,
        ),
    )
}


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = Parser("reproduce", "Repeat an experiment of the paper at a size that fits a laptop.")
    add = parser.add_argument
    add(
        "experiment",
        choices=[*EXPERIMENTS, ALL],
        help="which experiment; all: list the experiments with their durations",
    )
    add("runs", nargs="*", metavar="RUN", help="for table2: run folders, or pretrained models")
    add("--data", help="as for train; default: that of the experiment")
    add(
        "--seeds",
        type=at_least(1, int, 1000),
        help="number of seeds; default: that of the experiment",
    )
    add(
        "--steps",
        type=at_least(1),
        help="number of steps of each run; default: that of the experiment",
    )
    add(
        "--jobs",
        type=at_least(1, int, 256),
        default=1,
        help="number of runs at the same time, per process",
    )
    add("--out", type=Path, help="folder for the runs; default: runs/EXPERIMENT")
    add(
        "--paper-size",
        action="store_true",
        help="only print the commands with the published settings, and what they would take",
    )
    group = parser.add_argument_group("the model, as for train").add_argument
    for name, kind in MODEL_OPTIONS.items():
        group(f"--{name}", type=at_least(0 if kind is float else 1, kind))
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    options = parse_arguments(arguments)
    if options.experiment == ALL:
        tell_all()
        return
    experiment = EXPERIMENTS[options.experiment]
    if options.runs and experiment.name != "table2":
        raise GlowliteError(f"{options.runs[0]}: only table2 takes runs; leave it out")
    if options.paper_size:
        if experiment.paper_size is None:
            raise GlowliteError(f"{experiment.name}: has no other size in the paper")
        made = experiment.paper_size()
        tell(made)
        for command in made.commands:
            say(command)
        return
    ranks = make_communicator(PATIENCE)
    carry_out_experiment(experiment, settings_of(experiment, options), options.jobs, ranks)
    ranks.finish()


def settings_of(experiment: Experiment, options: argparse.Namespace) -> ExperimentSettings:
    """Return the typed settings, with the experiment's defaults for the rest.

    Raises GlowliteError if the data do not exist.
    """
    defaults = experiment.defaults
    check_meaning(options.data or "")
    if options.data and not is_there(options.data):
        raise GlowliteError(f"--data {options.data}: no such data")
    model: dict[str, Option] = dict(defaults["model"])
    for name in MODEL_OPTIONS:
        value: Any = getattr(options, name.replace("-", "_"))
        if value is not None:
            model[name.replace("-", "_")] = value
    return ExperimentSettings(
        options.out or Path("runs") / experiment.name,
        options.data or defaults["data"],
        options.seeds or defaults["seeds"],
        options.steps or defaults["steps"],
        model,
        tuple(options.runs),
    )


def carry_out_experiment(
    experiment: Experiment, settings: ExperimentSettings, jobs: int, ranks: Communicator
) -> None:
    runs = experiment.plan(settings)
    page = settings.folder / PAGE
    if ranks.is_root:
        make_folder("--out", settings.folder)
        check_output("--out", page, HTML)
        if runs:
            say(f"{experiment.name}: {len(runs)} runs of {settings.steps} steps")
    carry_out(runs, jobs, ranks)
    if not ranks.is_root:
        return
    made = experiment.report(settings, runs)
    tell(made)
    write(made, page)
    for place in (*made.pictures, page):
        say(place)


def tell_all() -> None:
    """Print one line per experiment."""
    for each in EXPERIMENTS.values():
        say(f"{each.name:10} {each.takes:15} {each.what}")
